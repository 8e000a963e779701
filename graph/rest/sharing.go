package rest

import (
	"context"
	"net/http"
	"strings"

	"github.com/duskfs/duskfs/graph"
)

var _ graph.Sharing = (*Drive)(nil)

// Permissions returns all permissions of an item.
func (d *Drive) Permissions(ctx context.Context, id graph.ItemID) ([]graph.Permission, error) {
	k := d.permissionsCall(id)
	all, err := listFrom[wirePermission](ctx, d.c, k, k.url)
	return permissions(all), err
}

// PermissionsOf returns all permissions of many items, twenty items a request. Each is paid for by itself.
func (d *Drive) PermissionsOf(ctx context.Context, ids []graph.ItemID) []graph.Grants {
	parts := make([]*part, len(ids))
	for i, id := range ids {
		parts[i] = &part{k: d.permissionsCall(id)}
	}
	d.c.together(ctx, parts)
	grants := make([]graph.Grants, len(ids))
	for i, p := range parts {
		grants[i] = graph.Grants{Item: ids[i], Err: p.err}
		if p.err != nil {
			continue
		}
		var page wireList[wirePermission]
		if !p.reply.decode(&page) || page.Value == nil {
			grants[i].Err = p.k.senseless(p.reply)
			continue
		}
		all := page.Value
		if page.Next != "" {
			var rest []wirePermission
			rest, grants[i].Err = listFrom[wirePermission](ctx, d.c, p.k, page.Next)
			all = append(all, rest...)
		}
		if grants[i].Err == nil {
			grants[i].All = permissions(all)
		}
	}
	return grants
}

func (d *Drive) permissionsCall(id graph.ItemID) call {
	return call{op: "permissions", item: string(id), method: http.MethodGet, read: true, url: d.c.address(d.itemPath(id) + "/permissions"),
		missing: knownMissing, price: sharing}
}

// wirePermission is a permission as it comes (graph-facts §13). Most services send who has it twice, in a new form
// and in an old one that knows people alone; some send one of both.
type wirePermission struct {
	ID         string           `json:"id"`
	Roles      []string         `json:"roles"`
	To         wireIdentities   `json:"grantedToV2"`
	OldTo      wireIdentities   `json:"grantedTo"`
	Many       []wireIdentities `json:"grantedToIdentitiesV2"`
	OldMany    []wireIdentities `json:"grantedToIdentities"`
	Inherited  facet            `json:"inheritedFrom"` // may be an empty object
	Expires    string           `json:"expirationDateTime"`
	Invitation struct {
		Email string `json:"email"`
	} `json:"invitation"`
	Link *struct {
		Type  string `json:"type"`
		Scope string `json:"scope"`
	} `json:"link"`
}

// wireIdentities is one somebody in up to several forms.
type wireIdentities struct {
	User, Group, Application, Device, SiteUser, SiteGroup, SharePointGroup *wireIdentity
}

type wireIdentity struct {
	ID    string `json:"id"`
	Name  string `json:"displayName"`
	Title string `json:"title"`
	Email string `json:"email"`
	UPN   string `json:"userPrincipalName"`
	Login string `json:"loginName"`
}

func permissions(all []wirePermission) []graph.Permission {
	out := make([]graph.Permission, 0, len(all))
	for _, w := range all {
		out = append(out, w.permission())
	}
	return out
}

func (w wirePermission) permission() graph.Permission {
	p := graph.Permission{ID: w.ID, Roles: w.Roles, Inherited: w.Inherited.here(), Expires: parseTime(w.Expires)}
	if w.Link != nil {
		p.Link = &graph.SharingLink{Type: w.Link.Type, Scope: w.Link.Scope}
	}
	for _, sets := range [][]wireIdentities{append([]wireIdentities{w.To}, w.Many...), append([]wireIdentities{w.OldTo}, w.OldMany...)} {
		for _, s := range sets {
			if i, ok := s.identity(); ok {
				p.To = append(p.To, i)
			}
		}
		if len(p.To) > 0 {
			return p
		}
	}
	if w.Invitation.Email != "" { // not taken up yet
		p.To = []graph.Identity{{Kind: graph.User, Name: w.Invitation.Email, Email: w.Invitation.Email}}
	}
	return p
}

// identity makes one of the forms of somebody, each of which may know what the others do not. What somebody is on the site
// comes last, since there a group of the tenant is a user as well.
func (w wireIdentities) identity() (graph.Identity, bool) {
	var i graph.Identity
	for _, form := range []struct {
		kind graph.IdentityKind
		w    *wireIdentity
	}{
		{graph.Group, w.Group}, {graph.User, w.User}, {graph.Application, w.Application}, {graph.Application, w.Device},
		{graph.SiteGroup, w.SiteGroup}, {graph.SiteGroup, w.SharePointGroup}, {graph.User, w.SiteUser},
	} {
		if form.w == nil || *form.w == (wireIdentity{}) {
			continue
		}
		if i.Kind == "" {
			i.Kind = form.kind
			if form.w == w.SiteUser && strings.HasPrefix(form.w.Login, "c:0") {
				i.Kind = graph.Group
			}
		}
		first(&i.ID, form.w.ID)
		first(&i.Name, form.w.Name, form.w.Title)
		first(&i.Email, form.w.Email, form.w.UPN)
		first(&i.Login, form.w.Login)
	}
	first(&i.Name, everybody(i.Login), i.Email, i.Login[strings.LastIndex(i.Login, "|")+1:], i.ID)
	return i, i.Name != ""
}

// everybody names the two groups that hold everybody, of which now and then nothing but the login name comes.
func everybody(login string) string {
	switch {
	case strings.HasPrefix(login, "c:0-.f|rolemanager|spo-grid-all-users/"):
		return "Everyone except external users"
	case login == "c:0(.s|true":
		return "Everyone"
	}
	return ""
}

// first sets a text that is not set yet to the first of several that says something.
func first(text *string, candidates ...string) {
	for _, c := range candidates {
		if *text == "" {
			*text = strings.TrimSpace(c)
		}
	}
}
