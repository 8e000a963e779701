package auth_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/auth"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

const otherApp = "11111111-2222-3333-4444-555555555555"

func TestTheServiceTakesOurCertificates(t *testing.T) {
	cert, key := pair(t)
	stranger, strangerKey := pair(t)
	path, strange := file(t, "a.pem", pemOf(t, cert, key)), file(t, "b.pem", pemOf(t, stranger, strangerKey))
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		s.AddCertificate(otherApp, cert)
		c := config(s)
		c.ClientID, c.ClientSecret, c.Certificate = otherApp, "", path
		if token, err := source(t, c).Token(t.Context()); err != nil || !works(t, s, token) {
			t.Errorf("token: %v", err)
		}
		c.Certificate = strange
		_, err := source(t, c).Token(t.Context())
		wants(t, err, graph.SignIn, "not one that the app registration knows")
	})
}

// issue makes a token as a workload's platform does.
func issue(t *testing.T, key *rsa.PrivateKey, ends time.Time) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{
		{"alg": "RS256", "typ": "JWT"},
		{"iss": "https://cluster.example", "sub": "system:serviceaccount:duskfs", "aud": "api://AzureADTokenExchange", "exp": ends.Unix(), "nbf": ends.Add(-time.Hour).Unix()},
	} {
		raw, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(raw))
	}
	text := strings.Join(parts, ".")
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestTheServiceTakesAWorkloadsToken(t *testing.T) {
	_, key := pair(t)
	_, wrong := pair(t)
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		s.AddFederation(otherApp, graphtest.Federation{Issuer: "https://cluster.example", Subject: "system:serviceaccount:duskfs", Key: &key.PublicKey})
		path := file(t, "token", []byte(issue(t, key, time.Now().Add(time.Hour))))
		c := config(s)
		c.ClientID, c.ClientSecret, c.AssertionFile = otherApp, "", path
		src := source(t, c)
		if token, err := src.Token(t.Context()); err != nil || !works(t, s, token) {
			t.Errorf("token: %v", err)
		}
		time.Sleep(3 * time.Hour)
		_, err := src.Token(t.Context())
		wants(t, err, graph.SignIn, "clock")
		time.Sleep(time.Minute)
		if err := os.WriteFile(path, []byte(issue(t, key, time.Now().Add(time.Hour))), 0o600); err != nil {
			t.Fatal(err)
		}
		if token, err := src.Token(t.Context()); err != nil || !works(t, s, token) {
			t.Errorf("after the platform renewed its token: %v", err)
		}
		if err := os.WriteFile(path, []byte(issue(t, wrong, time.Now().Add(time.Hour))), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = source(t, c).Token(t.Context())
		wants(t, err, graph.SignIn, "workload's token")
	})
}

func TestTheServiceOfTheMachineGivesTokens(t *testing.T) {
	for _, v := range []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET", "IMDS_ENDPOINT", "IDENTITY_SERVER_THUMBPRINT"} {
		t.Setenv(v, "")
	}
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		const id = "99999999-0000-0000-0000-000000000001"
		c := config(s)
		c.Mode, c.ClientID = auth.Managed, id
		_, err := source(t, c).Token(t.Context())
		wants(t, err, graph.SignIn, "assign it to the machine")
		s.AddManagedIdentity(id)
		if token, err := source(t, c).Token(t.Context()); err != nil || !works(t, s, token) {
			t.Errorf("token: %v", err)
		}
	})
}

// A claims challenge from Graph, through the client, to the sign-in service, and back: for an app
// and for a person.
func TestAClaimsChallengeIsAnswered(t *testing.T) {
	for _, who := range []string{"app", "person"} {
		t.Run(who, func(t *testing.T) {
			in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
				c := config(s)
				if who == "person" {
					c = personal(t, s)
					byCode(t, s, c, "")
				}
				src := source(t, c)
				client, err := rest.New(rest.Options{GraphURL: s.GraphURL(), Tokens: src, Transport: s.Transport()})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				drive := client.Drive(graph.DriveID(s.Me().Drive().ID()))
				if _, err := drive.Root(t.Context()); err != nil {
					t.Fatal(err)
				}
				before := s.Counts().Of(graphtest.OpToken)
				const claims = `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
				s.Challenge(claims)
				for range 3 {
					if _, err := drive.Root(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if n := s.Counts().Of(graphtest.OpToken) - before; n != 1 {
					t.Errorf("%d token requests", n)
				}
				asked := s.Claims()
				last := asked[len(asked)-1]
				if !strings.Contains(last, `"value":"1700000000"`) || !strings.Contains(last, `"CP1"`) {
					t.Errorf("claims %s", last)
				}
				// Where a person has to do something about it, they are told so.
				s.Challenge(claims)
				s.Inject(graphtest.Fault{Op: graphtest.OpToken, Status: 400, Body: `{"error":"interaction_required","error_codes":[50076],"error_description":"x","claims":"{}"}`})
				_, err = drive.Root(t.Context())
				wants(t, err, graph.SignIn, "conditional access")
			})
		})
	}
}

// A bus that takes connections and never answers must not hold anybody up.
func TestAKeychainThatHangsIsGivenUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the keychain is on no bus here")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if k := auth.SystemKeychain(); k != nil {
		t.Errorf("without a bus there is a keychain: %v", k)
	}
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // what hangs there ends
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+path)
	s := graphtest.Start(t, graphtest.Options{})
	c := personal(t, s)
	c.Keychain = patient{auth.SystemKeychain(), 200 * time.Millisecond}
	began := time.Now()
	if a := byCode(t, s, c, ""); a.Key != "file" {
		t.Errorf("key in %s", a.Key)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// patient shortens how long a keychain is waited for.
type patient struct {
	auth.Keychain
	limit time.Duration
}

func (p patient) Set(ctx context.Context, name, value string) error {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	return p.Keychain.Set(ctx, name, value)
}

// The permissions that docs/SIGNIN.md names are enough for each job, and those for reading allow nothing else.
func TestEachJobHasTheLeastThatItNeeds(t *testing.T) {
	for _, readOnly := range []bool{true, false} {
		for _, who := range []string{"app", "person"} {
			in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
				c, user := config(s), s.Me().UPN
				if who == "person" {
					c, user = personal(t, s), ""
					c.ReadOnly = readOnly
					byCode(t, s, c, "")
				} else if readOnly {
					s.SetPermissions(graphtest.DefaultClientID, "Files.Read.All", "Sites.Read.All")
				} else {
					s.SetPermissions(graphtest.DefaultClientID, "Files.ReadWrite.All", "Sites.Read.All")
				}
				client, err := rest.New(rest.Options{GraphURL: s.GraphURL(), Tokens: source(t, c), Transport: s.Transport(), User: user})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				if _, err := s.Me().Drive().Put("/f", []byte("x")); err != nil {
					t.Fatal(err)
				}
				all, err := client.Drives(t.Context(), "")
				if err != nil || len(all) != 3 {
					t.Errorf("%d drives, %v", len(all), err)
				}
				for _, found := range all {
					drive := client.Drive(found.ID)
					root, err := drive.Root(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					_, err = drive.Permissions(t.Context(), root.ID)
					if _, feed := drive.Delta(t.Context(), graph.Start); err != nil || feed != nil {
						t.Errorf("%v, %v", err, feed)
					}
					made, err := drive.Mkdir(t.Context(), root.ID, "new")
					if readOnly {
						wants(t, err, graph.Denied, "")
						continue
					}
					if err == nil {
						err = drive.Delete(t.Context(), made.ID, "")
					}
					if err != nil {
						t.Errorf("%s writes: %v", who, err)
					}
				}
			})
		}
	}
}
