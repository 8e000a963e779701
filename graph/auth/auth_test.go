package auth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/auth"
	"github.com/duskfs/duskfs/graph/graphtest"
)

func config(s *graphtest.Server) auth.Config {
	return auth.Config{Tenant: s.TenantID(), ClientID: graphtest.DefaultClientID, ClientSecret: graphtest.DefaultClientSecret,
		LoginURL: s.LoginURL(), GraphURL: s.GraphURL(), Transport: s.Transport(), UserAgent: "NONISV|duskfs|duskfs/test"}
}

func source(t *testing.T, c auth.Config) *auth.Source {
	t.Helper()
	s, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// in runs a test in a bubble against an emulator in memory.
func in(t *testing.T, o graphtest.Options, f func(t *testing.T, s *graphtest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := graphtest.Start(t, o)
		f(t, s)
		for _, v := range s.Violations() {
			t.Errorf("against the protocol: %s", v)
		}
	})
}

// works reports whether Graph takes a token.
func works(t *testing.T, s *graphtest.Server, token string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.GraphURL()+"/v1.0/drives/"+s.Me().Drive().ID(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", "NONISV|duskfs|duskfs/test")
	resp, err := s.Transport().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func wants(t *testing.T, err error, kind graph.Kind, words string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got error %v, want kind %q", err, kind)
	}
	if err != nil && (!strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "SECRET-")) {
		t.Errorf("got %q, want %q in it and no secret", err, words)
	}
}

func TestSignInOverTLS(t *testing.T) {
	s := graphtest.Start(t, graphtest.Options{})
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	c := config(s)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.CAPool()}}
	defer transport.CloseIdleConnections()
	c.Transport = transport
	token, err := source(t, c).Token(t.Context())
	if err != nil || !works(t, s, token) {
		t.Errorf("token works: %v, %v", err == nil, err)
	}

	stranger := &http.Transport{}
	defer stranger.CloseIdleConnections()
	c.Transport = stranger
	_, err = source(t, c).Token(t.Context())
	wants(t, err, graph.Offline, "DUSKFS_CA_FILE")

	c.Transport, c.LoginURL = transport, "https://127.0.0.1:1"
	_, err = source(t, c).Token(t.Context())
	wants(t, err, graph.Offline, "127.0.0.1:1 cannot be reached")
}

func TestOneTokenServesEverybody(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		src := source(t, config(s))
		if st := src.State(); st.SignedIn || st.Err != nil {
			t.Errorf("before any sign-in: %+v", st)
		}
		s.Inject(graphtest.Fault{Op: graphtest.OpToken, Delay: graphtest.Duration(time.Second)})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if token, err := src.Token(t.Context()); err != nil || !works(t, s, token) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if n := s.Counts().Of(graphtest.OpToken); n != 1 {
			t.Errorf("%d sign-ins for 50 callers", n)
		}
		if st := src.State(); !st.SignedIn || time.Until(st.Expires) < 59*time.Minute {
			t.Errorf("after the sign-in: %+v", st)
		}
		time.Sleep(2 * time.Hour)
		if st := src.State(); st.SignedIn {
			t.Errorf("after its life: %+v", st)
		}
	})
}

// MSAL takes a token with less than five minutes left for dead; ours is used for most of its life.
func TestShortLivedTokensAreUsedForMostOfTheirLife(t *testing.T) {
	in(t, graphtest.Options{TokenLife: 10 * time.Second}, func(t *testing.T, s *graphtest.Server) {
		src := source(t, config(s))
		for range 600 {
			token, err := src.Token(t.Context())
			if err != nil || !works(t, s, token) {
				t.Fatalf("got %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := s.Counts().Of(graphtest.OpToken); n > 7 {
			t.Errorf("%d sign-ins in a minute with tokens of 10 s", n)
		}
	})
}

func TestLongLivedTokensAreRenewedBeforeTheyDie(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		src := source(t, config(s))
		for range 100 {
			token, err := src.Token(t.Context())
			if err != nil || !works(t, s, token) {
				t.Fatalf("got %v", err)
			}
			time.Sleep(4 * time.Minute)
		}
		if n := s.Counts().Of(graphtest.OpToken); n < 7 || n > 9 {
			t.Errorf("%d sign-ins in 400 minutes", n)
		}
	})
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		src := source(t, config(s))
		bad, err := src.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.RevokeAccess()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				token, err := src.Refresh(t.Context(), bad, "")
				if err != nil || token == bad || !works(t, s, token) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if n := s.Counts().Of(graphtest.OpToken); n != 2 {
			t.Errorf("%d sign-ins, want 2", n)
		}
		if token, err := src.Refresh(t.Context(), bad, `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`); err != nil || token == bad {
			t.Errorf("with claims: %v", err)
		}
	})
}

func TestWrongCredentialsSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*auth.Config)
		words string
	}{
		"secret": {func(c *auth.Config) { c.ClientSecret = "SECRET-wrong" }, "CLIENT_SECRET"},
		"app":    {func(c *auth.Config) { c.ClientID = "00000000-0000-0000-0000-000000000001" }, "CLIENT_ID"},
		"tenant": {func(c *auth.Config) { c.Tenant = "nobody.example" }, "TENANT_ID"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
				cfg := config(s)
				c.spoil(&cfg)
				src := source(t, cfg)
				_, err := src.Token(t.Context())
				wants(t, err, graph.SignIn, c.words)
				if st := src.State(); st.SignedIn || st.Err == nil {
					t.Errorf("state %+v", st)
				}
			})
		})
	}
}

func TestADeadSecretDoesNotKnockWithEveryCall(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := config(s)
		c.ClientSecret = "SECRET-wrong"
		src := source(t, c)
		s.Inject(graphtest.Fault{Op: graphtest.OpToken, Delay: graphtest.Duration(time.Second)})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_, err := src.Token(t.Context())
				wants(t, err, graph.SignIn, "CLIENT_SECRET")
			})
		}
		all.Wait()
		if n := s.Counts().Of(graphtest.OpToken); n != 1 {
			t.Errorf("%d sign-ins", n)
		}
		time.Sleep(time.Minute)
		_, err := src.Token(t.Context())
		wants(t, err, graph.SignIn, "CLIENT_SECRET")
		if n := s.Counts().Of(graphtest.OpToken); n != 2 {
			t.Errorf("%d sign-ins after a while", n)
		}
	})
}

func TestOneFailureServesAllWhoWaited(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		src := source(t, config(s))
		s.Inject(graphtest.Fault{Op: graphtest.OpToken, Delay: graphtest.Duration(10 * time.Second), Drop: graphtest.DropBefore, Times: -1})
		began := time.Now()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := src.Token(t.Context())
				wants(t, err, graph.Offline, "cannot be reached")
			})
		}
		all.Wait()
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("twenty callers were told after %v", took)
		}
	})
}

func TestTroublesOfTheSignInService(t *testing.T) {
	for name, c := range map[string]struct {
		fault graphtest.Fault
		kind  graph.Kind
		words string
	}{
		"down":           {graphtest.Fault{Status: 503, Body: "<html>"}, graph.Offline, "out of order"},
		"refused":        {graphtest.Fault{Drop: graphtest.DropBefore}, graph.Offline, "cannot be reached"},
		"silent":         {graphtest.Fault{Delay: graphtest.Duration(time.Hour)}, graph.Offline, "in time"},
		"throttled":      {graphtest.Fault{Status: 429, RetryAfter: 20, Body: `{"error":"temporarily_unavailable"}`}, graph.Throttled, "wait"},
		"captive portal": {graphtest.Fault{Status: 200, Body: "<html>SECRET-TOKEN</html>"}, graph.Failed, "browser"},
		"redirect":       {graphtest.Fault{Status: 307, Body: "x", Header: map[string]string{"Location": "https://evil.example/"}}, graph.Failed, "no sign-in service"},
		"expired secret": {graphtest.Fault{Status: 401, Body: `{"error":"invalid_client","error_codes":[7000222],"error_description":"x"}`}, graph.SignIn, "expired"},
		"consent":        {graphtest.Fault{Status: 400, Body: `{"error":"invalid_grant","error_codes":[99,65001]}`}, graph.SignIn, "consent"},
		"unknown code":   {graphtest.Fault{Status: 400, Body: `{"error":"x","error_codes":[4711],"error_description":"AADSTS4711: Odd. ` + graphtest.DefaultClientSecret + `\r\nTrace ID: 1"}`}, graph.SignIn, "Odd. …"},
		"transient":      {graphtest.Fault{Status: 400, Body: `{"error":"x","error_codes":[90033]}`}, graph.Offline, "out of order"},
		"no token":       {graphtest.Fault{Status: 200, Body: `{"token_type":"Bearer"}`, Type: "application/json"}, graph.Failed, "no sign-in service"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
				src := source(t, config(s))
				c.fault.Op = graphtest.OpToken
				s.Inject(c.fault)
				_, err := src.Token(t.Context())
				wants(t, err, c.kind, c.words)
				var e *graph.Error
				if errors.As(err, &e) && c.fault.RetryAfter > 0 && e.RetryAfter != 20*time.Second {
					t.Errorf("wait %v", e.RetryAfter)
				}
				time.Sleep(time.Minute)
				if _, err := src.Token(t.Context()); err != nil {
					t.Errorf("after the trouble: %v", err)
				}
			})
		})
	}
}

func TestWhoGivesUpDoesNotSpoilItForOthers(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		src := source(t, config(s))
		s.Inject(graphtest.Fault{Op: graphtest.OpToken, Delay: graphtest.Duration(20 * time.Second)})
		hasty, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := src.Token(hasty); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the hasty one got %v", err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if _, err := src.Token(t.Context()); err != nil {
				t.Errorf("the patient one got %v", err)
			}
		})
		all.Go(func() {
			if _, err := src.Token(hasty); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the other hasty one got %v", err)
			}
		})
		all.Wait()
	})
}

func TestRequestsNameTheProgram(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := config(s)
		inner := c.Transport
		var agents []string
		c.Transport = carrier(func(r *http.Request) (*http.Response, error) {
			agents = append(agents, r.Header.Get("User-Agent"))
			return inner.RoundTrip(r)
		})
		if _, err := source(t, c).Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, a := range agents {
			if a != c.UserAgent {
				t.Errorf("agent %q", a)
			}
		}
	})
}

type carrier func(*http.Request) (*http.Response, error)

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

func TestConfigurationsThatCannotWork(t *testing.T) {
	good := auth.Config{Tenant: "contoso.com", ClientID: "id", ClientSecret: "SECRET-x"}
	for words, spoil := range map[string]func(*auth.Config){
		"TENANT_ID":     func(c *auth.Config) { c.Tenant = "" },
		"CLIENT_ID":     func(c *auth.Config) { c.ClientID = " " },
		"CLIENT_SECRET": func(c *auth.Config) { c.Mode, c.ClientSecret = auth.Secret, "" },
		"neither":       func(c *auth.Config) { c.Tenant = "a/b" },
		"https":         func(c *auth.Config) { c.LoginURL = "http://login.example" },
		"no address":    func(c *auth.Config) { c.GraphURL = "graph" },
		"root":          func(c *auth.Config) { c.GraphURL = "https://graph.example/v1.0" },
	} {
		c := good
		spoil(&c)
		_, err := auth.New(c)
		wants(t, err, graph.Invalid, words)
	}
	if _, err := auth.New(good); err != nil {
		t.Error(err)
	}
}

func TestIdentityIsAKeyForState(t *testing.T) {
	key := func(c auth.Config) string { return source(t, c).Identity().Key() }
	a := auth.Config{Tenant: "Contoso.com", ClientID: "ID-1", ClientSecret: "x"}
	b := a
	b.Tenant, b.ClientSecret = "contoso.COM", "another"
	if key(a) != key(b) {
		t.Errorf("%q and %q", key(a), key(b))
	}
	if got := key(a); got != "login.microsoftonline.com_contoso.com_app-id-1" {
		t.Errorf("got %q", got)
	}
	b.LoginURL = "https://127.0.0.1:8443"
	if key(a) == key(b) || strings.ContainsAny(key(b), ":/") {
		t.Errorf("got %q", key(b))
	}
}
