package suite_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/graphtest/suite"
	"github.com/duskfs/duskfs/graph/rest"
)

// fixed is a token that somebody else has got.
type fixed string

func (f fixed) Token(context.Context) (string, error) { return string(f), nil }

func (f fixed) Refresh(context.Context, string, string) (string, error) {
	return "", &graph.Error{Op: "sign in", Kind: graph.SignIn, Message: "the token given is refused, and there is no other"}
}

// service opens a drive of the emulator through the client.
func service(t *testing.T, s *graphtest.Server, d *graphtest.Drive) graph.Service {
	t.Helper()
	c, err := rest.New(rest.Options{GraphURL: s.GraphURL(), Tokens: fixed(s.AccessToken("")), Transport: s.Transport(), Version: "1.2.3", Fragment: 640 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return c.Drive(graph.DriveID(d.ID()))
}

// scratch makes the folder to work in.
func scratch(t *testing.T, d *graphtest.Drive) graph.ItemID {
	t.Helper()
	i, err := d.Mkdir("/scratch")
	if err != nil {
		t.Fatal(err)
	}
	return graph.ItemID(i.ID)
}

func TestTheEmulatorIsAService(t *testing.T) {
	for _, kind := range []string{graphtest.Business, graphtest.Personal, graphtest.DocumentLibrary} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := graphtest.Start(t, graphtest.Options{Personal: kind == graphtest.Personal, ListPage: 7, FeedPage: 5, FeedLag: 40 * time.Second})
				d := s.Me().Drive()
				if kind == graphtest.DocumentLibrary {
					d = s.Drive("Documents")
				}
				folder := scratch(t, d)
				results := suite.Collect(t.Context(), nil, func(c suite.T) {
					suite.Run(c, suite.Options{Service: service(t, s, d), Folder: folder, Large: 2 << 20, Enumerate: true})
				})
				for _, r := range results {
					if r.Outcome != suite.Held {
						t.Errorf("%s: %s: %s", r.Name, r.Outcome, strings.Join(r.Notes, "; "))
					}
				}
				if len(results) != len(suite.Names()) {
					t.Errorf("%d results for %d behaviours", len(results), len(suite.Names()))
				}
				if left, err := d.Walk(); err != nil || len(left) != 1 {
					t.Errorf("the run left %d items behind, %v", len(left)-1, err)
				}
				for _, v := range s.Violations() {
					t.Errorf("against the protocol: %s", v)
				}
				if n := s.OpenSessions(); n != 0 {
					t.Errorf("%d upload sessions left open", n)
				}
			})
		})
	}
}

// TestTheSuiteFindsFaults lets the service misbehave and expects the suite to say so.
func TestTheSuiteFindsFaults(t *testing.T) {
	for name, spoil := range map[string]func(*graphtest.Server){
		"the feed tells of changes": func(s *graphtest.Server) { s.SetQuirks(graphtest.Quirks{LoseTombstones: true}) },
		"a small file keeps its bytes and its time": func(s *graphtest.Server) {
			s.SetQuirks(graphtest.Quirks{OddTimes: true})
		},
		"changes are called out": func(s *graphtest.Server) { s.Inject(graphtest.Fault{Op: graphtest.OpSocket, Status: 500, Times: -1}) },
		"permissions are told": func(s *graphtest.Server) {
			s.Inject(graphtest.Fault{Op: graphtest.OpPermissions, Status: 200, Type: "application/json", Body: `{"value":[]}`})
		},
		"a batch does what its calls do": func(s *graphtest.Server) { s.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Skip: 5, Status: 500}) },
		"old versions are kept": func(s *graphtest.Server) {
			s.Inject(graphtest.Fault{Op: graphtest.OpVersions, Skip: 1, Status: 200, Body: "x", Times: -1})
		},
		"any range of a file can be read": func(s *graphtest.Server) {
			s.Inject(graphtest.Fault{Op: graphtest.OpDownload, Status: 403, Times: -1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := graphtest.Start(t, graphtest.Options{})
				d := s.Me().Drive()
				folder := scratch(t, d)
				spoil(s)
				var told []suite.Result
				results := suite.Collect(t.Context(), func(r suite.Result) { told = append(told, r) }, func(c suite.T) {
					suite.Run(c, suite.Options{Service: service(t, s, d), Folder: folder, Only: []string{name}})
				})
				if len(results) != 1 || results[0].Outcome != suite.Failed || results[0].Name != name || len(results[0].Notes) == 0 {
					t.Errorf("results: %+v", results)
				}
				if len(told) != len(results) {
					t.Errorf("told %d of %d results", len(told), len(results))
				}
				for _, note := range results[0].Notes {
					if strings.Contains(note, d.ID()) || strings.Contains(note, "SECRET") || strings.Contains(note, "https:") {
						t.Errorf("a note gives something away: %s", note)
					}
				}
			})
		})
	}
}

func TestCollectTellsHowPartsEnd(t *testing.T) {
	got := suite.Collect(t.Context(), nil, func(c suite.T) {
		c.Run("held", func(c suite.T) { c.Logf("a note") })
		c.Run("failed", func(c suite.T) { c.Fatalf("no %s", "way"); c.Errorf("not reached") })
		c.Run("skipped", func(c suite.T) { c.Skipf("not here") })
		c.Run("outer", func(c suite.T) { c.Run("inner", func(c suite.T) { c.Errorf("bad") }) })
		c.Errorf("and more")
	})
	var words []string
	for _, r := range got {
		words = append(words, r.Name+" "+string(r.Outcome)+" "+strings.Join(r.Notes, ","))
	}
	want := []string{"held held a note", "failed failed no way", "skipped skipped not here", "outer: inner failed bad", "outer failed ", " failed and more"}
	if !slices.Equal(words, want) {
		t.Errorf("got  %q\nwant %q", words, want)
	}
}

func TestEveryBehaviourHasAName(t *testing.T) {
	names := suite.Names()
	slices.Sort(names)
	if n := len(slices.Compact(slices.Clone(names))); n != len(names) || n < 20 {
		t.Errorf("%d names, %d of them different", len(names), n)
	}
}

// TestARealAccount runs the suite on a real drive: DUSKFS_SUITE_TOKEN is an access token for Graph,
// DUSKFS_SUITE_DRIVE the id of a drive, DUSKFS_SUITE_FOLDER the id of a folder in it (empty: the
// root). DUSKFS_SUITE_GRAPH and DUSKFS_SUITE_CA may name another Graph and its CA file.
func TestARealAccount(t *testing.T) {
	if os.Getenv("DUSKFS_SUITE_TOKEN") == "" || os.Getenv("DUSKFS_SUITE_DRIVE") == "" {
		t.Skip("DUSKFS_SUITE_TOKEN and DUSKFS_SUITE_DRIVE do not name a real account")
	}
	onAccount(t, os.Getenv)
}

// TestTheRouteToARealAccount takes the same route to an emulator behind sockets, for behaviours in
// which the client does not wait: here a second is a second.
func TestTheRouteToARealAccount(t *testing.T) {
	t.Parallel()
	s := graphtest.Start(t, graphtest.Options{})
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"DUSKFS_SUITE_TOKEN": s.AccessToken(s.Me().ID), "DUSKFS_SUITE_DRIVE": s.Me().Drive().ID(),
		"DUSKFS_SUITE_GRAPH": s.GraphURL(), "DUSKFS_SUITE_CA": s.CAFile()}
	onAccount(t, func(name string) string { return env[name] }, "drive and root are described", "a small file keeps its bytes and its time",
		"a large file goes up in pieces and comes down whole", "several uploads at once keep apart", "the feed tells of changes")
	if left, err := s.Me().Drive().Walk(); err != nil || len(left) != 0 {
		t.Errorf("the run left %d items behind, %v", len(left), err)
	}
	for _, v := range s.Violations() {
		t.Errorf("against the protocol: %s", v)
	}
}

func onAccount(t *testing.T, getenv func(string) string, only ...string) {
	var transport http.RoundTripper
	if file := getenv("DUSKFS_SUITE_CA"); file != "" {
		pem, err := os.ReadFile(file)
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			t.Fatal(errors.Join(errors.New("no CA"), err))
		}
		transport = rest.NewTransport(pool)
	}
	c, err := rest.New(rest.Options{GraphURL: getenv("DUSKFS_SUITE_GRAPH"), Tokens: fixed(getenv("DUSKFS_SUITE_TOKEN")), Transport: transport, Version: "selftest"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d := c.Drive(graph.DriveID(getenv("DUSKFS_SUITE_DRIVE")))
	folder := graph.ItemID(getenv("DUSKFS_SUITE_FOLDER"))
	if folder == "" {
		root, err := d.Root(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		folder = root.ID
	}
	suite.Run(suite.Under(t), suite.Options{Service: d, Folder: folder, Only: only})
}
