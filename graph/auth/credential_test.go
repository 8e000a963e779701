package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/auth"
)

// clerk is a sign-in service that gives a numbered token for everything and remembers what it was
// asked for.
type clerk struct {
	asked []url.Values
	// answer, if set, replaces the fields of the answer; nil values leave a field out.
	answer map[string]any
}

func (c *clerk) RoundTrip(r *http.Request) (*http.Response, error) {
	var body any
	switch {
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		root := "https://" + r.URL.Host + "/" + strings.Split(r.URL.Path, "/")[1]
		body = map[string]string{"issuer": root + "/v2.0", "authorization_endpoint": root + "/authorize", "token_endpoint": root + "/token"}
	default:
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, err := url.ParseQuery(string(text))
		if err != nil {
			return nil, err
		}
		c.asked = append(c.asked, form)
		out := map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": fmt.Sprintf("SECRET-ACCESS-%d", len(c.asked))}
		maps.Copy(out, c.answer)
		body = out
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(string(data))), Request: r}, nil
}

func (c *clerk) last() url.Values { return c.asked[len(c.asked)-1] }

const stubLogin = "https://login.test.example"

// pair makes a certificate and its key.
func pair(t *testing.T) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return certify(t, key, key.Public()), key
}

func certify(t *testing.T, key crypto.Signer, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pemOf(t *testing.T, parts ...any) []byte {
	t.Helper()
	var out []byte
	for _, p := range parts {
		b := &pem.Block{}
		var err error
		switch p := p.(type) {
		case *x509.Certificate:
			b.Type, b.Bytes = "CERTIFICATE", p.Raw
		default:
			b.Type = "PRIVATE KEY"
			if b.Bytes, err = x509.MarshalPKCS8PrivateKey(p); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, pem.EncodeToMemory(b)...)
	}
	return out
}

// proves checks a client assertion as the service does.
func proves(t *testing.T, form url.Values, cert *x509.Certificate) {
	t.Helper()
	if got := form.Get("client_assertion_type"); got != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Errorf("assertion type %q", got)
	}
	parts := strings.Split(form.Get("client_assertion"), ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT, but %d parts", len(parts))
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(p); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPSS(cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], raw[2], nil); err != nil {
		t.Errorf("signature: %v", err)
	}
	var head, claims map[string]any
	if json.Unmarshal(raw[0], &head) != nil || json.Unmarshal(raw[1], &claims) != nil {
		t.Fatal("no JSON")
	}
	print := sha256.Sum256(cert.Raw)
	if head["x5t#S256"] != base64.StdEncoding.EncodeToString(print[:]) || claims["iss"] != "id" || claims["aud"] != stubLogin+"/contoso.com/token" {
		t.Errorf("head %v, claims %v", head, claims)
	}
}

func TestAnAppSignsInByCertificate(t *testing.T) {
	cert, key := pair(t)
	other, _ := pair(t)
	modern, err := pkcs12.Modern2023.Encode(key, cert, []*x509.Certificate{other}, "opensesame")
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := pkcs12.LegacyDES.Encode(key, cert, nil, "opensesame")
	if err != nil {
		t.Fatal(err)
	}
	open, err := pkcs12.Passwordless.Encode(key, cert, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, password string }{
		"PEM":                                   {file(t, "a.pem", pemOf(t, key, cert)), ""},
		"PEM with a chain":                      {file(t, "a.pem", pemOf(t, other, cert, key)), ""},
		"PEM encrypted":                         {"testdata/encrypted.pem", "opensesame"},
		"PEM encrypted, older cipher":           {"testdata/encrypted-des.pem", "opensesame"},
		"PEM encrypted, older hash":             {"testdata/encrypted-sha1.pem", "opensesame"},
		"PFX":                                   {file(t, "a.pfx", modern), "opensesame"},
		"PFX of old":                            {file(t, "a.p12", legacy), "opensesame"},
		"PFX without password":                  {file(t, "a.pfx", open), ""},
		"PFX by another program":                {"testdata/openssl.pfx", "opensesame"},
		"PEM with a password it has no use for": {file(t, "a.pem", pemOf(t, key, cert)), "x"},
	} {
		t.Run(name, func(t *testing.T) {
			desk := &clerk{}
			src := source(t, auth.Config{Tenant: "contoso.com", ClientID: "id", Certificate: c.file, CertificatePassword: c.password, LoginURL: stubLogin, Transport: desk})
			if _, err := src.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := cert
			if strings.HasPrefix(c.file, "testdata/") {
				want = fixture(t)
			}
			proves(t, desk.last(), want)
			if got := src.Identity(); got.Mode != auth.Certificate || got.Account != "app:id" {
				t.Errorf("identity %+v", got)
			}
		})
	}
}

// fixture is the certificate of the files in testdata.
func fixture(t *testing.T) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile("testdata/encrypted.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestCertificatesThatCannotBeUsedSayWhy(t *testing.T) {
	cert, key := pair(t)
	other, _ := pair(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pfx, err := pkcs12.Modern2023.Encode(key, cert, nil, "opensesame")
	if err != nil {
		t.Fatal(err)
	}
	for words, c := range map[string]struct{ file, password string }{
		"no such file":                   {"testdata/absent.pem", ""},
		"no certificate in it":           {file(t, "a.pem", pemOf(t, key)), ""},
		"no private key in it":           {file(t, "a.pem", pemOf(t, cert)), ""},
		"several private keys":           {file(t, "a.pem", pemOf(t, cert, key, key)), ""},
		"belongs to none":                {file(t, "a.pem", pemOf(t, other, key)), ""},
		"RSA keys only":                  {file(t, "a.pem", pemOf(t, certify(t, curve, curve.Public()), curve)), ""},
		"neither PEM nor PFX":            {file(t, "a.pfx", []byte("nothing")), ""},
		"is damaged":                     {file(t, "a.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), ""},
		"old, weak way":                  {"testdata/old.pem", "opensesame"},
		"unusual way":                    {"testdata/scrypt.pem", "opensesame"},
		"encrypted.pem needs a password": {"testdata/encrypted.pem", ""},
		"does not open the certificate testdata/encrypted.pem": {"testdata/encrypted.pem", "SECRET-wrong"},
		"a.pfx needs a password":                               {file(t, "a.pfx", pfx), ""},
		"auth.certificate-password does not open":              {file(t, "a.pfx", pfx), "SECRET-wrong"},
	} {
		_, err := auth.New(auth.Config{Tenant: "contoso.com", ClientID: "id", Certificate: c.file, CertificatePassword: c.password})
		wants(t, err, graph.Invalid, words)
	}
}

func TestAWorkloadsTokenIsReadAnewEachTime(t *testing.T) {
	desk := &clerk{}
	path := file(t, "token", []byte("first\n"))
	src := source(t, auth.Config{Tenant: "contoso.com", ClientID: "id", AssertionFile: path, LoginURL: stubLogin, Transport: desk})
	old, err := src.Token(t.Context())
	if err != nil || desk.last().Get("client_assertion") != "first" {
		t.Fatalf("sent %q, %v", desk.last(), err)
	}
	if err := os.WriteFile(path, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Refresh(t.Context(), old, ""); err != nil || desk.last().Get("client_assertion") != "second" {
		t.Fatalf("sent %q, %v", desk.last(), err)
	}
	if got := src.Identity().Mode; got != auth.Federated {
		t.Errorf("mode %s", got)
	}

	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	src = source(t, auth.Config{Tenant: "contoso.com", ClientID: "id", AssertionFile: path, LoginURL: stubLogin, Transport: desk})
	_, err = src.Token(t.Context())
	wants(t, err, graph.SignIn, "is empty")
	src = source(t, auth.Config{Tenant: "contoso.com", ClientID: "id", AssertionFile: path + "x", LoginURL: stubLogin, Transport: desk})
	_, err = src.Token(t.Context())
	wants(t, err, graph.SignIn, "no such file")
}

// machine is the identity service of an Azure machine.
type machine struct {
	asked  []*http.Request
	status int
}

func (m *machine) RoundTrip(r *http.Request) (*http.Response, error) {
	m.asked = append(m.asked, r)
	body := fmt.Sprintf(`{"access_token":"SECRET-ACCESS-%d","expires_in":"86399","resource":"x","token_type":"Bearer"}`, len(m.asked))
	if m.status != http.StatusOK {
		body = `{"error":"invalid_request","error_description":"Identity not found"}`
	}
	return &http.Response{StatusCode: m.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func TestAMachineSignsInAsItsManagedIdentity(t *testing.T) {
	for _, v := range []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET", "IMDS_ENDPOINT", "IDENTITY_SERVER_THUMBPRINT"} {
		t.Setenv(v, "")
	}
	box := &machine{status: http.StatusOK}
	c := auth.Config{Mode: auth.Managed, ClientID: "identity-of-the-test", Transport: box, GraphURL: "https://graph.microsoft.us"}
	src := source(t, c)
	first, err := src.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := box.asked[0]
	if r.URL.Host != "169.254.169.254" || r.Header.Get("Metadata") != "true" || r.URL.Query().Get("resource") != "https://graph.microsoft.us" || r.URL.Query().Get("client_id") != c.ClientID {
		t.Errorf("asked %s", r.URL)
	}
	if got := src.Identity(); got.Account != "managed:identity-of-the-test" || got.Person() {
		t.Errorf("identity %+v", got)
	}
	if _, err := src.Token(t.Context()); err != nil || len(box.asked) != 1 {
		t.Errorf("%d requests, %v", len(box.asked), err)
	}
	if second, err := src.Refresh(t.Context(), first, ""); err != nil || second == first || len(box.asked) != 2 {
		t.Errorf("a refused token: %d requests, %v", len(box.asked), err)
	}

	t.Setenv("IDENTITY_ENDPOINT", "https://127.0.0.1:1/msi/token")
	t.Setenv("IDENTITY_HEADER", "SECRET-HEADER")
	c.ClientID = ""
	if _, err := source(t, c).Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r = box.asked[2]; r.URL.Host != "127.0.0.1:1" || r.Header.Get("X-IDENTITY-HEADER") != "SECRET-HEADER" {
		t.Errorf("asked %s", r.URL)
	}

	box.status, c.ClientID = http.StatusBadRequest, "nobody-1"
	_, err = source(t, c).Token(t.Context())
	wants(t, err, graph.SignIn, "no managed identity")
	c.ClientID, c.Transport = "nobody-2", carrier(func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("no route") })
	_, err = source(t, c).Token(t.Context())
	wants(t, err, graph.Offline, "works on Azure machines only")
}

// CP1 is declared with every request, and a challenge's claims reach the service together with it.
func TestAClaimsChallengeReachesTheService(t *testing.T) {
	desk := &clerk{}
	src := source(t, auth.Config{Tenant: "contoso.com", ClientID: "id", ClientSecret: "x", LoginURL: stubLogin, Transport: desk})
	first, err := src.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const cp1 = `{"access_token":{"xms_cc":{"values":["CP1"]}}}`
	if got := desk.last().Get("claims"); got != cp1 {
		t.Errorf("claims %s", got)
	}
	second, err := src.Refresh(t.Context(), first, "")
	if err != nil || second == first {
		t.Fatalf("refused token: %v", err)
	}
	if got := desk.last().Get("claims"); got != cp1 {
		t.Errorf("claims %s", got)
	}
	third, err := src.Refresh(t.Context(), second, `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`)
	if err != nil || third == second {
		t.Fatalf("challenged token: %v", err)
	}
	if got := desk.last().Get("claims"); !strings.Contains(got, `"nbf":{"essential":true,"value":"1604106651"}`) || !strings.Contains(got, `"xms_cc":{"values":["CP1"]}`) {
		t.Errorf("claims %s", got)
	}
	if again, err := src.Token(t.Context()); err != nil || again != third || len(desk.asked) != 3 {
		t.Errorf("%d requests, %v", len(desk.asked), err)
	}
}
