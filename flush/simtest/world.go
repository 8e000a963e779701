// Package simtest lives whole lives without a mount: somebody here works on the tree and the bodies
// as the file system does, a colleague works on the emulated service, and an engine refreshes and
// flushes between the two.
package simtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// World is a service with a colleague, and a store with an engine and somebody who works here.
// Its methods fail the test when something goes wrong that should not; those that return an error
// do so for what may go wrong.
type World struct {
	T      testing.TB
	Server *graphtest.Server
	Far    *graphtest.Drive // the drive, as the colleague has it
	Near   graph.Service    // the drive, as the program has it; change it before Use or Reopen
	Dir    string           // of the store
	Store  *cache.Store
	Num    cache.DriveNum
	Root   cache.Ino
	Engine *flush.Engine
	// Options are those of the engine, but for store and drives.
	Options flush.Options
	policy  cache.Policy
	wire    *wire
	drive   graph.Drive
	root    graph.Item // of the drive; both are asked for once, when nothing is amiss yet
	skew    atomic.Int64
	full    atomic.Bool
	tick    atomic.Pointer[func()]
}

// Now is the clock of the program: that of the bubble or the machine, and what Skip added.
func (w *World) Now() time.Time {
	if f := w.tick.Load(); f != nil {
		(*f)()
	}
	return time.Now().Add(time.Duration(w.skew.Load()))
}

// Tick makes fn be called whenever the program looks at its clock, which the store does at the
// beginning of every transaction, then with its lock held: together with Between this numbers every
// step that a flush or a refresh takes. nil ends that.
func (w *World) Tick(fn func()) {
	if fn == nil {
		w.tick.Store(nil)
		return
	}
	w.tick.Store(&fn)
}

// Full makes the store's disk full, or not any more.
func (w *World) Full(full bool) { w.full.Store(full) }

// free is how much room the store's disk has.
func (w *World) free(string) (int64, error) {
	if w.full.Load() {
		return 32 << 20, nil // enough for the store to end well
	}
	return cache.LeastFree + 100<<20, nil // too little for the store to put any by, which takes longer than many a life
}

// Skip sets the program's clock forward, or back. The service's goes on as it was: days pass without
// the timers of the store's database, which cost more than a whole life.
func (w *World) Skip(d time.Duration) { w.skew.Add(int64(d)) }

// Folder makes a folder of the test in memory where the machine has such a disk: a life writes
// little, but waits often for a disk.
func Folder(t testing.TB) string {
	t.Helper()
	if os.Getenv("TMPDIR") != "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "duskfs-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// wire is the network between here and there.
type wire struct {
	under http.RoundTripper
	mu    sync.Mutex
	hook  func(*http.Request, http.RoundTripper) (*http.Response, error) // guarded by mu
}

// RoundTrip implements http.RoundTripper.
func (n *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	hook := n.hook
	n.mu.Unlock()
	if hook == nil {
		return n.under.RoundTrip(r)
	}
	return hook(r, n.under)
}

// Between makes hook carry every request from now on, nil none. It may be called at once by
// several goroutines.
func (w *World) Between(hook func(*http.Request, http.RoundTripper) (*http.Response, error)) {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	w.wire.hook = hook
}

// New makes a world and brings the drive in. prepare, if not nil, is what the colleague did before.
func New(t testing.TB, o graphtest.Options, prepare func(*graphtest.Drive)) *World {
	t.Helper()
	return NewWith(t, o, cache.KeepBoth, prepare)
}

// NewWith is New with a policy for what both sides change.
func NewWith(t testing.TB, o graphtest.Options, p cache.Policy, prepare func(*graphtest.Drive)) *World {
	t.Helper()
	s := graphtest.Start(t, o)
	return with(t, s, s.Me().Drive(), p, prepare)
}

// NewLibrary is New with a library for the drive.
func NewLibrary(t testing.TB, prepare func(*graphtest.Drive)) *World {
	t.Helper()
	s := graphtest.Start(t, graphtest.Options{})
	return with(t, s, s.Drive("sites/Engineering#Documents"), cache.KeepBoth, prepare)
}

func with(t testing.TB, s *graphtest.Server, d *graphtest.Drive, p cache.Policy, prepare func(*graphtest.Drive)) *World {
	t.Helper()
	w := &World{T: t, Server: s, Far: d, Dir: Folder(t), policy: p}
	if prepare != nil {
		prepare(w.Far)
	}
	w.connect(s.Transport(), s.GraphURL(), s.Me().UPN, graph.DriveID(w.Far.ID()), &tokens{s: s})
	w.Open(w.Dir)
	w.Refresh()
	return w
}

// connect makes Near.
func (w *World) connect(under http.RoundTripper, url, user string, drive graph.DriveID, t rest.Tokens) {
	w.T.Helper()
	w.wire = &wire{under: under}
	c, err := rest.New(rest.Options{
		GraphURL: url, Tokens: t, Transport: w.wire, User: user, Fragment: 320 << 10,
	})
	w.must(err)
	w.T.Cleanup(c.Close)
	w.Near = c.Drive(drive)
}

// Open opens a store in a folder, checks it, and makes an engine for it.
func (w *World) Open(dir string) {
	w.T.Helper()
	w.Dir = dir
	w.Store = cachetest.OpenDir(w.T, dir, cache.Options{Host: "desk", Now: w.Now, Free: w.free, Conflicts: w.policy})
	cachetest.Check(w.T, w.Store)
	w.Use(w.Near)
}

// Use makes a new engine, for another service or other options.
func (w *World) Use(s graph.Service) {
	w.T.Helper()
	if w.root.ID == "" {
		var err error
		w.drive, err = w.Near.Drive(context.Background())
		w.must(err)
		w.root, err = w.Near.Root(context.Background())
		w.must(err)
	}
	info, err := w.Store.AddDrive(w.drive, w.root)
	w.must(err)
	w.Num, w.Root = info.Num, info.Root
	o := w.Options
	o.Now = w.Now
	o.Store, o.Drives = w.Store, []flush.Drive{{Num: info.Num, Name: "drive", Service: s}}
	w.Engine = flush.New(o)
}

func (w *World) must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Refresh brings remote changes in.
func (w *World) Refresh() {
	w.T.Helper()
	_, err := w.Engine.Refresh(context.Background())
	w.must(err)
}

// Flush sends everything.
func (w *World) Flush() flush.DriveResult {
	w.T.Helper()
	r, err := w.Engine.Flush(context.Background(), flush.Request{AllowDeletes: true})
	w.must(err)
	return r.Drives[0]
}

func (w *World) tree() *cache.Tree { return w.Store.Tree() }

func (w *World) find(p string) (cache.Node, error) {
	if p = strings.Trim(path.Clean("/"+p), "/"); p == "" {
		return w.tree().Get(w.Root)
	}
	return w.tree().Resolve(w.Root, p)
}

// Ino returns the node at a path.
func (w *World) Ino(p string) cache.Ino {
	w.T.Helper()
	n, err := w.find(p)
	w.must(err)
	return n.Ino
}

// Write makes a file or replaces its bytes.
func (w *World) Write(p string, data []byte) error {
	f, err := w.OpenFile(p, true)
	if err != nil {
		return err
	}
	return errors.Join(f.Write(data), f.Close())
}

// File is a file that is open here.
type File struct {
	w    *World
	ino  cache.Ino
	body *content.File
}

// OpenFile opens a file, making it if it is not there and create is set.
func (w *World) OpenFile(p string, create bool) (*File, error) {
	n, err := w.find(p)
	if errors.Is(err, cache.ErrNotExist) && create {
		dir, err := w.find(path.Dir(p))
		if err != nil {
			return nil, err
		}
		n, err = w.tree().Create(dir.Ino, path.Base(p), cache.New{Mode: 0o644})
		if err != nil {
			return nil, err
		}
		body, err := w.Store.Content().Create(uint64(n.Ino), uint64(n.Seq), w.tag(n))
		if err != nil {
			return nil, err
		}
		_, err = w.tree().Hold(n.Ino)
		return &File{w, n.Ino, body}, err
	}
	if err != nil {
		return nil, err
	}
	if n.Dir {
		return nil, cache.ErrIsFolder
	}
	for range 5 {
		if n, err = w.tree().Hold(n.Ino); err != nil {
			return nil, err
		}
		var body *content.File
		if n.Written {
			body, err = w.Store.Content().Local(uint64(n.Ino))
		} else {
			body, err = w.Store.Content().Version(uint64(n.Ino), n.Base.Version(), n.Mtime)
		}
		if err == nil {
			return &File{w, n.Ino, body}, nil
		}
		w.tree().Unhold(n.Ino)
		w.tree().Followed(n.Ino) // a commit makes its body another this moment
	}
	return nil, err
}

func (w *World) tag(n cache.Node) content.Tag {
	p, _ := w.tree().Path(n.Ino)
	t := content.Tag{Drive: w.drive.ID, Path: p}
	if n.Base != nil {
		t.Item, t.ETag = n.Base.Item, n.Base.ETag
	}
	return t
}

// Write replaces all bytes.
func (f *File) Write(data []byte) error {
	for range 100 {
		n, err := f.body.WriteAt(data, 0)
		if err == nil && n == len(data) {
			if err = f.body.Truncate(int64(len(data))); err == nil {
				return f.Settle()
			}
		}
		if !errors.Is(err, content.ErrSealed) && !(err == nil && len(data) == 0) {
			return err
		}
		seq, err := f.w.tree().Mark(f.ino)
		if err != nil {
			return err
		}
		node, err := f.w.tree().Get(f.ino)
		if err != nil {
			return err
		}
		if err := f.body.UnsealEmpty(uint64(seq), f.w.tag(node)); err != nil && !errors.Is(err, content.ErrSealed) {
			return err
		}
	}
	return errors.New("the seal does not open")
}

// Ino names the node of the file.
func (f *File) Ino() cache.Ino { return f.ino }

// Settle records size and time, as release and fsync do.
func (f *File) Settle() error {
	_, err := f.w.tree().Settle(f.ino, f.body.Size(), f.body.ModTime())
	return err
}

// Close ends the use of the file.
func (f *File) Close() error {
	err := f.body.Close()
	f.w.tree().Unhold(f.ino)
	return err
}

// Read returns the bytes of a file, fetching what is not here.
func (w *World) Read(p string) ([]byte, error) {
	f, err := w.OpenFile(p, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Read()
}

// Read returns all bytes, fetching what is not here.
func (f *File) Read() ([]byte, error) {
	n, err := f.w.tree().Get(f.ino)
	if err != nil {
		return nil, err
	}
	data := make([]byte, f.body.Size())
	if len(data) == 0 {
		return data, nil
	}
	_, err = f.body.ReadAt(data, 0)
	if errors.Is(err, content.ErrMissing) {
		err = f.body.Hydrate(context.Background(), func(ctx context.Context, off, size int64) (io.ReadCloser, error) {
			return f.w.Near.Content(ctx, n.Base.Item, n.Base.Version(), off, size)
		}, 0, int64(len(data)))
		if err == nil {
			_, err = f.body.ReadAt(data, 0)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return data, err
}

// Mkdir makes a folder.
func (w *World) Mkdir(p string) error {
	dir, err := w.find(path.Dir(p))
	if err != nil {
		return err
	}
	_, err = w.tree().Create(dir.Ino, path.Base(p), cache.New{Dir: true, Mode: 0o755})
	return err
}

// Move renames, replacing a file that is in the way.
func (w *World) Move(from, to string) error { return w.rename(from, to, 0) }

// Exchange swaps two nodes.
func (w *World) Exchange(a, b string) error { return w.rename(a, b, cache.Exchange) }

func (w *World) rename(from, to string, flags cache.RenameFlags) error {
	a, err := w.find(path.Dir(from))
	if err != nil {
		return err
	}
	b, err := w.find(path.Dir(to))
	if err != nil {
		return err
	}
	_, err = w.tree().Rename(a.Ino, path.Base(from), b.Ino, path.Base(to), flags)
	return err
}

// Remove removes what is at a path, with all in it.
func (w *World) Remove(p string) error {
	n, err := w.find(p)
	if err != nil {
		return err
	}
	if n.Dir {
		for _, c := range w.list(n.Ino) {
			if err := w.Remove(path.Join(p, c.Name)); err != nil {
				return err
			}
		}
	}
	_, err = w.tree().Remove(n.Parent, n.Name, n.Dir)
	return err
}

// Touch sets the time of a file.
func (w *World) Touch(p string, at time.Time) error {
	n, err := w.find(p)
	if err != nil {
		return err
	}
	if n.Written {
		f, err := w.Store.Content().Local(uint64(n.Ino))
		if err != nil {
			return err
		}
		if err := errors.Join(f.SetModTime(at), f.Close()); err != nil {
			return err
		}
	}
	_, err = w.tree().SetAttr(n.Ino, cache.Attr{Mtime: &at})
	return err
}

func (w *World) list(dir cache.Ino) []cache.Node {
	w.T.Helper()
	var all []cache.Node
	for after := cache.Ino(0); ; {
		some, err := w.tree().List(dir, after, 100)
		w.must(err)
		all = append(all, some...)
		if len(some) < 100 {
			return all
		}
		after = some[len(some)-1].Ino
	}
}

// twin is how the product tells twins apart: what the service calls otherwise.
var twin = regexp.MustCompile(`␛~[0-9A-F]{4,}`)

// Here returns what is here: bytes by path as the service calls it, folders with a slash at the end. What is
// local-only is left out.
func (w *World) Here() map[string]string {
	w.T.Helper()
	all := map[string]string{}
	for p, n := range w.Shown() {
		called := twin.ReplaceAllString(p, "")
		if n.Dir {
			all[called+"/"] = ""
			continue
		}
		data, err := w.Read(p)
		if err != nil {
			w.T.Fatalf("read %s: %v", p, err)
		}
		all[called] = string(data)
	}
	return all
}

// Shown returns what is here by path, as people see it. What is local-only is left out.
func (w *World) Shown() map[string]cache.Node {
	w.T.Helper()
	all := map[string]cache.Node{}
	var walk func(dir cache.Ino, at string)
	walk = func(dir cache.Ino, at string) {
		for _, n := range w.list(dir) {
			p := path.Join(at, n.Name)
			if n.LocalOnly {
				continue
			}
			all[p] = n
			if n.Dir {
				walk(n.Ino, p)
			}
		}
	}
	walk(w.Root, "/")
	return all
}

// There returns what the service has, in the same form.
func (w *World) There() map[string]string {
	w.T.Helper()
	infos, err := w.Far.Walk()
	w.must(err)
	all := map[string]string{}
	for _, i := range infos {
		switch {
		case i.Path == "/":
		case i.Folder:
			all[i.Path+"/"] = ""
		default:
			data, err := w.Far.Read(i.Path)
			w.must(err)
			all[i.Path] = string(data)
		}
	}
	return all
}

// Differences says where here and there are not the same.
func (w *World) Differences() []string {
	w.T.Helper()
	here, there := w.Here(), w.There()
	var out []string
	for p, x := range here {
		if y, ok := there[p]; !ok {
			out = append(out, fmt.Sprintf("%s is here alone, with %q", p, short(x)))
		} else if x != y {
			out = append(out, fmt.Sprintf("%s is %q here and %q there", p, short(x), short(y)))
		}
	}
	for p, y := range there {
		if _, ok := here[p]; !ok {
			out = append(out, fmt.Sprintf("%s is there alone, with %q", p, short(y)))
		}
	}
	slices.Sort(out)
	return out
}

func short(s string) string { return s[:min(len(s), 40)] }

// Equal fails the test if here and there are not the same.
func (w *World) Equal() {
	w.T.Helper()
	if d := w.Differences(); len(d) > 0 {
		w.T.Errorf("here and there differ:\n%s", strings.Join(d, "\n"))
	}
}

// Quiet fails the test if a flush would send anything.
func (w *World) Quiet() {
	w.T.Helper()
	w.Server.ResetCounts()
	r := w.Flush()
	if r.Sent+r.Deferred+r.Busy+r.Conflicts+r.Guarded+r.Left > 0 {
		w.T.Errorf("a flush that should do nothing: %+v", r)
	}
	if n := w.Server.Counts().Writes; n > 0 {
		w.T.Errorf("a flush that should do nothing asked to write %d times", n)
	}
}

// Data makes some bytes.
func Data(seed string, n int) []byte { return bytes.Repeat([]byte(seed), n/len(seed)+1)[:n] }

// tokens signs in at the emulator.
type tokens struct {
	s    *graphtest.Server
	mu   sync.Mutex
	kept string
}

func (k *tokens) Token(context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == "" {
		k.kept = k.s.AccessToken("")
	}
	return k.kept, nil
}

func (k *tokens) Refresh(ctx context.Context, refused, _ string) (string, error) {
	k.mu.Lock()
	if k.kept == refused {
		k.kept = ""
	}
	k.mu.Unlock()
	return k.Token(ctx)
}

// Sync does what fsync on files and the store's own timer do.
func (w *World) Sync(paths ...string) error {
	for _, p := range paths {
		f, err := w.OpenFile(p, false)
		if err != nil {
			return err
		}
		if err := errors.Join(f.body.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return w.Store.Sync()
}
