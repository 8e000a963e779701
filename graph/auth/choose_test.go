package auth_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/auth"
)

func TestHowToSignInFollowsFromWhatIsConfigured(t *testing.T) {
	const all = "person, secret, certificate, federated, managed"
	for name, c := range map[string]struct {
		change func(*auth.Config)
		want   auth.Mode
		words  string // of the error
	}{
		"nothing":                      {func(*auth.Config) {}, auth.Person, ""},
		"a secret":                     {func(c *auth.Config) { c.ClientSecret = "x" }, auth.Secret, ""},
		"a certificate":                {func(c *auth.Config) { c.Certificate = "x" }, auth.Certificate, ""},
		"a workload's token":           {func(c *auth.Config) { c.AssertionFile = "x" }, auth.Federated, ""},
		"secret and certificate":       {func(c *auth.Config) { c.ClientSecret, c.Certificate = "x", "x" }, "", "auth.mode is one of secret, certificate"},
		"secret and workload's token":  {func(c *auth.Config) { c.ClientSecret, c.AssertionFile = "x", "x" }, "", "auth.mode is one of secret, federated"},
		"both, and which":              {func(c *auth.Config) { c.ClientSecret, c.Certificate, c.Mode = "x", "x", auth.Certificate }, auth.Certificate, ""},
		"a person in spite of secret":  {func(c *auth.Config) { c.ClientSecret, c.Mode = "x", auth.Person }, auth.Person, ""},
		"a managed identity":           {func(c *auth.Config) { c.Mode = auth.Managed }, auth.Managed, ""},
		"a managed identity, no names": {func(c *auth.Config) { *c = auth.Config{Mode: auth.Managed} }, auth.Managed, ""},
		"a person without tenant":      {func(c *auth.Config) { c.Tenant = "" }, auth.Person, ""},
		"a person without app":         {func(c *auth.Config) { c.ClientID = "" }, "", "CLIENT_ID"},
		"an app without tenant":        {func(c *auth.Config) { c.ClientSecret, c.Tenant = "x", "" }, "", "TENANT_ID"},
		"an app in a shared tenant":    {func(c *auth.Config) { c.ClientSecret, c.Tenant = "x", "Common" }, "", "set TENANT_ID to your own"},
		"secret mode without secret":   {func(c *auth.Config) { c.Mode = auth.Secret }, "", "CLIENT_SECRET"},
		"certificate mode without one": {func(c *auth.Config) { c.Mode = auth.Certificate }, "", "auth.certificate"},
		"federated mode without file":  {func(c *auth.Config) { c.Mode = auth.Federated }, "", "auth.assertion-file"},
		"an unknown mode":              {func(c *auth.Config) { c.Mode = "password" }, "", "one of " + all},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := auth.Config{Tenant: "contoso.com", ClientID: "id", Dir: "/d"}
			c.change(&cfg)
			got, err := auth.Choose(cfg)
			if got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
			if c.words != "" {
				wants(t, err, graph.Invalid, c.words)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// Scope and addresses follow the cloud.
func TestEachCloudHasItsOwnTokens(t *testing.T) {
	for _, cloud := range auth.Clouds() {
		desk := &clerk{}
		hosts := map[string]bool{}
		c := auth.Config{Tenant: "contoso.com", ClientID: "id", ClientSecret: "x", LoginURL: cloud.LoginURL, GraphURL: cloud.GraphURL,
			Transport: carrier(func(r *http.Request) (*http.Response, error) {
				hosts["https://"+r.URL.Host] = true
				if strings.Contains(r.URL.Path, "/discovery/instance") {
					text := fmt.Sprintf(`{"tenant_discovery_endpoint":"https://%s/contoso.com/v2.0/.well-known/openid-configuration","metadata":[]}`, r.URL.Host)
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
				}
				return desk.RoundTrip(r)
			})}
		if _, err := source(t, c).Token(t.Context()); err != nil {
			t.Errorf("%s: %v", cloud.Name, err)
			continue
		}
		scope := ""
		c.ClientSecret, c.Dir = "", t.TempDir()
		_, err := auth.Login(t.Context(), c, auth.Prompt{Browser: func(address string) error {
			u, err := url.Parse(address)
			scope = u.Query().Get("scope")
			return errors.Join(err, errors.New("no browser"))
		}})
		prefix := cloud.GraphURL + "/"
		if cloud.Name == "global" {
			prefix = ""
		}
		if want := prefix + "Files.ReadWrite.All " + prefix + "Sites.ReadWrite.All " + prefix + "User.Read "; err == nil || !strings.HasPrefix(scope, want) {
			t.Errorf("%s: a person is asked for %q, want %q", cloud.Name, scope, want)
		}
		if len(hosts) != 1 || !hosts[cloud.LoginURL] {
			t.Errorf("%s: asked %v", cloud.Name, hosts)
		}
		if got := desk.last().Get("scope"); !strings.HasPrefix(got, cloud.GraphURL+"/.default ") {
			t.Errorf("%s: scope %q", cloud.Name, got)
		}
	}
}

// What the service says for each number of graph-facts §1.4, and what a person reads instead. The
// file has a line a number: the number, the kind, and words of the sentence.
func TestEveryNumberOfTheServiceHasASentence(t *testing.T) {
	data, err := os.ReadFile("testdata/aadsts.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	seen := 0
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), " ", 3)
		if len(fields) != 3 {
			t.Fatalf("line %q", lines.Text())
		}
		seen++
		number, kind, words := fields[0], fields[1], fields[2]
		body := fmt.Sprintf(`{"error":"invalid_grant","error_codes":[%s],"error_description":"AADSTS%s: The service's own words about word."}`, number, number)
		src := source(t, auth.Config{Tenant: "contoso.com", ClientID: "id", ClientSecret: "word", LoginURL: stubLogin, Transport: carrier(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				return &http.Response{StatusCode: 400, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
			}
			return (&clerk{}).RoundTrip(r)
		})})
		_, err := src.Token(t.Context())
		want := map[string]graph.Kind{"signin": graph.SignIn, "throttled": graph.Throttled, "offline": graph.Offline, "failed": graph.Failed}[kind]
		wants(t, err, want, words)
		if err == nil || !strings.Contains(err.Error(), "AADSTS"+number) || strings.Contains(err.Error(), "own words") {
			t.Errorf("%s: %v", number, err)
		}
	}
	if seen < 60 {
		t.Errorf("%d numbers", seen)
	}
}

// Secrets are struck from the service's words, and from no sentence of ours.
func TestAShortSecretDoesNotCutOurSentences(t *testing.T) {
	for _, secret := range []string{"wrong", "e", "client secret"} {
		for body, want := range map[string]string{
			`{"error":"invalid_client","error_codes":[7000215],"error_description":"AADSTS7000215: Invalid ` + secret + `"}`:               "the client secret is wrong; make sure that CLIENT_SECRET is the secret's value",
			`{"error":"x","error_codes":[4711],"error_description":"AADSTS4711: <` + secret + `> ` + strings.Repeat("a0B-", 20) + ` odd"}`: "4711: <…> …",
		} {
			src := source(t, auth.Config{Tenant: "contoso.com", ClientID: "id", ClientSecret: secret, LoginURL: stubLogin, Transport: carrier(func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, "/token") {
					return &http.Response{StatusCode: 401, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
				}
				return (&clerk{}).RoundTrip(r)
			})})
			_, err := src.Token(t.Context())
			wants(t, err, graph.SignIn, want)
		}
	}
}
