package graphtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

const form = "Content-Type: application/x-www-form-urlencoded"

// ask posts a form to the login host, below the tenant.
func (c *client) ask(status int, path string, pairs ...string) answer {
	c.t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return c.want(status, "POST", c.s.LoginURL()+"/"+c.s.TenantID()+"/oauth2/v2.0/"+path, v.Encode(), form)
}

func TestDiscovery(t *testing.T) {
	c := start(t, graphtest.Options{})
	root := c.s.LoginURL() + "/" + c.s.TenantID()
	a := c.want(200, "GET", root+"/v2.0/.well-known/openid-configuration?", nil)
	equal(t, "issuer", a.at("issuer"), root+"/v2.0")
	equal(t, "endpoint", a.at("token_endpoint"), root+"/oauth2/v2.0/token")
	equal(t, "by substitution", strings.ReplaceAll(a.at("token_endpoint"), "token", "devicecode"), a.at("device_authorization_endpoint"))
	c.want(400, "GET", c.s.LoginURL()+"/no-such-tenant/v2.0/.well-known/openid-configuration", nil)
	q := url.Values{"api-version": {"1.1"}, "authorization_endpoint": {root + "/oauth2/v2.0/authorize"}}
	c.want(200, "GET", c.s.LoginURL()+"/common/discovery/instance?"+q.Encode(), nil)
	q.Set("authorization_endpoint", "https://evil.example/x")
	equal(t, "error", c.want(400, "GET", c.s.LoginURL()+"/common/discovery/instance?"+q.Encode(), nil).at("error"), "invalid_instance")
}

func TestAppsSignInWithASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{TokenLife: 10 * time.Second})
		const scope = "https://graph.microsoft.com/.default openid offline_access profile"
		good := []string{"grant_type", "client_credentials", "client_id", graphtest.DefaultClientID, "client_secret", graphtest.DefaultClientSecret, "scope", scope}
		a := c.ask(200, "token", good...)
		equal(t, "life", a.at("expires_in"), "10")
		equal(t, "refresh token", a.at("refresh_token"), "")
		if !strings.HasPrefix(a.at("access_token"), "SECRET-ACCESS-") {
			t.Errorf("token: %s", a.at("access_token"))
		}
		c.token = a.at("access_token")
		c.want(200, "GET", "/users/"+c.s.Me().ID, nil)
		time.Sleep(10 * time.Second)
		a = c.want(401, "GET", "/users/"+c.s.Me().ID, nil)
		equal(t, "expired", a.at("error/code"), "InvalidAuthenticationToken")
		if a.header.Get("WWW-Authenticate") == "" {
			t.Error("no WWW-Authenticate")
		}
		change := func(key, value string) []string {
			out := append([]string(nil), good...)
			for i := 0; i < len(out); i += 2 {
				if out[i] == key {
					out[i+1] = value
				}
			}
			return out
		}
		for _, x := range []struct {
			key, value string
			status     int
			code       string
			number     string
		}{
			{"client_secret", "wrong", 401, "invalid_client", "[7000215]"},
			{"client_secret", "", 401, "invalid_client", "[7000218]"},
			{"client_id", "other", 400, "unauthorized_client", "[700016]"},
			{"scope", "Files.Read", 400, "invalid_scope", "[1002012]"},
			{"grant_type", "magic", 400, "unsupported_grant_type", "[70003]"},
		} {
			a := c.ask(x.status, "token", change(x.key, x.value)...)
			equal(t, x.key, a.at("error")+a.at("error_codes"), x.code+x.number)
			if strings.Contains(string(a.raw), graphtest.DefaultClientSecret) {
				t.Error("the secret is repeated")
			}
		}
		c.token = "nonsense"
		c.want(401, "GET", "/me", nil)
		equal(t, "count", c.s.Counts().Of(graphtest.OpToken), 6)
	})
}

func TestPeopleSignInByDeviceCode(t *testing.T) {
	for _, grant := range []string{"device_code", "urn:ietf:params:oauth:grant-type:device_code"} {
		c := start(t, graphtest.Options{})
		a := c.ask(200, "devicecode", "client_id", graphtest.DefaultClientID, "scope", "Files.ReadWrite.All User.Read openid offline_access profile")
		redeem := []string{"grant_type", grant, "device_code", a.at("device_code"), "client_id", graphtest.DefaultClientID, "client_info", "1",
			"scope", "Files.ReadWrite.All User.Read openid offline_access profile"}
		equal(t, "pending", c.ask(400, "token", redeem...).at("error"), "authorization_pending")
		if c.s.ApproveDevice("WRONG", "") {
			t.Error("an unknown code was approved")
		}
		if !strings.Contains(a.at("message"), a.at("user_code")) || !c.s.ApproveDevice(a.at("user_code"), "bob@contoso.example") {
			t.Errorf("cannot approve %s", a.raw)
		}
		b := c.ask(200, "token", redeem...)
		equal(t, "scope", b.at("scope"), "Files.ReadWrite.All User.Read openid offline_access profile")
		c.token = b.at("access_token")
		me := c.want(200, "GET", "/me", nil)
		equal(t, "who", me.at("userPrincipalName"), "bob@contoso.example")
		info, err := base64.RawURLEncoding.DecodeString(b.at("client_info"))
		if err != nil || !strings.Contains(string(info), me.at("id")) {
			t.Errorf("client_info: %s, %v", info, err)
		}
		parts := strings.Split(b.at("id_token"), ".")
		claims, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || len(parts) != 3 || !json.Valid(claims) {
			t.Errorf("id token: %s", b.at("id_token"))
		}
		c.ask(400, "token", redeem...) // once only
		refresh := []string{"grant_type", "refresh_token", "refresh_token", b.at("refresh_token"), "client_id", graphtest.DefaultClientID, "scope", "Files.ReadWrite.All offline_access"}
		d := c.ask(200, "token", refresh...)
		if d.at("refresh_token") == b.at("refresh_token") || d.at("access_token") == b.at("access_token") {
			t.Error("a refresh gives the same tokens")
		}
		c.s.RevokeAccess()
		c.want(401, "GET", "/me", nil)
		c.ask(200, "token", refresh...)
		c.s.RevokeSignIns()
		a = c.ask(400, "token", refresh...)
		equal(t, "revoked", a.at("error")+a.at("error_codes"), "invalid_grant[50173]")
	}
}

func TestDeviceCodesAreDeclinedAndExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{})
		begin := func() (string, []string) {
			a := c.ask(200, "devicecode", "client_id", graphtest.DefaultClientID, "scope", "User.Read")
			return a.at("user_code"), []string{"grant_type", "device_code", "device_code", a.at("device_code"), "client_id", graphtest.DefaultClientID}
		}
		code, redeem := begin()
		c.s.DeclineDevice(code)
		equal(t, "declined", c.ask(400, "token", redeem...).at("error"), "authorization_declined")
		_, redeem = begin()
		time.Sleep(15 * time.Minute)
		equal(t, "expired", c.ask(400, "token", redeem...).at("error"), "expired_token")
		c.s.AutoApprove(true)
		_, redeem = begin()
		c.ask(200, "token", redeem...)
	})
}

func TestPeopleSignInInABrowser(t *testing.T) {
	c := start(t, graphtest.Options{})
	sum := sha256.Sum256([]byte("verifier"))
	q := url.Values{"client_id": {graphtest.DefaultClientID}, "response_type": {"code"}, "redirect_uri": {"http://localhost:1234"}, "state": {"s&1"},
		"scope": {"User.Read offline_access"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}, "response_mode": {"form_post"}}
	page := c.want(200, "GET", c.s.LoginURL()+"/common/oauth2/v2.0/authorize?"+q.Encode(), nil)
	m := regexp.MustCompile(`action="([^"]+)".*name="code" value="([^"]+)".*name="state" value="([^"]+)"`).FindStringSubmatch(string(page.raw))
	if m == nil || m[1] != "http://localhost:1234" || m[3] != "s&amp;1" {
		t.Fatalf("form: %s", page.raw)
	}
	redeem := func(status int, code, verifier string) answer {
		return c.ask(status, "token", "grant_type", "authorization_code", "code", code, "client_id", graphtest.DefaultClientID, "redirect_uri", "http://localhost:1234", "code_verifier", verifier)
	}
	a := redeem(200, m[2], "verifier")
	if a.at("refresh_token") == "" {
		t.Errorf("no refresh token: %s", a.raw)
	}
	equal(t, "twice", redeem(400, m[2], "verifier").at("error_codes"), "[54005]")
	q.Set("response_mode", "query")
	loc, err := url.Parse(c.want(302, "GET", c.s.LoginURL()+"/common/oauth2/v2.0/authorize?"+q.Encode(), nil).header.Get("Location"))
	if err != nil || loc.Query().Get("state") != "s&1" {
		t.Fatalf("redirect: %v, %v", loc, err)
	}
	equal(t, "verifier", redeem(400, loc.Query().Get("code"), "other").at("error_codes"), "[501481]")
}
