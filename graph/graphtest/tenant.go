package graphtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// siteAnswer answers about sites: a search, one site, or a little below it.
func (c *call) siteAnswer() (*reply, error) {
	if c.rt.id == "" {
		want := fold(strings.Trim(option(c.q, "search"), `"*`))
		value := []object{}
		for _, st := range c.s.sites {
			if strings.Contains(fold(st.title), want) || strings.Contains(fold(st.path), want) {
				value = append(value, selected(st.json(), selection(c.q)))
			}
		}
		return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": value}), nil
	}
	if c.site == nil {
		return nil, &apiError{status: http.StatusNotFound, code: "itemNotFound", msg: "Requested site could not be found"}
	}
	if c.rt.sub != "" {
		return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": []object{}}), nil
	}
	return c.object(c.site.json()), nil
}

// drivesAnswer lists the drives of a person, a group or a site.
func (c *call) drivesAnswer() (*reply, error) {
	var list []*Drive
	switch {
	case c.user != nil:
		list = []*Drive{c.user.d}
	case c.site != nil:
		list = c.site.drives
	case c.rt.base == "sites":
		return nil, &apiError{status: http.StatusNotFound, code: "itemNotFound", msg: "Requested site could not be found"}
	default:
		return nil, &apiError{status: http.StatusNotFound, code: "ResourceNotFound", msg: "User's mysite not found."}
	}
	value := []object{}
	for _, d := range list {
		value = append(value, selected(d.driveJSON(), selection(c.q)))
	}
	if c.user != nil && c.s.odds[17] != nil && c.s.now().Sub(c.who.begun) < c.s.lasts(17) && c.s.odd(17) {
		return nil, &apiError{status: http.StatusForbidden, code: "accessDenied", msg: "Access denied"}
	}
	if c.user != nil && (c.s.quirks.PhantomDrives || c.s.odd(17)) {
		for _, name := range []string{"ODCMetadataArchive", "PersonalCacheLibrary"} {
			value = append(value, object{"id": "b!" + c.s.guidOf(name), "name": name, "driveType": c.user.d.kind, "owner": c.user.d.person()})
		}
	}
	return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": value}), nil
}

// driveExtra answers what of a drive is neither the drive nor an item of it.
func (c *call) driveExtra() (*reply, error) {
	switch rest := strings.TrimPrefix(c.rt.sub, "drive/"); {
	case strings.HasPrefix(rest, "sharedWithMe") && c.s.odd(27):
	case strings.HasPrefix(rest, "recent"), strings.HasPrefix(rest, "sharedWithMe"), rest == "bundles", rest == "following":
		return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": []object{}}), nil
	case strings.HasPrefix(rest, "special/"):
		name := strings.TrimPrefix(rest, "special/")
		if name == "documents" && c.drive.kind != DocumentLibrary {
			return c.get(c.drive.root)
		}
		return nil, errNotFound()
	}
	return nil, &apiError{status: http.StatusBadRequest, code: "BadRequest", msg: "Resource not found for the segment '" + c.rt.sub + "'."}
}

// permission is one grant on an item, in plain form.
type permission struct {
	ID   string `json:"id"`
	Role string `json:"role"` // read, write, owner
	User string `json:"user"` // sign-in name
	Name string `json:"name"`
	Link string `json:"link,omitempty"` // scope of a sharing link instead of a person
}

func (p permission) link() object {
	kind := "view"
	if p.Role == "write" {
		kind = "edit"
	}
	return object{"type": kind, "scope": p.Link, "webUrl": "https://" + SharePointHost + "/:x:/s/" + url.PathEscape(p.ID)}
}

// share makes a sharing link, or finds the one of the same kind.
func (c *call) share(it *item, in object) (*reply, error) {
	d := c.drive
	kind, _ := in["type"].(string)
	scope, _ := in["scope"].(string)
	role, ok := map[string]string{"view": "read", "edit": "write"}[kind]
	if !ok {
		return nil, errInvalid("The type of a link is view or edit.")
	}
	if scope == "" {
		scope = "organization"
	}
	p := permission{ID: d.s.guidOf(d.id + it.id + scope + role), Role: role, Link: scope}
	status := http.StatusOK
	if !slices.Contains(d.grants[it.id], p) {
		status = http.StatusCreated
		d.grants[it.id] = append(d.grants[it.id], p)
		d.bump(it, false, c.s.now())
	}
	return jsonReply(status, object{"id": p.ID, "roles": []string{p.Role}, "link": p.link()}), nil
}

// permissions lists what is granted on an item and on the folders above it.
func (c *call) permissions(it *item) (*reply, error) {
	d := c.drive
	if c.r.Method != http.MethodGet {
		return nil, &apiError{status: http.StatusNotImplemented, code: "notSupported", msg: "Permissions are read-only here."}
	}
	value := []object{}
	owner := object{"id": d.s.guidOf("owner " + d.id), "roles": []string{"owner"}}
	if d.owner != nil {
		owner["grantedToV2"] = object{"user": object{"id": d.owner.ID, "displayName": d.owner.Name, "email": d.owner.UPN}}
	} else {
		owner["grantedToV2"] = object{"siteGroup": object{"id": "3", "displayName": d.site.title + " Owners", "loginName": d.site.title + " Owners"}}
	}
	if it != d.root {
		owner["inheritedFrom"] = object{}
	}
	value = append(value, owner)
	for at := it; at != nil; at = at.parent {
		for _, p := range d.grants[at.id] {
			o := object{"id": p.ID, "roles": []string{p.Role}}
			if p.Link != "" {
				o["link"] = p.link()
			} else {
				o["grantedToV2"] = object{"user": object{"displayName": p.Name, "email": p.User},
					"siteUser": object{"displayName": p.Name, "loginName": "i:0#.f|membership|" + p.User}}
			}
			if at != it {
				o["inheritedFrom"] = object{}
			}
			value = append(value, o)
		}
	}
	if _, id, ok := strings.Cut(c.rt.suffix, "/"); ok {
		for _, o := range value {
			if o["id"] == id {
				return c.object(o), nil
			}
		}
		return nil, errNotFound()
	}
	return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": value}), nil
}
