package mirror_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
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

// world is a library with a mirror of it, and an index that is fed with the reports alone.
type world struct {
	t    *testing.T
	s    *graphtest.Server
	far  *graphtest.Drive
	near *rest.Drive
	dir  string
	o    mirror.Options
	// index has what somebody knows who reads the reports and the files that they name.
	index map[string]entry
	read  map[string]bool // reports that went into it
}

type entry struct {
	sum   string
	perms []string
}

// library starts a service and prepares a mirror of its library Documents.
func library(t *testing.T, o graphtest.Options) *world {
	t.Helper()
	return worldOf(t, graphtest.Start(t, o), "sites/Engineering#Documents", t.TempDir())
}

func worldOf(t *testing.T, s *graphtest.Server, drive, dir string) *world {
	t.Helper()
	w := &world{t: t, s: s, far: s.Drive(drive), dir: dir, index: map[string]entry{}, read: map[string]bool{}}
	client, err := rest.New(rest.Options{GraphURL: s.GraphURL(), Transport: s.Transport(), Tokens: graphtest.Tokens{Server: s}, User: s.Me().UPN})
	w.ok(err)
	t.Cleanup(client.Close)
	w.near = client.Drive(graph.DriveID(w.far.ID()))
	w.o = mirror.Options{Service: w.near, Drive: graph.Drive{ID: graph.DriveID(w.far.ID()), Name: w.far.Title()},
		Folder: filepath.Join(dir, "copy"), Shown: "copy", State: filepath.Join(dir, "state"), Host: "here"}
	t.Cleanup(func() {
		for _, v := range s.Violations() {
			t.Errorf("against the protocol: %s", v)
		}
	})
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(path, text string) graphtest.Info {
	w.t.Helper()
	i, err := w.far.Put(path, []byte(text))
	w.ok(err)
	return i
}

func (w *world) move(from, to string) {
	w.t.Helper()
	_, err := w.far.Move(from, to)
	w.ok(err)
}

// sync runs the mirror, which must succeed as a whole.
func (w *world) sync() mirror.Result {
	w.t.Helper()
	r := w.run()
	if r.InPart() {
		w.t.Fatalf("done in part: %+v", r)
	}
	return r
}

// run runs the mirror, which may be done in part.
func (w *world) run() mirror.Result {
	w.t.Helper()
	r, err := mirror.New(w.o).Sync(w.t.Context())
	w.ok(err)
	w.feed()
	return r
}

// reports lists the files of reports by name.
func (w *world) reports() []string {
	w.t.Helper()
	logs := w.o.Logs
	if logs == "" {
		logs = filepath.Join(w.o.Folder, "sync_logs")
	}
	all, err := filepath.Glob(filepath.Join(logs, "sync_changes_*.json"))
	w.ok(err)
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(inOrder(a), inOrder(b)) })
	return all
}

// inOrder makes the second report of a second follow the first.
func inOrder(file string) string {
	name := strings.TrimSuffix(filepath.Base(file), ".json")
	stamp, n := name, "1"
	if len(name) > len("sync_changes_2006-01-02_15-04-05") {
		stamp, n = name[:len("sync_changes_2006-01-02_15-04-05")], name[len("sync_changes_2006-01-02_15-04-05")+1:]
	}
	return fmt.Sprintf("%s %08s", stamp, n)
}

// feed brings the index up to date with the reports that it has not read, as the older tool's words say.
func (w *world) feed() {
	w.t.Helper()
	for _, file := range w.reports() {
		if w.read[file] {
			continue
		}
		w.read[file] = true
		r, err := mirror.ReadReport(file)
		w.ok(err)
		c := r.Changes
		if r.Summary.Added != len(c.Added) || r.Summary.Modified != len(c.Modified) || r.Summary.Deleted != len(c.Deleted) || r.Summary.PermissionsOnly != len(c.PermissionsOnly) {
			w.t.Errorf("%s: the summary %+v is not of its changes", file, r.Summary)
		}
		for p, x := range c.Added {
			w.index[p] = entry{w.sumAt(x.FilePath), x.Permissions}
		}
		for p, x := range c.Modified {
			e := w.index[p]
			if x.ContentChanged {
				e.sum = w.sumAt(x.FilePath)
			}
			if x.PermissionsChanged {
				e.perms = changed(e.perms, x.PermissionChanges)
			}
			w.index[p] = e
		}
		for p, x := range c.PermissionsOnly {
			e := w.index[p]
			e.perms = changed(e.perms, x.PermissionChanges)
			w.index[p] = e
		}
		for p := range c.Deleted {
			delete(w.index, p)
		}
	}
}

// changed applies changes of permissions, which must lead to what they say is current.
func changed(have []string, c mirror.PermissionChanges) []string {
	now := slices.DeleteFunc(slices.Clone(have), func(s string) bool { return slices.Contains(c.Removed, s) })
	for _, a := range c.Added {
		if !slices.Contains(now, a) {
			now = append(now, a)
		}
	}
	slices.Sort(now)
	want := slices.Sorted(slices.Values(c.Current))
	if !slices.Equal(now, want) {
		return append(now, fmt.Sprintf("(the report says that %q is current)", want))
	}
	return now
}

func (w *world) sumAt(file string) string {
	b, err := os.ReadFile(filepath.Join(w.dir, file))
	if err != nil {
		return "not there" // a later report says so
	}
	return sumOf(b)
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// here is the data folder: hashes of files by path, and "folder".
func (w *world) here() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	data := filepath.Join(w.o.Folder, "data")
	w.ok(filepath.WalkDir(data, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == data {
			return err
		}
		rel, err := filepath.Rel(data, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			all[rel] = "folder"
			return nil
		}
		b, err := os.ReadFile(p)
		all[rel] = sumOf(b)
		return err
	}))
	return all
}

// there is the library in the same form.
func (w *world) there() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	list, err := w.far.Walk()
	w.ok(err)
	for _, i := range list {
		if p := strings.TrimPrefix(i.Path, "/"); i.Folder {
			all[p] = "folder"
		} else {
			all[p] = i.SHA256
		}
	}
	return all
}

// equal compares folder, index and permissions with the library.
func (w *world) equal() {
	w.t.Helper()
	want := w.there()
	w.same("the folder", w.here(), want)
	files := map[string]string{}
	for p, sum := range want {
		if sum != "folder" {
			files[p] = sum
		}
	}
	indexed := map[string]string{}
	for p, e := range w.index {
		indexed[p] = e.sum
	}
	w.same("the index", indexed, files)
	w.equalPermissions(slices.Sorted(maps.Keys(files)))
	if left, err := filepath.Glob(filepath.Join(w.o.Folder, ".duskfs", "parts", "*")); err != nil || len(left) > 0 {
		w.t.Errorf("left over: %v, %v", left, err)
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// equalTimes compares the times of files.
func (w *world) equalTimes() {
	w.t.Helper()
	list, err := w.far.Walk()
	w.ok(err)
	for _, i := range list {
		if i.Folder {
			continue
		}
		st, err := os.Stat(filepath.Join(w.o.Folder, "data", i.Path))
		w.ok(err)
		if !st.ModTime().Equal(i.ModTime) {
			w.t.Errorf("%s is dated %v, want %v", i.Path, st.ModTime(), i.ModTime)
		}
	}
}

// equalPermissions compares what the index and .permissions.json say of files with what the service does.
func (w *world) equalPermissions(files []string) {
	w.t.Helper()
	kept := w.permissionsFile()
	if len(kept) != len(files) {
		w.t.Errorf(".permissions.json has %d files, the library %d", len(kept), len(files))
	}
	for _, p := range files {
		want := w.permissionsOf("/" + p)
		if got := slices.Sorted(slices.Values(kept[p])); !slices.Equal(got, want) {
			w.t.Errorf("%s: .permissions.json has %q, the library %q", p, got, want)
		}
		if got := slices.Sorted(slices.Values(w.index[p].perms)); !slices.Equal(got, want) {
			w.t.Errorf("%s: the index has %q, the library %q", p, got, want)
		}
	}
}

func (w *world) permissionsFile() map[string][]string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.o.Folder, ".permissions.json"))
	w.ok(err)
	kept := map[string][]string{}
	w.ok(json.Unmarshal(b, &kept))
	return kept
}

// permissionsOf asks the service who may see a file, past the product, and writes it down by rules of its own.
func (w *world) permissionsOf(path string) []string {
	w.t.Helper()
	i, err := w.far.Stat(path)
	w.ok(err)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.s.GraphURL()+"/v1.0/drives/"+w.far.ID()+"/items/"+i.ID+"/permissions", nil)
	w.ok(err)
	req.Header.Set("Authorization", "Bearer "+w.s.AccessToken(""))
	req.Header.Set("User-Agent", "NONISV|duskfs|test/1")
	resp, err := w.s.Transport().RoundTrip(req)
	w.ok(err)
	defer resp.Body.Close()
	var answer struct {
		Value []struct {
			Roles []string
			Link  *struct{ Type, Scope string }
			To    map[string]struct{ DisplayName string }   `json:"grantedToV2"`
			Many  []map[string]struct{ DisplayName string } `json:"grantedToIdentitiesV2"`
		}
	}
	b, err := io.ReadAll(resp.Body)
	w.ok(err)
	w.ok(json.Unmarshal(b, &answer))
	best := map[string]int{}
	for _, v := range answer.Value {
		if v.Link != nil && v.Link.Scope == "existingAccess" { // for those who have access anyway
			continue
		}
		level := map[string]int{"read": 1, "write": 2, "owner": 3, "sp.full control": 3}[v.Roles[0]]
		if v.Link != nil {
			n := "Sharing Link (" + v.Link.Type + ", " + v.Link.Scope + ")"
			best[n] = max(best[n], level)
		}
		for _, who := range append(v.Many, v.To) {
			for _, form := range []string{"user", "group", "siteGroup"} {
				if n := who[form].DisplayName; n != "" {
					best[n] = max(best[n], level)
				}
			}
		}
	}
	list := []string{}
	for n, l := range best {
		list = append(list, n+":::"+[]string{"", "View", "Edit", "Full Control"}[l])
	}
	slices.Sort(list)
	return list
}

func (w *world) same(what string, got, want map[string]string) {
	w.t.Helper()
	n := 0
	for p := range want {
		if got[p] != want[p] {
			if n++; n < 10 {
				w.t.Errorf("%s: %s is %.12q, want %.12q", what, p, got[p], want[p])
			}
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			if n++; n < 10 {
				w.t.Errorf("%s: %s should not be there", what, p)
			}
		}
	}
}

// local writes a file into the data folder, as somebody here does.
func (w *world) local(path, text string) {
	w.t.Helper()
	p := filepath.Join(w.o.Folder, "data", path)
	w.ok(os.MkdirAll(filepath.Dir(p), 0o755))
	w.ok(os.WriteFile(p, []byte(text), 0o644))
}

func (w *world) last() mirror.Report {
	w.t.Helper()
	all := w.reports()
	if len(all) == 0 {
		w.t.Fatal("no report")
	}
	r, err := mirror.ReadReport(all[len(all)-1])
	w.ok(err)
	return r
}
