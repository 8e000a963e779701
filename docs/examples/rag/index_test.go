package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/cache/mirror"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// world is a library, its mirror, and the index that the reports are fed into.
type world struct {
	t   *testing.T
	far *graphtest.Drive
	m   *mirror.Mirror
	ix  *Index
	dir string
}

func start(t *testing.T) *world {
	t.Helper()
	s := graphtest.Start(t, graphtest.Options{})
	client, err := rest.New(rest.Options{GraphURL: s.GraphURL(), Transport: s.Transport(), Tokens: graphtest.Tokens{Server: s}, User: s.Me().UPN})
	w := &world{t: t, far: s.Drive("sites/Engineering#Documents"), dir: t.TempDir()}
	w.ok(err)
	t.Cleanup(client.Close)
	w.m = mirror.New(mirror.Options{Service: client.Drive(graph.DriveID(w.far.ID())), Folder: filepath.Join(w.dir, "copy"), Shown: "copy", State: filepath.Join(w.dir, "state")})
	w.ix, err = Open(filepath.Join(w.dir, "index"))
	w.ok(err)
	ix := w.ix
	t.Cleanup(func() { _ = ix.Close() })
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(path, text string) {
	w.t.Helper()
	_, err := w.far.Put(path, []byte(text))
	w.ok(err)
}

// sync mirrors, and feeds the index.
func (w *world) sync() {
	w.t.Helper()
	r, err := w.m.Sync(w.t.Context())
	w.ok(err)
	if r.InPart() {
		w.t.Fatalf("%+v", r)
	}
	_, err = w.ix.Feed(filepath.Join(w.dir, "copy", "sync_logs"), w.dir)
	w.ok(err)
}

// finds asks, and compares the paths that come.
func (w *world) finds(words string, as []string, want ...string) {
	w.t.Helper()
	hits, err := w.ix.Ask(words, as)
	w.ok(err)
	var got []string
	for _, h := range hits {
		got = append(got, h.Path)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.t.Errorf("%q as %q finds %q, want %q", words, as, got, want)
	}
}

var (
	owner    = []string{"Engineering Owners"}
	team     = []string{"Bob", "AI Team"}
	stranger = []string{"Mallory", "Engineering"}
)

func TestPeopleFindWhatTheyMaySee(t *testing.T) {
	w := start(t)
	w.put("/plans/bridge.txt", "the bridge has two piers")
	w.put("/plans/tunnel.txt", "the tunnel has no piers")
	w.put("/secret.txt", "salaries of those who build piers")
	w.ok(w.far.Grant("/plans", graphtest.Grant{Group: "AI Team"}))
	w.sync()
	w.finds("piers", owner, "plans/bridge.txt", "plans/tunnel.txt", "secret.txt")
	w.finds("piers", team, "plans/bridge.txt", "plans/tunnel.txt")
	w.finds("piers", stranger)
	w.finds("piers", nil)
	w.finds("AI Team", owner) // who may see something is no text

	// Bytes, names and permissions change.
	w.put("/plans/bridge.txt", "the bridge has none")
	_, err := w.far.Move("/plans/tunnel.txt", "/old tunnel.txt")
	w.ok(err)
	w.ok(w.far.Grant("/secret.txt", graphtest.Grant{Group: "AI Team", Role: "write"}))
	w.sync()
	w.finds("piers", owner, "old tunnel.txt", "secret.txt")
	w.finds("piers", team, "secret.txt")
	w.finds("bridge", team, "plans/bridge.txt")

	w.ok(w.far.Revoke("/secret.txt"))
	w.ok(w.far.Delete("/plans"))
	w.sync()
	w.finds("piers", team)
	w.finds("bridge", owner)
	w.finds("salaries", owner, "secret.txt")
}

func TestReportsMayBeReadAgain(t *testing.T) {
	w := start(t)
	w.put("/a.txt", "first words")
	w.sync()
	w.put("/a.txt", "other words")
	w.put("/b.txt", "more words")
	w.sync()
	w.ok(w.far.Delete("/b.txt"))
	w.sync()
	logs := filepath.Join(w.dir, "copy", "sync_logs")
	if n, err := w.ix.Feed(logs, w.dir); n != 0 || err != nil {
		t.Errorf("fed again: %d, %v", n, err)
	}
	// An index that was lost is made anew from all reports.
	fresh, err := Open(filepath.Join(w.dir, "fresh"))
	w.ok(err)
	defer fresh.Close()
	for range 2 {
		if _, err := fresh.Feed(logs, w.dir); err != nil {
			t.Fatal(err)
		}
	}
	w.ix = fresh
	w.finds("words", owner, "a.txt")
	w.finds("first", owner)
}

func TestReportsOfOneSecondAreInOrder(t *testing.T) {
	names := []string{"sync_changes_2026-01-01_00-00-00_10.json", "sync_changes_2026-01-01_00-00-01.json", "sync_changes_2026-01-01_00-00-00_2.json", "sync_changes_2026-01-01_00-00-00.json"}
	slices.SortFunc(names, compare)
	want := []string{"sync_changes_2026-01-01_00-00-00.json", "sync_changes_2026-01-01_00-00-00_2.json", "sync_changes_2026-01-01_00-00-00_10.json", "sync_changes_2026-01-01_00-00-01.json"}
	if !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
}

func TestTheProgram(t *testing.T) {
	w := start(t)
	w.put("/hello.txt", "hello out there")
	_, err := w.m.Sync(t.Context())
	w.ok(err)
	at := filepath.Join(w.dir, "by-hand")
	var out strings.Builder
	w.ok(run([]string{"feed", "-index", at, "-root", w.dir, filepath.Join(w.dir, "copy", "sync_logs")}, &out))
	w.ok(run([]string{"ask", "-index", at, "-as", "Engineering Owners", "hello"}, &out))
	if !strings.HasPrefix(out.String(), "1 reports applied\nhello.txt\n") {
		t.Errorf("%q", out.String())
	}
	if _, err := os.Stat(at); err != nil {
		t.Error(err)
	}
	if run([]string{"nonsense"}, &out) == nil {
		t.Error("took nonsense")
	}
}
