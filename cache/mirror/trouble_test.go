package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/cache/mirror"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// renaming is a service that gives items other names, as a hostile one could.
type renaming struct {
	mirror.Service
	names map[string]string
}

func (r renaming) Delta(ctx context.Context, from graph.Link) (graph.Page, error) {
	p, err := r.Service.Delta(ctx, from)
	for n, i := range p.Items {
		if to, ok := r.names[i.Name]; ok {
			p.Items[n].Name = to
		}
	}
	return p, err
}

func TestNamesThatCannotBeAreRefusedOneByOne(t *testing.T) {
	w := library(t, graphtest.Options{})
	names := map[string]string{}
	for n, bad := range []string{"..", ".", "../../evil", "/etc/evil", "a/b", "nul\x00", ""} {
		w.put(fmt.Sprintf("/x%d", n), "evil")
		names[fmt.Sprintf("x%d", n)] = bad
	}
	w.put("/dir/in", "below a bad folder")
	names["dir"] = "../dir"
	w.put("/long", "too long for this disk")
	names["long"] = strings.Repeat("長", 100)
	w.put("/good", "good")
	w.o.Service = renaming{w.near, names}
	r := w.run()
	if r.Failed != 9 || r.Added != 1 || !r.Partial || len(r.Problems) != 9 {
		t.Errorf("%+v", r)
	}
	if rep := w.last(); !rep.Partial || len(rep.Problems) != 9 {
		t.Errorf("%+v", rep)
	}
	var all []string
	w.ok(filepath.WalkDir(w.dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.Contains(p, "/state/") {
			all = append(all, strings.TrimPrefix(p, w.dir))
		}
		return err
	}))
	for _, p := range all {
		if !strings.HasPrefix(p, "/copy/data/good") && !strings.HasPrefix(p, "/copy/.duskfs/") && !strings.HasPrefix(p, "/copy/sync_logs/") && p != "/copy/.permissions.json" {
			t.Errorf("%s was made", p)
		}
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.sync()
	outside := filepath.Join(w.dir, "outside")
	w.ok(os.MkdirAll(filepath.Join(outside, "sub"), 0o755))
	w.ok(os.WriteFile(filepath.Join(outside, "f"), []byte("outside"), 0o644))
	data := filepath.Join(w.o.Folder, "data")
	w.ok(os.Symlink(outside, filepath.Join(data, "a")))
	w.ok(os.Symlink("../sync_logs", filepath.Join(data, "b")))
	w.ok(os.Symlink(filepath.Join(outside, "f"), filepath.Join(data, "f")))
	w.put("/a/new", "n")
	w.put("/a/sub/x", "x")
	w.put("/b/new", "n")
	w.put("/f", "theirs")
	if r := w.sync(); r.Added != 4 {
		t.Errorf("%+v", r)
	}
	left, err := os.ReadDir(outside)
	w.ok(err)
	sub, err := os.ReadDir(filepath.Join(outside, "sub"))
	w.ok(err)
	text, err := os.ReadFile(filepath.Join(outside, "f"))
	w.ok(err)
	if len(left) != 2 || len(sub) != 0 || string(text) != "outside" {
		t.Errorf("something was written outside: %v, %v, %q", left, sub, text)
	}
	for _, p := range []string{"a", "b"} {
		if st, err := os.Lstat(filepath.Join(data, p)); err != nil || !st.IsDir() {
			t.Errorf("%s is no folder: %v", p, err)
		}
	}
	// Somebody puts a link where a file of ours was.
	w.ok(os.Remove(filepath.Join(data, "f")))
	w.ok(os.Symlink(filepath.Join(outside, "f"), filepath.Join(data, "f")))
	if r := w.sync(); r.Restored != 1 {
		t.Errorf("%+v", r)
	}
	if text, err := os.ReadFile(filepath.Join(outside, "f")); err != nil || string(text) != "outside" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAFolderThatIsALinkIsRefused(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.ok(os.MkdirAll(w.o.Folder, 0o755))
	w.ok(os.Mkdir(filepath.Join(w.dir, "elsewhere"), 0o755))
	w.ok(os.Symlink("../elsewhere", filepath.Join(w.o.Folder, "data")))
	if _, err := mirror.New(w.o).Sync(t.Context()); err == nil {
		t.Error("followed")
	}
}

func TestAFailedReadOfPermissionsIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := library(t, graphtest.Options{})
		w.put("/a", "a")
		w.put("/b", "b")
		w.sync()
		before := w.permissionsFile()["a"]
		w.ok(w.far.Grant("/a", graphtest.Grant{Group: "Team"}))
		w.ok(w.far.Grant("/b", graphtest.Grant{Group: "Team"}))
		w.put("/new", "n")
		for _, place := range []string{"/a", "/new"} {
			w.s.Inject(graphtest.Fault{Op: graphtest.OpPermissions, Place: place, Status: 500, Code: "generalException", Times: -1})
		}
		r := w.run()
		if !r.Partial || r.PermissionsOnly != 1 || r.Added != 1 {
			t.Errorf("%+v", r)
		}
		rep := w.last()
		if x := rep.Changes.Added["new"]; !rep.Partial || !x.Unknown || len(x.Permissions) != 0 {
			t.Errorf("%+v", rep)
		}
		kept := w.permissionsFile()
		if _, ok := kept["new"]; ok || !slices.Equal(kept["a"], before) || len(kept["b"]) != 2 {
			t.Errorf("%v", kept)
		}
		w.s.ClearFaults()
		if r := w.sync(); r.PermissionsOnly != 2 {
			t.Errorf("%+v", r)
		}
		w.equal()
	})
}

func TestPermissionsThatNobodyMayRead(t *testing.T) {
	w := library(t, graphtest.Options{})
	for n := range 200 {
		w.put(fmt.Sprintf("/f%d", n), "x")
	}
	w.s.Inject(graphtest.Fault{Op: graphtest.OpPermissions, Status: 403, Code: "accessDenied", Times: -1})
	r := w.run()
	if r.Added != 200 || !r.Partial || r.Failed != 1 {
		t.Errorf("%+v", r)
	}
	if n := w.s.Counts().Of(graphtest.OpPermissions); n == 200 {
		t.Errorf("asked %d times in vain", n)
	}
}

func TestPermissionsAreReadWhereSomethingSaysSo(t *testing.T) {
	w := library(t, graphtest.Options{})
	at := time.Now()
	w.o.Now = func() time.Time { return at }
	for n := range 50 {
		w.put(fmt.Sprintf("/d%d/f%d", n%2, n), "x")
	}
	if r := w.sync(); r.Read != 50 {
		t.Errorf("%+v", r)
	}
	w.put("/d0/f0", "other")
	w.ok(w.far.Grant("/d1/f1", graphtest.Grant{Group: "Team"}))
	if r := w.sync(); r.Read != 2 {
		t.Errorf("two files changed: %+v", r)
	}
	w.ok(w.far.Grant("/d1", graphtest.Grant{Group: "Team 2"}))
	if r := w.sync(); r.Read != 25 || r.PermissionsOnly != 25 {
		t.Errorf("a folder changed: %+v", r)
	}
	// Without a sign each is read within the period, not all at once.
	read := 0
	for range 4 {
		at = at.Add(6 * time.Hour)
		r := w.sync()
		if r.Read == 50 {
			t.Error("all at once")
		}
		read += r.Read
	}
	if read < 50 || read > 60 {
		t.Errorf("%d were read in a day", read)
	}
	w.o.SharingChanges = true
	at = at.Add(100 * time.Hour)
	if r := w.sync(); r.Read != 0 {
		t.Errorf("the feed tells: %+v", r)
	}
	w.o.SharingChanges, w.o.PermissionsEvery = false, -1
	if r := w.sync(); r.Read != 50 {
		t.Errorf("in every run: %+v", r)
	}
	w.equal()
}

// sameTags is a library in which no sharing changes an eTag.
type sameTags struct{ *rest.Drive }

func (s sameTags) Delta(ctx context.Context, from graph.Link) (graph.Page, error) {
	p, err := s.Drive.Delta(ctx, from)
	for n := range p.Items {
		p.Items[n].ETag = "same"
	}
	return p, err
}

// Where the feed may tell that sharing changed, that is all that is read; else it is found out by and by.
func TestTheFeedsWordOfSharingIsEnough(t *testing.T) {
	for _, told := range []bool{true, false} {
		w := library(t, graphtest.Options{})
		client, err := rest.New(rest.Options{GraphURL: w.s.GraphURL(), Transport: w.s.Transport(), Tokens: graphtest.Tokens{Server: w.s}, User: w.s.Me().UPN, SharingChanges: told})
		w.ok(err)
		t.Cleanup(client.Close)
		w.o.Service, w.o.SharingChanges = sameTags{client.Drive(graph.DriveID(w.far.ID()))}, told
		at := time.Now()
		w.o.Now = func() time.Time { return at }
		for n := range 10 {
			w.put(fmt.Sprintf("/d/f%d", n), "x")
		}
		if r := w.sync(); r.Read != 10 {
			t.Errorf("told %v: the first run: %+v", told, r)
		}
		w.ok(w.far.Grant("/d/f1", graphtest.Grant{Link: "anonymous"}))
		r := w.sync()
		if want := map[bool]int{true: 1}[told]; r.Read != want || r.PermissionsOnly != want {
			t.Errorf("told %v: shared: %+v", told, r)
		}
		at = at.Add(25 * time.Hour)
		r = w.sync()
		if want := map[bool]int{false: 10}[told]; r.Read != want || r.PermissionsOnly != want/10 {
			t.Errorf("told %v: a day later: %+v", told, r)
		}
		w.equal()
	}
}

func TestPermissionsEnd(t *testing.T) {
	w := library(t, graphtest.Options{})
	at := time.Now()
	w.o.Now = func() time.Time { return at }
	w.put("/a", "a")
	w.ok(w.far.Grant("/a", graphtest.Grant{Link: "anonymous", Expires: at.Add(time.Hour).UTC().Format(time.RFC3339)}))
	w.sync()
	if len(w.permissionsFile()["a"]) != 2 {
		t.Errorf("%v", w.permissionsFile())
	}
	at = at.Add(2 * time.Hour)
	if r := w.sync(); r.PermissionsOnly != 1 || len(w.permissionsFile()["a"]) != 1 {
		t.Errorf("%+v, %v", r, w.permissionsFile())
	}
}

func TestManyDeletionsAreHeldBack(t *testing.T) {
	w := library(t, graphtest.Options{})
	for n := range 60 {
		w.put(fmt.Sprintf("/d%d/f%d", n%3, n), fmt.Sprint(n))
	}
	w.sync()
	before := w.here()
	w.ok(w.far.Delete("/d0"))
	w.put("/d1/f1", "changed all the same")
	r := w.run()
	if r.Held != 20 || r.Deleted != 0 || r.Modified != 1 || !r.InPart() {
		t.Errorf("%+v", r)
	}
	if now := w.here(); now["d0/f0"] != before["d0/f0"] {
		t.Error("deleted")
	}
	if r = w.run(); r.Held != 20 {
		t.Errorf("forgotten: %+v", r)
	}
	// The same folder made anew does not wait for the guard.
	w.put("/d0/f0", "anew")
	if r = w.run(); r.Modified != 1 || w.here()["d0/f0"] != sumOf([]byte("anew")) {
		t.Errorf("%+v", r)
	}
	w.o.AllowDeletes = true
	if r = w.sync(); r.Deleted != 19 {
		t.Errorf("%+v", r)
	}
	w.equal()
}

func TestWhatIsGoneIsInTheTrash(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.put("/d/a", "text of a")
	w.sync()
	w.ok(w.far.Delete("/d"))
	w.sync()
	found, err := filepath.Glob(filepath.Join(w.o.Folder, ".duskfs/trash/*/d/a"))
	w.ok(err)
	if len(found) != 1 {
		t.Fatalf("%v", found)
	}
	if b, err := os.ReadFile(found[0]); err != nil || string(b) != "text of a" {
		t.Errorf("%q, %v", b, err)
	}
	w.o.Now = func() time.Time { return time.Now().Add(31 * 24 * time.Hour) }
	w.sync()
	if _, err := os.Stat(found[0]); err == nil {
		t.Error("kept for ever")
	}
	w.o.Now, w.o.NoTrash = nil, true
	w.put("/b", "b")
	w.sync()
	w.ok(w.far.Delete("/b"))
	w.sync()
	if found, _ := filepath.Glob(filepath.Join(w.o.Folder, ".duskfs/trash/*/b")); len(found) != 0 {
		t.Errorf("%v", found)
	}
}

// halting is a service whose feed breaks off before its last page, as long as it is told to.
type halting struct {
	mirror.Service
	halted bool
	rest   graph.Link
}

func (h *halting) Delta(ctx context.Context, from graph.Link) (graph.Page, error) {
	if from == "/rest" {
		if h.halted {
			return graph.Page{}, &graph.Error{Op: "delta", Kind: graph.Offline}
		}
		return graph.Page{Next: h.rest, Done: true}, nil
	}
	p, err := h.Service.Delta(ctx, from)
	if p.Done && h.halted {
		h.rest, p.Next, p.Done = p.Next, "/rest", false
	}
	return p, err
}

func TestNothingIsDoneAboutAFeedThatBreaksOff(t *testing.T) {
	w := library(t, graphtest.Options{})
	for n := range 30 {
		w.put(fmt.Sprintf("/f%d", n), fmt.Sprint(n))
	}
	w.sync()
	before := w.here()
	for _, forget := range []bool{false, true} {
		if forget {
			w.far.ForgetFeed("")
		}
		for n := range 5 {
			w.ok(w.far.Delete(fmt.Sprintf("/f%d", n)))
		}
		w.put("/new", fmt.Sprint("new ", forget))
		h := &halting{Service: w.near, halted: true}
		w.o.Service = h
		for range 3 {
			if _, err := mirror.New(w.o).Sync(t.Context()); !errors.Is(err, graph.Offline) {
				t.Fatalf("the run: %v", err)
			}
			w.same("the folder", w.here(), before)
		}
		h.halted = false
		w.run()
		w.o.Service = w.near
		w.sync()
		w.equal()
		for n := range 5 {
			w.put(fmt.Sprintf("/f%d", n), fmt.Sprint(n, forget))
		}
		w.sync()
		before = w.here()
	}
}

func TestALostDeletionIsFoundByAndBy(t *testing.T) {
	w := library(t, graphtest.Options{})
	at := time.Now()
	w.o.Now = func() time.Time { return at }
	w.put("/a", "a")
	w.put("/b", "b")
	w.sync()
	w.s.SetQuirks(graphtest.Quirks{LoseTombstones: true})
	w.ok(w.far.Delete("/a"))
	if r := w.sync(); r.Deleted != 0 {
		t.Errorf("%+v", r)
	}
	at = at.Add(8 * 24 * time.Hour)
	if r := w.sync(); r.Deleted != 1 {
		t.Errorf("%+v", r)
	}
	w.equal()
}

// breaking is a service whose downloads break off after some bytes.
type breaking struct {
	mirror.Service
	after int64
	asked *[]int64
}

func (b breaking) Content(ctx context.Context, id graph.ItemID, v graph.Version, off, n int64) (io.ReadCloser, error) {
	*b.asked = append(*b.asked, off)
	r, err := b.Service.Content(ctx, id, v, off, n)
	if err != nil || b.after == 0 {
		return r, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, b.after), broken{}), r}, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, &graph.Error{Op: "read", Kind: graph.Offline} }

func TestADownloadIsGoneOnWith(t *testing.T) {
	w := library(t, graphtest.Options{})
	_, err := w.far.PutSeeded("/big.bin", 3<<20, 1)
	w.ok(err)
	near := w.o.Service
	var asked []int64
	w.o.Service = breaking{near, 1 << 20, &asked}
	for range 2 {
		if _, err := mirror.New(w.o).Sync(t.Context()); !errors.Is(err, graph.Offline) {
			t.Fatal(err)
		}
		if len(w.here()) != 0 {
			t.Error("something half written has its name")
		}
	}
	w.o.Service = breaking{near, 0, &asked}
	w.run()
	w.o.Service = near
	w.sync()
	w.equal()
	if !slices.Equal(asked, []int64{0, 1 << 20, 2 << 20}) {
		t.Errorf("asked from %v on", asked)
	}
}

func TestAPartThatIsNotWhatItSeemsIsFetchedAnew(t *testing.T) {
	w := library(t, graphtest.Options{})
	_, err := w.far.PutSeeded("/big.bin", 1<<20, 1)
	w.ok(err)
	near := w.o.Service
	var asked []int64
	w.o.Service = breaking{near, 1 << 19, &asked}
	if _, err := mirror.New(w.o).Sync(t.Context()); !errors.Is(err, graph.Offline) {
		t.Fatal(err)
	}
	parts, err := filepath.Glob(filepath.Join(w.o.Folder, ".duskfs/parts/*"))
	w.ok(err)
	if len(parts) != 1 {
		t.Fatalf("%v", parts)
	}
	w.ok(os.WriteFile(parts[0], bytes.Repeat([]byte("z"), 1<<19), 0o644))
	w.o.Service = near
	w.sync()
	w.equal()
}

func TestAFullDiskStopsThatFileAlone(t *testing.T) {
	w := library(t, graphtest.Options{})
	_, err := w.far.PutSeeded("/big.bin", 50<<20, 1)
	w.ok(err)
	w.put("/small", "s")
	w.o.Free = func(string) (int64, error) { return 100 << 20, nil }
	r := w.run()
	if r.Failed != 1 || r.Added != 1 || r.Problems[0].Path != "big.bin" || !strings.Contains(r.Problems[0].Error, "no space") {
		t.Errorf("%+v", r)
	}
	w.o.Free = nil
	w.sync()
	w.equal()
}

func TestAFileThatIsRefusedStopsNoOther(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.put("/a", "a")
	w.put("/virus.exe", "v")
	if err := w.far.Infect("/virus.exe"); err != nil {
		t.Fatal(err)
	}
	if r := w.run(); r.Added != 1 || r.Failed != 1 || r.Problems[0].Path != "virus.exe" || !strings.Contains(r.Problems[0].Error, "malware") {
		t.Errorf("%+v", r)
	}
}

func TestFilesThatAreServedOtherwiseThanListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := library(t, graphtest.Options{Quirks: graphtest.Quirks{WrongSizes: true}})
		w.put("/a.docx", "some words")
		w.put("/b.heic", "a picture")
		w.put("/c.txt", "text")
		w.sync()
		w.same("the folder", w.here(), w.there())
		if r := w.sync(); r.Fetched != 0 || r.Report != "" {
			t.Errorf("%+v", r)
		}
	})
}

func TestReportsAreNeverOverwritten(t *testing.T) {
	w := library(t, graphtest.Options{})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	w.o.Now = func() time.Time { return at }
	for n := range 3 {
		w.put(fmt.Sprintf("/f%d", n), "x")
		w.sync()
	}
	var names []string
	for _, p := range w.reports() {
		names = append(names, filepath.Base(p))
	}
	want := []string{"sync_changes_2026-01-02_03-04-05.json", "sync_changes_2026-01-02_03-04-05_2.json", "sync_changes_2026-01-02_03-04-05_3.json"}
	if !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
	w.equal()
}

func TestAReportIsDeliveredAtLeastOnce(t *testing.T) {
	w := library(t, graphtest.Options{})
	var got []string
	fail := true
	w.o.Deliver = func(_ context.Context, d mirror.Delivery) error {
		if fail {
			return errors.New("not now")
		}
		got = append(got, fmt.Sprint(filepath.Base(d.Report) == filepath.Base(w.reports()[len(got)]), d.Permissions))
		return nil
	}
	w.put("/a", "a")
	if r := w.run(); r.Failed != 1 {
		t.Errorf("%+v", r)
	}
	w.ok(w.far.Grant("/a", graphtest.Grant{Group: "Team"}))
	w.o.Now = func() time.Time { return time.Now().Add(time.Minute) }
	w.run()
	fail = false
	w.run()
	if !slices.Equal(got, []string{"true false", "true true"}) {
		t.Errorf("%v", got)
	}
	w.run()
	if len(got) != 2 {
		t.Error("delivered again")
	}
}

func TestARehearsalDoesNothing(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.put("/a", "a")
	w.put("/b", "b")
	w.put("/c", "c")
	var steps []string
	rehearse := func() mirror.Result {
		steps = nil
		r, err := mirror.New(w.o).Rehearse(t.Context(), func(s mirror.Step) { steps = append(steps, strings.TrimSpace(s.Do+" "+s.Path+" "+s.From)) })
		w.ok(err)
		slices.Sort(steps)
		return r
	}
	if r := rehearse(); r.Read != 3 || !slices.Equal(steps, []string{"fetch a", "fetch b", "fetch c"}) {
		t.Errorf("%v, %+v", steps, r)
	}
	if _, err := os.Stat(w.o.Folder); err == nil {
		t.Error("the folder was made")
	}
	_, err := w.far.Mkdir("/x")
	w.ok(err)
	w.sync()
	w.move("/a", "/x/a")
	w.put("/b", "other")
	w.ok(w.far.Delete("/c"))
	w.put("/d", "d")
	before := snapshot(t, w.dir)
	rehearse()
	if !slices.Equal(steps, []string{"fetch d", "move x/a a", "remove c", "replace b"}) {
		t.Errorf("%v", steps)
	}
	if after := snapshot(t, w.dir); after != before {
		t.Errorf("something was written:\n%s\n%s", before, after)
	}
	w.sync()
	w.equal()
}

// snapshot lists all files with their sizes and times.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "lock" {
			return err
		}
		st, err := d.Info()
		fmt.Fprintln(&all, p, st.Size(), st.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestFiltersLeaveOut(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.put("/a.txt", "a")
	w.put("/b.pdf", "b")
	w.put("/d/c.txt", "c")
	_, err := w.far.PutSeeded("/big.txt", 2000, 1)
	w.ok(err)
	w.o.MaxSize = 1000
	w.o.Take = func(p string, dir bool) bool { return !strings.HasSuffix(p, ".pdf") && p != "d" }
	r := w.sync()
	if r.Added != 1 || r.LeftOut != 4 {
		t.Errorf("%+v", r)
	}
	w.o.Take, w.o.MaxSize = nil, 0
	w.sync()
	w.equal()
	// What is here stays when it is left out later; what moves to where it is left out goes.
	w.o.Take = func(p string, dir bool) bool { return !strings.HasSuffix(p, ".pdf") }
	if r = w.sync(); r.Deleted != 0 || r.Total != 4 {
		t.Errorf("%+v", r)
	}
	w.move("/a.txt", "/a.pdf")
	if r = w.sync(); r.Deleted != 1 || r.Added != 0 {
		t.Errorf("%+v", r)
	}
}

func TestARunWhileAnotherRuns(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.put("/a", "a")
	w.o.Deliver = func(ctx context.Context, _ mirror.Delivery) error {
		if _, err := mirror.New(w.o).Sync(ctx); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("the second: %v", err)
		}
		return nil
	}
	w.sync()
}

func TestListsAndCompare(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.put("/a", "a")
	w.put("/d/b", "b")
	w.put("/c", "c")
	w.sync()
	w.put("/c", "longer")
	w.ok(w.far.Delete("/a"))
	w.put("/new", "n")
	m := mirror.New(w.o)
	remote, err := m.RemoteFiles(t.Context())
	w.ok(err)
	local, err := m.LocalFiles()
	w.ok(err)
	added, modified, deleted := mirror.Compare(remote, local)
	if !slices.Equal(added, []string{"new"}) || !slices.Equal(modified, []string{"c"}) || !slices.Equal(deleted, []string{"a"}) {
		t.Errorf("%v %v %v", added, modified, deleted)
	}
	w.sync()
	if local, err = m.LocalFiles(); err != nil {
		t.Fatal(err)
	}
	if added, modified, deleted = mirror.Compare(remote, local); len(added)+len(modified)+len(deleted) != 0 {
		t.Errorf("%v %v %v", added, modified, deleted)
	}
}
