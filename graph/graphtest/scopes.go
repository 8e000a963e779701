package graphtest

import (
	"net/http"
	"slices"
	"strings"
)

// allows says what a token is good for (graph-facts §1.6): the permissions that its application was granted, or those that
// its person agreed to. The zero value allows everything, as a token of [Server.AccessToken] does.
type allows struct{ limited, read, write, own, sites, people, full bool }

// allowing reads permissions by name, with or without the address of the service before them.
func allowing(names []string) allows {
	a := allows{limited: true}
	for _, n := range names {
		verb, all := strings.CutSuffix(strings.ToLower(n[strings.LastIndexByte(n, '/')+1:]), ".all")
		switch verb {
		case "files.read", "files.readwrite":
			a.read = true
			a.write = a.write || verb == "files.readwrite"
			a.own = a.own || all
		case "sites.read", "sites.readwrite", "sites.manage", "sites.fullcontrol":
			a.read, a.sites, a.own = true, true, true
			a.write = a.write || verb != "sites.read"
			a.full = a.full || verb == "sites.fullcontrol"
		case "user.read", "user.readbasic", "user.readwrite":
			a.people = true
		case ".default":
			return allows{}
		}
	}
	return a
}

// SetPermissions says what an application was granted, such as "Files.Read.All"; it counts for tokens given from now on.
// Without permissions named, it may do everything.
func (s *Server) SetPermissions(client string, permissions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entra.granted[strings.ToLower(client)] = permissions
}

// permitted refuses what the token of a request does not allow. The caller holds the lock.
func (c *call) permitted() error {
	a, o := c.who.allows, c.op
	personal := c.who.user != nil && c.who.user.d.kind == Personal
	if o.Kind == OpSite && personal {
		return &apiError{status: http.StatusBadRequest, code: "BadRequest", msg: "This API is not supported for MSA accounts"}
	}
	if !a.limited || o.Kind == OpBatch {
		return nil
	}
	ok := a.read
	switch {
	case o.Kind == OpUser:
		ok = a.people
	case o.Kind == OpSite, o.Kind == OpDrives && c.rt.base == "sites":
		ok = a.sites
	case o.Kind == OpSubscription, o.Kind == OpSocket:
	case o.Write():
		ok = a.write
	}
	if !a.own && c.drive != nil && c.who.user != nil && c.drive.owner != c.who.user {
		ok = false
	}
	if ok {
		return nil
	}
	return &apiError{status: http.StatusForbidden, code: "accessDenied", msg: "Access denied"}
}

// consented are the permissions that a person has agreed to for an application, in lower case.
type consented map[string][]string

func consentKey(client string, u *User) string {
	if u == nil {
		return client
	}
	return client + " " + u.ID
}

// agree notes what a person who is signing in agrees to.
func (e *entra) agree(p principal, scope string) {
	key := consentKey(p.client, p.user)
	for _, sc := range scopes(scope) {
		if !slices.Contains(e.consent[key], sc) {
			e.consent[key] = append(e.consent[key], sc)
		}
	}
}

// agreed reports whether a person has agreed to all of some permissions.
func (e *entra) agreed(p principal, scope string) bool {
	for _, sc := range scopes(scope) {
		if !slices.Contains(e.consent[consentKey(p.client, p.user)], sc) {
			return false
		}
	}
	return true
}

// scopes takes a list of permissions apart, without those that everybody has.
func scopes(text string) []string {
	var out []string
	for _, sc := range strings.Fields(strings.ToLower(text)) {
		sc = sc[strings.LastIndexByte(sc, '/')+1:]
		switch sc {
		case "openid", "profile", "email", "offline_access", ".default":
		default:
			out = append(out, sc)
		}
	}
	return out
}
