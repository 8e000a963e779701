package graphtest_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// A token allows what its application was granted or its person agreed to, and nothing else.
func TestTokensAllowWhatWasAgreedTo(t *testing.T) {
	c := start(t, graphtest.Options{})
	f := c.put("/f.txt", "x")
	lib := c.s.Drive("sites/Engineering#Documents")
	form := func(v ...string) url.Values {
		f := url.Values{"client_id": {graphtest.DefaultClientID}, "client_secret": {graphtest.DefaultClientSecret}}
		for i := 0; i < len(v); i += 2 {
			f.Set(v[i], v[i+1])
		}
		return f
	}
	ask := func(want int, f url.Values) answer {
		t.Helper()
		return c.want(want, "POST", c.s.LoginURL()+"/"+c.s.TenantID()+"/oauth2/v2.0/token", f.Encode(), "Content-Type: application/x-www-form-urlencoded")
	}
	asApp := func(permissions ...string) *client {
		t.Helper()
		c.s.SetPermissions(graphtest.DefaultClientID, permissions...)
		a := ask(200, form("grant_type", "client_credentials", "scope", "https://graph.microsoft.com/.default"))
		return &client{t: t, s: c.s, hc: c.hc, token: a.at("access_token")}
	}
	asPerson := func(scope string) (*client, string) {
		t.Helper()
		code := c.want(200, "POST", c.s.LoginURL()+"/common/oauth2/v2.0/devicecode", form("scope", scope+" offline_access").Encode(), "Content-Type: application/x-www-form-urlencoded")
		if !c.s.ApproveDevice(code.at("user_code"), "") {
			t.Fatal("nobody was signed in")
		}
		a := ask(200, form("grant_type", "device_code", "device_code", code.at("device_code")))
		return &client{t: t, s: c.s, hc: c.hc, token: a.at("access_token")}, a.at("refresh_token")
	}
	item, folder := "/drives/"+c.s.Me().Drive().ID()+"/items/"+f.ID, object{"name": "d", "folder": object{}}
	library := "/drives/" + lib.ID() + "/root"

	for permission, want := range map[string]string{
		"":                    "read write sites library all",
		"Files.Read.All":      "read library",
		"Files.ReadWrite.All": "read write library",
		"Sites.Read.All":      "read sites library all",
		"User.Read.All":       "",
	} {
		var named []string
		if permission != "" {
			named = []string{permission}
		}
		a, got := asApp(named...), []string{}
		note := func(what string, x answer) {
			switch {
			case x.status < 300:
				got = append(got, what)
			case x.status != 403 || x.at("error/code") != "accessDenied":
				t.Errorf("%q, %s: %d %s", permission, what, x.status, x.raw)
			}
		}
		note("read", a.do("GET", item, nil))
		note("write", a.do("PATCH", item, object{"name": "f.txt"}))
		note("sites", a.do("GET", "/sites?search=*", nil))
		note("library", a.do("GET", library, nil))
		note("all", a.do("GET", "/sites/getAllSites", nil))
		equal(t, "as an app with "+permission, strings.Join(got, " "), want)
	}

	own, refresh := asPerson("Files.Read User.Read")
	own.want(200, "GET", "/me", nil)
	own.want(200, "GET", "/me/drive/root", nil)
	own.want(403, "GET", library, nil)
	own.want(403, "POST", "/me/drive/root/children", folder)
	again := form("grant_type", "refresh_token", "refresh_token", refresh)
	ask(200, again)
	again.Set("scope", "Files.ReadWrite.All")
	equal(t, "more than was agreed to", ask(400, again).at("error_codes"), "[65001]")
	asPerson("Files.ReadWrite.All")
	ask(200, again)

	// Sharing is told by the feed to who controls the site.
	prefer := "Prefer: hierarchicalsharing, deltashowremovedasdeleted, deltatraversepermissiongaps, deltashowsharingchanges"
	if _, err := lib.Put("/x", nil); err != nil {
		t.Fatal(err)
	}
	if err := lib.Grant("/x", graphtest.Grant{Link: "anonymous"}); err != nil {
		t.Fatal(err)
	}
	for permission, want := range map[string]bool{"Sites.Read.All": false, "Sites.FullControl.All": true} {
		a := asApp(permission).want(200, "GET", library+"/delta", nil, prefer)
		equal(t, "sharing told with "+permission, strings.Contains(string(a.raw), "sharedChanged"), want)
	}
}

// Personal accounts know no sites.
func TestPersonalAccountsKnowNoSites(t *testing.T) {
	c := start(t, graphtest.Options{Personal: true})
	c.want(200, "GET", "/me/drive/root", nil)
	c.want(400, "GET", "/sites?search=*", nil)
}
