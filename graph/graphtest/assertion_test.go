package graphtest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// signer makes tokens of its own.
type signer struct {
	t    *testing.T
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t, key, cert}
}

// token signs claims; head may change what the head says.
func (s *signer) token(alg string, head, claims object) string {
	s.t.Helper()
	print := sha256.Sum256(s.cert.Raw)
	h := object{"alg": alg, "typ": "JWT", "x5t#S256": base64.StdEncoding.EncodeToString(print[:])}
	for k, v := range head {
		h[k] = v
	}
	part := func(o object) string {
		raw, err := json.Marshal(o)
		if err != nil {
			s.t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	text := part(h) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	sign := func() ([]byte, error) { return rsa.SignPSS(rand.Reader, s.key, crypto.SHA256, sum[:], nil) }
	if alg == "RS256" {
		sign = func() ([]byte, error) { return rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:]) }
	}
	sig, err := sign()
	if err != nil {
		s.t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

const byAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func TestAppsProveThemselvesByCertificate(t *testing.T) {
	c := start(t, graphtest.Options{})
	const app = "11111111-2222-4333-8444-555555555555"
	s, other := newSigner(t), newSigner(t)
	c.s.AddCertificate(app, s.cert)
	aud := c.s.LoginURL() + "/" + c.s.TenantID() + "/oauth2/v2.0/token"
	claims := func(pairs ...any) object {
		o := object{"aud": aud, "iss": app, "sub": app, "exp": time.Now().Add(10 * time.Minute).Unix(), "nbf": time.Now().Unix(), "jti": "1"}
		for i := 0; i < len(pairs); i += 2 {
			o[pairs[i].(string)] = pairs[i+1]
		}
		return o
	}
	ask := func(status int, assertion string) answer {
		t.Helper()
		return c.ask(status, "token", "grant_type", "client_credentials", "client_id", app, "scope", "https://graph.microsoft.com/.default",
			"client_assertion_type", byAssertion, "client_assertion", assertion)
	}
	for _, alg := range []string{"PS256", "RS256"} {
		c.token = ask(200, s.token(alg, nil, claims())).at("access_token")
		c.want(200, "GET", "/users/"+c.s.Me().ID, nil)
	}
	for name, bad := range map[string]struct {
		token string
		code  string
	}{
		"an unknown certificate":   {other.token("PS256", nil, claims()), "[700027]"},
		"somebody else's key":      {other.token("PS256", object{"x5t#S256": s.token("PS256", nil, claims())}, claims()), "[700027]"},
		"no algorithm":             {s.token("none", nil, claims()), "[700027]"},
		"another audience":         {s.token("PS256", nil, claims("aud", "https://elsewhere.example")), "[700023]"},
		"another subject":          {s.token("PS256", nil, claims("sub", "x")), "[700023]"},
		"too late":                 {s.token("PS256", nil, claims("exp", time.Now().Add(-6*time.Minute).Unix())), "[700024]"},
		"too early":                {s.token("PS256", nil, claims("nbf", time.Now().Add(6*time.Minute).Unix())), "[700024]"},
		"no token at all":          {"nonsense", "[50027]"},
		"without an id of its own": {s.token("PS256", nil, claims("jti", "")), "[700027]"},
	} {
		if got := ask(401, bad.token).at("error_codes"); got != bad.code {
			t.Errorf("%s: %s, want %s", name, got, bad.code)
		}
	}
	a := c.ask(401, "token", "grant_type", "client_credentials", "client_id", app, "client_secret", "x", "scope", ".default")
	equal(t, "a secret where there is none", a.at("error_codes"), "[700025]")
}

func TestWorkloadsProveThemselvesByAnIssuer(t *testing.T) {
	c := start(t, graphtest.Options{})
	s, other := newSigner(t), newSigner(t)
	c.s.AddFederation(graphtest.DefaultClientID, graphtest.Federation{Issuer: "https://issuer.example", Subject: "system:serviceaccount:ns:name", Key: &s.key.PublicKey})
	claims := object{"aud": []string{"api://AzureADTokenExchange"}, "iss": "https://issuer.example", "sub": "system:serviceaccount:ns:name", "exp": time.Now().Add(time.Hour).Unix()}
	ask := func(status int, assertion string) answer {
		t.Helper()
		return c.ask(status, "token", "grant_type", "client_credentials", "client_id", graphtest.DefaultClientID, "scope", "https://graph.microsoft.com/.default",
			"client_assertion_type", byAssertion, "client_assertion", assertion)
	}
	c.token = ask(200, s.token("RS256", nil, claims)).at("access_token")
	c.want(200, "GET", "/users/"+c.s.Me().ID, nil)
	equal(t, "forged", ask(401, other.token("RS256", nil, claims)).at("error_codes"), "[700027]")
	claims["sub"] = "somebody else"
	equal(t, "nobody", ask(400, s.token("RS256", nil, claims)).at("error_codes"), "[700213]")
}

func TestMachinesHaveAnIdentity(t *testing.T) {
	c := start(t, graphtest.Options{})
	imds := "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com"
	a := c.doAt(imds, "Metadata: true")
	equal(t, "status", a.status, 200)
	equal(t, "resource", a.at("resource")+" "+a.at("expires_in"), "https://graph.microsoft.com 3600")
	c.token = a.at("access_token")
	c.want(200, "GET", "/users/"+c.s.Me().ID, nil)
	equal(t, "without the header", c.doAt(imds).status, 400)
	equal(t, "a scope", c.doAt(imds+"/.default", "Metadata: true").status, 400)
	equal(t, "an unknown identity", c.doAt(imds+"&client_id=x", "Metadata: true").status, 400)
	c.s.AddManagedIdentity("x")
	equal(t, "a known one", c.doAt(imds+"&client_id=x", "Metadata: true").at("client_id"), "x")
	app := c.s.ManagedIdentityEndpoint() + "?api-version=2019-08-01&resource=https://graph.microsoft.com"
	equal(t, "App Service", c.doAt(app, "X-IDENTITY-HEADER: "+graphtest.ManagedIdentityHeader).status, 200)
	equal(t, "App Service without its secret", c.doAt(app).status, 401)
}

func TestSignInsAreRefusedOnDemand(t *testing.T) {
	c := start(t, graphtest.Options{})
	good := []string{"grant_type", "client_credentials", "client_id", graphtest.DefaultClientID, "client_secret", graphtest.DefaultClientSecret, "scope", ".default"}
	for number, want := range map[int]string{7000222: "401 invalid_client", 53003: "400 interaction_required", 700082: "400 invalid_grant", 90033: "503 temporarily_unavailable",
		70011: "400 invalid_scope", 50105: "400 unauthorized_client", 500011: "400 invalid_resource", 90014: "400 invalid_request", 65001: "400 invalid_grant"} {
		c.admin("POST", "fault", object{"op": "token", "aadsts": number, "claims": `{"access_token":{}}`}, nil)
		var status int
		if _, err := fmt.Sscanf(want, "%d", &status); err != nil {
			t.Fatal(err)
		}
		a := c.ask(status, "token", good...)
		equal(t, want, fmt.Sprint(a.status, " ", a.at("error")), want)
		equal(t, "number", a.at("error_codes")+a.at("claims"), fmt.Sprintf(`[%d]{"access_token":{}}`, number))
		if !strings.HasPrefix(a.at("error_description"), fmt.Sprintf("AADSTS%d: ", number)) {
			t.Errorf("words %q", a.at("error_description"))
		}
	}
	c.ask(200, "token", good...)
}

func TestOnlyCapableClientsAreChallenged(t *testing.T) {
	c := start(t, graphtest.Options{})
	sign := func(claims string) string {
		t.Helper()
		return c.ask(200, "token", "grant_type", "client_credentials", "client_id", graphtest.DefaultClientID, "client_secret", graphtest.DefaultClientSecret,
			"scope", ".default", "claims", claims).at("access_token")
	}
	plain, capable := sign(""), sign(`{"access_token":{"xms_cc":{"values":["cp1"]}}}`)
	c.admin("POST", "challenge", "", nil)
	c.token = plain
	c.want(200, "GET", "/users/"+c.s.Me().ID, nil)
	c.token = capable
	c.want(401, "GET", "/users/"+c.s.Me().ID, nil)
	c.token = sign(`{"access_token":{"nbf":{"essential":true,"value":"1604106651"},"xms_cc":{"values":["CP1"]}}}`)
	c.want(200, "GET", "/users/"+c.s.Me().ID, nil)
	equal(t, "claims", len(c.s.Claims()), 2)
}
