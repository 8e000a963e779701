package graphtest

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// siteAnswer answers about sites: lists of them, one site, or what belongs to one.
func (c *call) siteAnswer(in object) (*reply, error) {
	s := c.s
	switch {
	case c.rt.id == "" && c.q.Has("search"), c.rt.id == "" && c.q.Has("$search"):
		want := fold(strings.Trim(option(c.q, "search"), `"*`))
		return c.siteList(func(st *site) bool {
			return strings.Contains(fold(st.title), want) || strings.Contains(fold(st.path), want)
		})
	case c.rt.id == "" || c.rt.id == "getAllSites":
		if c.who.user != nil {
			return nil, &apiError{status: http.StatusForbidden, code: "accessDenied", msg: "Access denied: only an application lists all sites."}
		}
		return c.siteList(func(*site) bool { return true })
	case c.site == nil:
		return nil, &apiError{status: http.StatusNotFound, code: "itemNotFound", msg: "Requested site could not be found"}
	case c.rt.sub == "", c.rt.base == "groups":
		return c.object(c.site.json()), nil
	}
	head, rest, _ := strings.Cut(c.rt.sub, "/")
	switch head {
	case "lists":
		return c.lists(rest)
	case "recycleBin":
		return c.siteBin(rest, in)
	case "root":
		return c.object(s.siteBy("root").json()), nil
	}
	return c.collection([]object{}), nil
}

// collection answers with a list.
func (c *call) collection(value []object) *reply {
	fields := selection(c.q)
	for i := range value {
		value[i] = selected(value[i], fields)
	}
	return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": value})
}

// siteList answers with a page of the sites that are wanted.
func (c *call) siteList(want func(*site) bool) (*reply, error) {
	all := []object{}
	for _, st := range c.s.sites {
		if want(st) {
			all = append(all, selected(st.json(), selection(c.q)))
		}
	}
	start, err := strconv.Atoi(word(option(c.q, "skiptoken"), "0"))
	if err != nil || start < 0 || start > len(all) {
		return nil, errInvalid("Invalid paging token")
	}
	end := min(len(all), start+top(c.q, c.listPage()))
	out := object{"@odata.context": c.contextURL(), "value": all[start:end]}
	if end < len(all) {
		q := url.Values{}
		for k, v := range c.q {
			q[k] = v
		}
		q.Del("skiptoken")
		q.Set("$skiptoken", strconv.Itoa(end))
		out["@odata.nextLink"] = c.link(q)
	}
	return jsonReply(http.StatusOK, out), nil
}

// followed lists the sites a person follows: all that Follow named.
func (c *call) followed() (*reply, error) {
	if c.user == nil {
		return nil, errNotFound()
	}
	value := []object{}
	for _, st := range c.s.sites {
		if slices.Contains(c.user.follows, st.id) {
			value = append(value, st.json())
		}
	}
	return c.collection(value), nil
}

// Follow makes a person (id or sign-in name; "" is Me) follow the site at a server-relative path. It
// reports whether both exist.
func (s *Server) Follow(user, sitePath string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.first()
	if user != "" {
		u = s.userBy(user)
	}
	st := s.siteBy(SharePointHost + ":/" + strings.Trim(sitePath, "/"))
	if u == nil || st == nil {
		return false
	}
	u.follows = append(u.follows, st.id)
	return true
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
	if c.user != nil && c.s.odds[17] != nil && c.s.now().Sub(c.who.begun) < c.s.lasts(17) && c.s.odd(17) {
		return nil, &apiError{status: http.StatusForbidden, code: "accessDenied", msg: "Access denied"}
	}
	value := []object{}
	for _, d := range list {
		value = append(value, d.driveJSON())
	}
	if c.user != nil && (c.s.quirks.PhantomDrives || c.s.odd(17)) {
		for _, name := range []string{"ODCMetadataArchive", "PersonalCacheLibrary"} {
			value = append(value, object{"id": "b!" + c.s.guidOf(name), "name": name, "driveType": c.user.d.kind, "owner": c.user.d.person()})
		}
	}
	return c.collection(value), nil
}

// listID is the id of the list behind a library.
func (d *Drive) listID() string { return d.s.guidOf("list " + d.id) }

func (d *Drive) listJSON() object {
	return object{"id": d.listID(), "name": path.Base(d.webPath), "displayName": d.title, "webUrl": d.webURL(nil), "eTag": `"` + d.listID() + `,1"`,
		"createdDateTime": d.stamp(d.created), "lastModifiedDateTime": d.stamp(d.root.modified),
		"list": object{"contentTypesEnabled": false, "hidden": false, "template": "documentLibrary"}}
}

// lists answers about the lists of a site, which are its libraries.
func (c *call) lists(rest string) (*reply, error) {
	if rest == "" {
		value := []object{}
		for _, d := range c.site.drives {
			value = append(value, d.listJSON())
		}
		return c.collection(value), nil
	}
	id, rest, _ := strings.Cut(rest, "/")
	d := c.site.list(id)
	if d == nil {
		return nil, errNotFound()
	}
	switch rest {
	case "":
		return c.object(d.listJSON()), nil
	case "drive":
		return c.object(d.driveJSON()), nil
	case "items":
		value := []object{}
		d.root.each(func(it *item) {
			if it != d.root && len(value) < c.listPage() {
				value = append(value, d.listItem(it))
			}
		})
		return c.collection(value), nil
	}
	return nil, errNotFound()
}

// list finds a library by the id or the title of its list.
func (st *site) list(id string) *Drive {
	for _, d := range st.drives {
		if strings.EqualFold(d.listID(), id) || d.title == id {
			return d
		}
	}
	return nil
}

// listItem is the row that belongs to an item of a library.
func (d *Drive) listItem(it *item) object {
	kind := "Document"
	if it.folder {
		kind = "Folder"
	}
	fields := object{"FileLeafRef": it.name, "ContentType": kind}
	for k, v := range d.fields[it.id] {
		fields[k] = v
	}
	return object{"id": strconv.FormatUint(it.n, 10), "eTag": d.eTag(it), "webUrl": d.webURL(it), "contentType": object{"name": kind}, "fields": fields,
		"createdDateTime": d.stamp(it.created), "lastModifiedDateTime": d.stamp(it.modified), "sharepointIds": d.sharePointIDs(it)}
}

// sharePointIDs are the ids of an item in SharePoint's own terms.
func (d *Drive) sharePointIDs(it *item) object {
	o := object{"listId": d.listID(), "listItemId": strconv.FormatUint(it.n, 10), "listItemUniqueId": strings.ToLower(d.guid(it)), "tenantId": d.s.guidOf("tenant")}
	if d.site != nil {
		parts := strings.Split(d.site.id, ",")
		o["siteId"], o["webId"], o["siteUrl"] = parts[1], parts[2], "https://"+d.site.host+"/"+escapePath(d.site.path)
	}
	return o
}

// listItemAnswer reads or changes the columns of an item.
func (c *call) listItemAnswer(it *item, in object) (*reply, error) {
	d := c.drive
	if d.kind == Personal {
		return nil, errInvalid("Personal drives have no list items.")
	}
	_, what, _ := strings.Cut(c.rt.suffix, "/")
	switch {
	case c.r.Method == http.MethodPatch && what == "fields":
		if err := d.locked(it); err != nil {
			return nil, err
		}
		if d.fields[it.id] == nil {
			d.fields[it.id] = object{}
		}
		for k, v := range in {
			d.fields[it.id][k] = v
		}
		d.bump(it, false, c.s.now())
		return jsonReply(http.StatusOK, d.listItem(it)["fields"]), nil
	case c.r.Method != http.MethodGet:
		return nil, errInvalid("Columns are changed by PATCH of the fields.")
	case what == "fields":
		return c.object(d.listItem(it)["fields"].(object)), nil
	}
	return c.object(d.listItem(it)), nil
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
