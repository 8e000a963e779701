package graphtest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Grant is a right on an item, given by a colleague. One of User, Group, SiteGroup and Link says to
// whom.
type Grant struct {
	User      string   `json:"user,omitempty"`       // sign-in name
	Group     string   `json:"group,omitempty"`      // display name of a Microsoft 365 group
	SiteGroup string   `json:"site_group,omitempty"` // title of a group of the site
	Link      string   `json:"link,omitempty"`       // scope of a link: anonymous, organization, users, existingAccess
	LinkType  string   `json:"link_type,omitempty"`  // view, edit, embed, review, blocksDownload; empty follows the role
	To        []string `json:"to,omitempty"`         // sign-in names of the people a link is for
	Role      string   `json:"role,omitempty"`       // read, write, owner, "sp.full control" …; empty is read
	Expires   string   `json:"expires,omitempty"`    // RFC 3339
}

// permission is one grant on an item, in plain form.
type permission struct {
	ID        string   `json:"id"`
	Role      string   `json:"role"`
	User      string   `json:"user,omitempty"` // sign-in name
	Name      string   `json:"name,omitempty"` // display name of a person or a group
	Group     string   `json:"group,omitempty"`
	SiteGroup bool     `json:"site_group,omitempty"`
	Link      string   `json:"link,omitempty"` // scope of a sharing link instead of somebody
	LinkType  string   `json:"link_type,omitempty"`
	To        []string `json:"to,omitempty"`
	Expires   string   `json:"expires,omitempty"`
}

// login is the claims name of who has the grant (graph-facts §13).
func (p permission) login() string {
	switch {
	case p.Group != "":
		return "c:0o.c|federateddirectoryclaimprovider|" + p.Group
	case p.SiteGroup:
		return p.Name
	}
	return "i:0#.f|membership|" + p.User
}

// grantOf makes the plain form.
func (d *Drive) grantOf(it *item, g Grant) permission {
	p := permission{Role: g.Role, User: g.User, Name: g.User, Link: g.Link, LinkType: g.LinkType, To: g.To, Expires: g.Expires}
	if p.Role == "" {
		p.Role = "read"
	}
	switch {
	case g.Group != "":
		p.Name, p.Group = g.Group, d.s.guidOf("group "+g.Group)
	case g.SiteGroup != "":
		p.Name, p.SiteGroup = g.SiteGroup, true
	case g.User != "":
		if u := d.s.userBy(g.User); u != nil {
			p.User, p.Name = u.UPN, u.Name
		}
	}
	if g.Link != "" && g.LinkType == "" {
		p.LinkType = "view"
		if p.Role == "write" {
			p.LinkType = "edit"
		}
	}
	switch {
	case g.Link == "existingAccess":
		p.ID = "00000000-0000-0000-0000-000000000000"
	case g.Link != "" || d.kind == Personal:
		p.ID = d.s.guidOf(strings.Join([]string{d.id, it.id, g.Link, p.LinkType, p.login()}, " "))
	default: // on business drives the id of a direct grant is who has it
		p.ID = base64.RawURLEncoding.EncodeToString([]byte(p.login()))
	}
	return p
}

// grant gives a right, in place of what the same one had. It reports whether it is a new one.
func (d *Drive) grant(it *item, p permission, now time.Time) bool {
	all := d.grants[it.id]
	i := slices.IndexFunc(all, func(q permission) bool { return q.ID == p.ID })
	if i >= 0 {
		all[i] = p
	} else {
		d.grants[it.id] = append(all, p)
	}
	d.shared(it, now)
	return i < 0
}

// shared notes that the rights on an item changed.
func (d *Drive) shared(it *item, now time.Time) {
	d.bump(it, false, now)
	d.sharedAt[it.id] = it.seq
}

// Grant gives a right on an item; it shows as a change of the item.
func (d *Drive) Grant(path string, g Grant) error {
	return d.act("grant", path, func(now time.Time) error {
		it, err := d.at(path)
		if err == nil {
			d.grant(it, d.grantOf(it, g), now)
		}
		return err
	})
}

// Revoke takes every right given on an item itself; what it inherits stays.
func (d *Drive) Revoke(path string) error {
	return d.act("revoke", path, func(now time.Time) error {
		it, err := d.at(path)
		if err == nil {
			d.grants[it.id] = nil
			d.shared(it, now)
		}
		return err
	})
}

// identity builds who somebody is, in the new form and in the old one.
func (p permission) identity(s *Server) (v2, old object) {
	site := object{"id": "7", "displayName": p.Name, "loginName": p.login()}
	switch {
	case p.SiteGroup:
		return object{"siteGroup": object{"id": "5", "displayName": p.Name, "loginName": p.Name}}, object{"user": object{"displayName": p.Name}}
	case p.Group != "":
		email := strings.ReplaceAll(strings.ToLower(p.Name), " ", "") + "@contoso.example"
		return object{"group": object{"id": p.Group, "displayName": p.Name, "email": email}, "siteUser": site},
			object{"user": object{"displayName": p.Name, "email": email}}
	}
	who := object{"displayName": p.Name, "email": p.User}
	if u := s.userBy(p.User); u != nil {
		who["id"] = u.ID
	}
	site["email"] = p.User
	return object{"user": who, "siteUser": site}, object{"user": who}
}

// json builds a permission. at is where it was given, of the item asked about or above it.
func (p permission) json(d *Drive, it, at *item) object {
	o := object{"id": p.ID, "roles": []string{p.Role}}
	if p.Link != "" {
		o["link"] = object{"type": p.LinkType, "scope": p.Link, "webUrl": p.webURL(), "preventsDownload": p.LinkType == "blocksDownload"}
		o["shareId"] = "u!" + base64.RawURLEncoding.EncodeToString([]byte(p.webURL()))
		if d.kind == Personal {
			o["hasPassword"] = false
		}
		if len(p.To) > 0 {
			v2, old := []object{}, []object{}
			for _, upn := range p.To {
				x, y := permission{User: upn, Name: d.s.nameOf(upn)}.identity(d.s)
				v2, old = append(v2, x), append(old, y)
			}
			o["grantedToIdentitiesV2"], o["grantedToIdentities"] = v2, old
		}
	} else {
		o["grantedToV2"], o["grantedTo"] = p.identity(d.s)
	}
	if p.Expires != "" {
		o["expirationDateTime"] = p.Expires
	}
	if at != it {
		o["inheritedFrom"] = object{}
		if d.kind == Personal {
			o["inheritedFrom"] = object{"driveId": d.id, "id": at.id, "path": "/drives/" + d.id + "/root:" + strings.TrimSuffix(escapePath(at.path()), "/")}
		}
	}
	return o
}

func (s *Server) nameOf(upn string) string {
	if u := s.userBy(upn); u != nil {
		return u.Name
	}
	return upn
}

func (p permission) webURL() string {
	return "https://" + SharePointHost + "/:x:/s/" + url.PathEscape(p.ID)
}

// share makes a sharing link, or finds the one of the same kind; or it invites people.
func (c *call) share(it *item, in object) (*reply, error) {
	d, now := c.drive, c.s.now()
	if c.rt.suffix == "invite" {
		return c.invite(it, in)
	}
	str := func(key string) string { v, _ := in[key].(string); return v }
	g := Grant{Link: str("scope"), LinkType: str("type"), Expires: str("expirationDateTime")}
	switch g.LinkType {
	case "view", "review", "blocksDownload":
	case "edit":
		g.Role = "write"
	case "embed":
		if d.kind != Personal {
			return nil, errInvalid("Links to embed are for personal drives.")
		}
	default:
		return nil, errInvalid("The type of a link is view, edit or embed.")
	}
	switch g.Link {
	case "":
		g.Link = "organization"
		if d.kind == Personal {
			g.Link = "anonymous"
		}
	case "anonymous", "organization", "users":
	default:
		return nil, errInvalid("The scope of a link is anonymous, organization or users.")
	}
	p := d.grantOf(it, g)
	if i := slices.IndexFunc(d.grants[it.id], func(q permission) bool { return q.ID == p.ID }); i >= 0 {
		return jsonReply(http.StatusOK, d.grants[it.id][i].json(d, it, it)), nil
	}
	d.grant(it, p, now)
	return jsonReply(http.StatusCreated, p.json(d, it, it)), nil
}

// invite gives people a right.
func (c *call) invite(it *item, in object) (*reply, error) {
	role := "read"
	if roles, _ := in["roles"].([]any); len(roles) > 0 {
		role, _ = roles[0].(string)
	}
	people, _ := in["recipients"].([]any)
	if len(people) == 0 || role != "read" && role != "write" {
		return nil, errInvalid("An invitation needs recipients, and roles that are read or write.")
	}
	value := []object{}
	for _, x := range people {
		who, _ := x.(map[string]any)
		name, _ := who["email"].(string)
		if id, _ := who["objectId"].(string); id != "" {
			if u := c.s.userBy(id); u != nil {
				name = u.UPN
			}
		}
		if name == "" {
			return nil, errInvalid("A recipient has neither email nor objectId.")
		}
		p := c.drive.grantOf(it, Grant{User: name, Role: role})
		c.drive.grant(it, p, c.s.now())
		value = append(value, p.json(c.drive, it, it))
	}
	return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": value}), nil
}

// owner is the grant that every item inherits from its drive.
func (d *Drive) ownerGrant() permission {
	if d.owner != nil {
		return permission{ID: d.s.guidOf("owner " + d.id), Role: "owner", User: d.owner.UPN, Name: d.owner.Name}
	}
	return permission{ID: d.s.guidOf("owner " + d.id), Role: "owner", Name: d.site.title + " Owners", SiteGroup: true}
}

// permissions lists what is granted on an item and on the folders above it, or changes one grant.
func (c *call) permissions(it *item) (*reply, error) {
	d := c.drive
	_, id, one := strings.Cut(c.rt.suffix, "/")
	value := []object{d.ownerGrant().json(d, it, d.root)}
	for at := it; at != nil; at = at.parent {
		for _, p := range d.grants[at.id] {
			if c.r.Method != http.MethodGet && p.ID == id && at == it {
				return c.changePermission(it, p)
			}
			value = append(value, p.json(d, it, at))
		}
	}
	if !one {
		fields := selection(c.q)
		for i := range value {
			value[i] = selected(value[i], fields)
		}
		return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": value}), nil
	}
	for _, o := range value {
		switch {
		case o["id"] != id:
		case c.r.Method == http.MethodGet:
			return c.object(o), nil
		default:
			return nil, &apiError{status: http.StatusForbidden, code: "accessDenied", msg: "An inherited permission cannot be changed here."}
		}
	}
	return nil, errNotFound()
}

// changePermission gives a grant another role, or takes it away.
func (c *call) changePermission(it *item, p permission) (*reply, error) {
	d, now := c.drive, c.s.now()
	if c.r.Method == http.MethodDelete {
		d.grants[it.id] = slices.DeleteFunc(d.grants[it.id], func(q permission) bool { return q.ID == p.ID })
		d.shared(it, now)
		return newReply(http.StatusNoContent), nil
	}
	roles, _ := c.in["roles"].([]any)
	if c.r.Method != http.MethodPatch || len(roles) == 0 || p.Link != "" {
		return nil, errInvalid("Only the roles of a person or a group can be changed.")
	}
	p.Role, _ = roles[0].(string)
	d.grant(it, p, now)
	return jsonReply(http.StatusOK, p.json(d, it, it)), nil
}
