package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

func openTest(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		findings, err := s.Check(context.Background())
		if err == nil || !errors.Is(err, badger.ErrDBClosed) {
			for _, f := range findings {
				t.Error(f)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A name that comes while somebody looks for it is found or looked for again: the folder is not called complete by one
// who cannot see what made it so.
func TestAnEnumerationThatEndsMeanwhileHidesNothing(t *testing.T) {
	s := openTest(t, t.TempDir())
	d, err := s.AddDrive(graph.Drive{ID: "d"}, graph.Item{ID: "root", Root: true, Type: graph.Folder})
	if err != nil {
		t.Fatal(err)
	}
	err = s.view(func(x *tx) error {
		in := s.Inbox(d.Num)
		a := graph.Item{ID: "a", Parent: "root", Name: "a", Type: graph.File, ETag: "a1"}
		if err := errors.Join(in.Begin(true, time.Now()),
			in.Receive(graph.Page{Items: []graph.Item{a}, Next: "n", Done: true}), in.Enumerated(time.Now())); err != nil {
			return err
		}
		p, err := x.folder(d.Root)
		if err != nil {
			return err
		}
		_, err = x.lookup(p, "a")
		return err
	})
	if !errors.Is(err, ErrUnlisted) {
		t.Error(err)
	}
	if _, err := s.Tree().Lookup(d.Root, "a"); err != nil {
		t.Error(err)
	}
}

// filled has a folder /f with n files, enumerated.
func filled(t *testing.T, dir string, n int) (*Store, DriveInfo) {
	t.Helper()
	s := openTest(t, dir)
	d, err := s.AddDrive(graph.Drive{ID: "d"}, graph.Item{ID: "root", Root: true, Type: graph.Folder})
	if err != nil {
		t.Fatal(err)
	}
	items := []graph.Item{{ID: "f", Parent: "root", Name: "f", Type: graph.Folder, ETag: "f1"}}
	for i := range n {
		id := graph.ItemID(fmt.Sprintf("i%04d", i))
		items = append(items, graph.Item{ID: id, Parent: "f", Name: string(id), Type: graph.File, ETag: string(id)})
	}
	in := s.Inbox(d.Num)
	err = errors.Join(in.Begin(true, time.Now()),
		in.Receive(graph.Page{Items: items, Next: "n", Done: true}), in.Enumerated(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	return s, d
}

func TestFullDisk(t *testing.T) {
	s, d := filled(t, t.TempDir(), 1)
	tr := s.Tree()
	f, err := tr.Lookup(d.Root, "f")
	if err != nil {
		t.Fatal(err)
	}
	n, err := tr.Lookup(f.Ino, "i0000")
	if err != nil {
		t.Fatal(err)
	}
	s.free = func(string) (int64, error) { return freeFloor - 1, nil }
	_, err = tr.Create(f.Ino, "x", New{})
	if !errors.Is(err, ErrNoSpace) {
		t.Errorf("create: %v", err)
	}
	if _, err = tr.Mark(n.Ino); !errors.Is(err, ErrNoSpace) {
		t.Errorf("mark: %v", err)
	}
	if _, err = tr.Remove(f.Ino, "i0000", false); err != nil {
		t.Errorf("remove: %v", err)
	}
}

// A job that was not run, or not to its end, is finished by the next start.
func TestJobsSurviveAKill(t *testing.T) {
	const files = 700
	dir := t.TempDir()
	s, d := filled(t, dir, files)
	tr := s.Tree()
	trash, err := tr.Create(d.Root, ".Trash-1", New{Dir: true})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	x, err := s.commit(grows, nil, func(x *tx) error {
		_, err := rename{x: x, name: "f"}.do(d.Root, "f", trash.Ino)
		return err
	})
	s.mu.Unlock()
	if err != nil || len(x.jobs) != 1 {
		t.Fatalf("jobs %v, error %v", x.jobs, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	p, err := s.Outbox(d.Num).Pending()
	if err != nil || p.Deletions != files+1 || p.Items != files+1 || p.LocalOnly != files+2 {
		t.Errorf("pending %+v %v", p, err)
	}
	v, err := s.Outbox(d.Num).View()
	if err != nil || v.Gone["i0500"].Path != "/f/i0500" {
		t.Errorf("path %q %v", v.Gone["i0500"].Path, err)
	}
}

// A folder of many children that loses its item has them all compared anew, in parts.
func TestManyChildrenAreComparedAnew(t *testing.T) {
	s, d := filled(t, t.TempDir(), 3*partRows)
	in := s.Inbox(d.Num)
	c, err := in.Case(graph.Item{ID: "f", Deleted: true}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Apply(c, Ruling{Verb: Revive}); err != nil {
		t.Fatal(err)
	}
	p, err := s.Outbox(d.Num).Pending()
	if err != nil || p.Items != 3*partRows+1 {
		t.Errorf("pending %+v %v", p, err)
	}
}

func TestNewerStoreIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, _ := filled(t, dir, 0)
	err := s.db.Update(func(t *badger.Txn) error {
		return t.Set(metaKey(metaSchema), binary.BigEndian.AppendUint64(nil, schemaVersion+1))
	})
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrReplaced) {
		t.Errorf("%v", err)
	}
}

func TestCodecs(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	base := Base{Item: "i", Parent: "p", Name: "other", Dir: true, ETag: "e", CTag: "c", Hash: "h", Size: 1 << 40,
		ModTime: at, Past: []string{"a", "b", "c"}, At: at}
	def := &Deferral{Kind: graph.Locked, Reason: "r", At: at, Tries: 3, Next: at}
	n := Node{Ino: 9, Drive: 2, Parent: 3, Name: "name", Dir: true, Mode: 0o755, UID: 1, GID: 2, Atime: at, Ctime: at,
		Size: 77, Mtime: at, Listing: Followed, LocalOnly: true, Removed: true, Base: &base, Seq: 1 << 50, Written: true,
		Marked: 5, Since: at, Deferred: def, left: at}
	for name, n := range map[string]Node{"full": n, "empty": {Ino: 9}} {
		got, err := decodeNode(9, encodeNode(&n))
		if err != nil || !reflect.DeepEqual(got, n) {
			t.Errorf("%s node: %+v %v", name, got, err)
		}
	}
	g := Gone{Base: base, Ino: 4, Path: "/p", At: at, Sent: at, Seq: 6, Deferred: def, left: at}
	if got, err := decodeGone(encodeGone(&g)); err != nil || !reflect.DeepEqual(got, g) {
		t.Errorf("gone: %+v %v", got, err)
	}
	i := graph.Item{ID: "i", Parent: "p", Name: "n", Type: graph.Shortcut, Root: true, Deleted: true, Size: 5, ETag: "e",
		CTag: "c", Hash: "h", ModTime: at, Created: at, WebURL: "u"}
	if got, err := decodeItem("i", encodeItem(&i)); err != nil || !reflect.DeepEqual(got, i) {
		t.Errorf("item: %+v %v", got, err)
	}
	row := encodeNode(&n)
	for cut := range row {
		if _, err := decodeNode(9, row[:cut]); err == nil {
			t.Errorf("a node cut at %d is read", cut)
		}
	}
}

// A store whose keys were made by an older rule makes them anew when it is opened.
func TestRefold(t *testing.T) {
	dir := t.TempDir()
	s, d := filled(t, dir, 600)
	f, err := s.Tree().Lookup(d.Root, "f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tree().Remove(f.Ino, "i0001", false); err != nil {
		t.Fatal(err)
	}
	// Under the old rule every key was another, and two nodes could have what is one name now.
	err = s.update(grows, func(x *tx) error {
		n, err := x.node(f.Ino)
		if err != nil {
			return err
		}
		if err := x.del(childKey(d.Root, "f")); err != nil {
			return err
		}
		ino, err := x.newIno()
		if err != nil {
			return err
		}
		twin := n
		twin.Ino, twin.Base, twin.Name = ino, nil, "F"
		if _, err := x.addNode(twin); err != nil {
			return err
		}
		there, base := n, *n.Base
		base.Item, base.Name = "f2", "F"
		if there.Ino, err = x.newIno(); err != nil {
			return err
		}
		there.Base, there.Name = &base, "F"
		if _, err := x.addNode(there); err != nil {
			return err
		}
		if err := x.set(childKey(d.Root, "old rule"), be64(nil, uint64(ino))); err != nil {
			return err
		}
		return x.set(metaKey(metaFold), be64(nil, 0))
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	if n, err := s.Tree().Lookup(d.Root, "f"); err != nil || n.Ino != f.Ino {
		t.Errorf("%+v %v", n, err)
	}
	if list, err := s.Tree().List(d.Root, 0, 10); err != nil || len(list) != 3 || name.Plain(list[1].Name) == "F" || list[1].Name == "F" || list[2].Name != name.Twin("F", 0) || !list[2].Since.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
	if list, err := s.Tree().List(f.Ino, 0, 1000); err != nil || len(list) != 599 {
		t.Errorf("%d %v", len(list), err)
	}
}

// What is dirty below a folder is counted once for many cases, and anew after a change.
func TestDirtyBelow(t *testing.T) {
	s, d := filled(t, t.TempDir(), 3)
	tr, in := s.Tree(), s.Inbox(d.Num)
	f, err := tr.Lookup(d.Root, "f")
	if err != nil {
		t.Fatal(err)
	}
	below := func() int {
		c, err := in.Case(graph.Item{ID: "f", Deleted: true}, false)
		if err != nil {
			t.Fatal(err)
		}
		return c.DirtyBelow
	}
	steps := []struct {
		do   func() error
		want int
	}{
		{func() error { return nil }, 0},
		{func() error { _, err := tr.Create(f.Ino, "dir", New{Dir: true}); return err }, 1},
		{func() error { _, err := tr.Rename(f.Ino, "i0000", f.Ino, "other", 0); return err }, 2},
		{func() error { _, err := tr.Rename(f.Ino, "other", f.Ino, "i0000", 0); return err }, 1},
		{func() error { _, err := tr.Rename(f.Ino, "dir", d.Root, "dir", 0); return err }, 0},
		{func() error { _, err := tr.Rename(d.Root, "dir", f.Ino, "dir", 0); return err }, 1},
		{func() error { _, err := tr.Remove(f.Ino, "dir", true); return err }, 0},
	}
	for i, step := range steps {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if n := below(); n != step.want {
			t.Errorf("after step %d: %d dirty, want %d", i, n, step.want)
		}
		if _, kept := s.unsent.get(d.Num, s.unsent.now()); !kept {
			t.Errorf("after step %d it is not remembered", i)
		}
	}
}

// Space is put by while there is some, and given up for a store that is opened on a full disk.
func TestBallast(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	at := filepath.Join(dir, ballastFile)
	left := int64(freeFloor + 2*ballast - 1)
	s.free = func(string) (int64, error) { return left, nil }
	if err := s.makeBallast(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(at); err == nil {
		t.Error("it is made where space is short")
	}
	left = 1 << 40
	if err := errors.Join(s.makeBallast(), s.makeBallast()); err != nil {
		t.Skipf("this disk can put no space by: %v", err)
	}
	if st, err := os.Stat(at); err != nil || st.Size() != ballast || st.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", st, err)
	}
	s.free = func(string) (int64, error) {
		if _, err := os.Lstat(at); err == nil {
			return 0, nil
		}
		return ballast, nil
	}
	if err := s.roomFor(grows); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a change may have it: %v", err)
	}
	if err := s.roomToOpen(); err != nil {
		t.Errorf("it is not given up: %v", err)
	}
	if _, err := os.Lstat(at); err == nil {
		t.Error("it is still there")
	}
}
