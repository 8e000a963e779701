package content_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
)

// A crash is a store that is dropped without Close: what it held in memory is lost.

func TestAfterACrashLocalWorkIsThere(t *testing.T) {
	dir := t.TempDir()
	r := &remote{bytes: []byte("what the service has")}
	s := open(t, dir)
	tag := content.Tag{Drive: "d1", Path: "/reports/a.txt", Item: "I1", ETag: "e1"}
	made, err := s.Create(1, 1, content.Tag{Path: "/new"})
	ok(t, err)
	_, err = made.WriteAt([]byte("made here"), 0)
	ok(t, err)
	ok(t, made.SetModTime(noon))
	changed, err := s.Version(2, r.version(), noon)
	ok(t, err)
	ok(t, changed.Hydrate(t.Context(), r.source, 0, 100))
	ok(t, changed.Unseal(3, tag))
	_, err = changed.WriteAt([]byte("WHAT"), 0)
	ok(t, err)

	s = open(t, dir)
	for ino, bytes := range map[uint64]string{1: "made here", 2: "WHAT the service has"} {
		f, err := s.Local(ino)
		ok(t, err)
		if got := content1(t, f); string(got) != bytes {
			t.Errorf("body %d is %q", ino, got)
		}
		if ino == 1 && !f.ModTime().Equal(noon) {
			t.Errorf("time is %v", f.ModTime())
		}
		_, err = f.WriteAt([]byte("x"), 100)
		ok(t, err)
		ok(t, f.Close())
	}
	var found []uint64
	ok(t, s.Locals(t.Context(), func(i content.Info) error {
		found = append(found, i.Ino)
		if i.Ino == 2 && i.Tag != tag {
			t.Errorf("tag %+v", i.Tag)
		}
		return nil
	}))
	slices.Sort(found)
	if !slices.Equal(found, []uint64{1, 2}) {
		t.Fatalf("local work found: %v", found)
	}
}

func TestAfterACrashNothingIsClaimedThatWasNotRecorded(t *testing.T) {
	dir := t.TempDir()
	r := &remote{bytes: random(3 << 20)}
	f := version(t, open(t, dir), 1, r)
	ok(t, f.Hydrate(t.Context(), r.source, 0, 1))

	g := version(t, open(t, dir), 1, r)
	if _, err := g.ReadAt(make([]byte, 1), 0); !errors.Is(err, content.ErrMissing) {
		t.Fatalf("bytes are claimed: %v", err)
	}
	ok(t, g.Hydrate(t.Context(), r.source, 0, g.Size()))
	if !bytes.Equal(content1(t, g), r.bytes) {
		t.Fatal("wrong bytes")
	}
	kept(t, dir, 0)
}

func TestSyncRecordsWhatIsHere(t *testing.T) {
	dir := t.TempDir()
	r := &remote{bytes: random(3 << 20)}
	f := version(t, open(t, dir), 1, r)
	ok(t, f.Hydrate(t.Context(), r.source, 0, 2<<20)) // more than a window: nothing is under way any more
	ok(t, f.Sync())
	g := version(t, open(t, dir), 1, r)
	p := make([]byte, 1)
	if _, err := g.ReadAt(p, 0); err != nil || p[0] != r.bytes[0] {
		t.Fatalf("read %x, %v", p, err)
	}
}

// powerCut rewrites a sidecar as if it had been written before the machine was started.
func powerCut(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	ok(t, err)
	var c map[string]json.RawMessage
	ok(t, json.Unmarshal(text, &c))
	if c["boot"] == nil {
		t.Fatalf("the claims are synced: %s", text)
	}
	c["boot"] = []byte(`"another boot"`)
	text, err = json.Marshal(c)
	ok(t, err)
	ok(t, os.WriteFile(path, text, 0o600))
}

func TestAfterAPowerCutABodyIsComparedBeforeItIsServed(t *testing.T) {
	r := &remote{bytes: random(3 << 20)}
	for _, lost := range []bool{false, true} {
		dir := t.TempDir()
		s, err := content.Open(dir, content.Options{})
		ok(t, err)
		ok(t, version(t, s, 1, r).Hydrate(t.Context(), r.source, 0, 3<<20))
		ok(t, version(t, s, 2, r).Hydrate(t.Context(), r.source, 0, 1))
		ok(t, s.Close())
		powerCut(t, filepath.Join(dir, "01", "1.json"))
		powerCut(t, filepath.Join(dir, "02", "2.json"))
		if lost {
			data := filepath.Join(dir, "01", "1")
			st, err := os.Stat(data)
			ok(t, err)
			ok(t, os.Truncate(data, 1<<20))
			ok(t, os.Truncate(data, 3<<20))
			ok(t, os.Chtimes(data, time.Time{}, st.ModTime()))
		}
		s = open(t, dir)
		whole, part := version(t, s, 1, r), version(t, s, 2, r)
		if whole.Complete() == lost {
			t.Errorf("bytes lost: %v, complete: %v", lost, whole.Complete())
		}
		if _, err := part.ReadAt(make([]byte, 1), 0); !errors.Is(err, content.ErrMissing) {
			t.Errorf("a part that cannot be compared is served: %v", err)
		}
		ok(t, whole.Close())
		if !lost && !version(t, s, 1, r).Complete() {
			t.Error("compared in vain")
		}
	}
}

// kept asserts how many bodies were moved aside.
func kept(t *testing.T, dir string, n int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "recovered", "*[0-9]"))
	ok(t, err)
	if len(found) != n {
		t.Fatalf("moved aside: %v", found)
	}
}

func TestACleanBodyThatWasTamperedWithIsNeitherServedNorDropped(t *testing.T) {
	r := &remote{bytes: random(5000)}
	cases := []struct {
		about string
		spoil func(path string) error
	}{
		{"other bytes", func(path string) error { return os.WriteFile(path, make([]byte, 5000), 0o600) }},
		{"cut short", func(path string) error { return os.Truncate(path, 100) }},
		{"other bytes, and the old time", func(path string) error { return alter(path, 17) }},
		{"another file, with the old time", func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[17] ^= 1
			st, err := os.Stat(path)
			return errors.Join(err, os.Remove(path), os.WriteFile(path, b, 0o600), os.Chtimes(path, time.Time{}, st.ModTime()))
		}},
		{"no sidecar", func(path string) error { return os.Remove(path + ".json") }},
		{"half a sidecar", func(path string) error { return os.Truncate(path+".json", 10) }},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			dir := t.TempDir()
			s, err := content.Open(dir, content.Options{})
			ok(t, err)
			f := version(t, s, 1, r)
			ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
			ok(t, s.Close())
			ok(t, c.spoil(filepath.Join(dir, "01", "1")))
			f = version(t, open(t, dir), 1, r)
			if f.Complete() {
				t.Fatal("it is served")
			}
			kept(t, dir, 1)
			ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
			if !bytes.Equal(content1(t, f), r.bytes) {
				t.Fatal("wrong bytes afterwards")
			}
		})
	}
}

// alter changes a byte and sets the time back.
func alter(path string, off int64) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	p := make([]byte, 1)
	_, err = f.ReadAt(p, off)
	p[0] ^= 1
	_, werr := f.WriteAt(p, off)
	return errors.Join(err, werr, f.Close(), os.Chtimes(path, time.Time{}, st.ModTime()))
}

func TestACleanBodyThatWasTouchedAloneIsComparedAndServed(t *testing.T) {
	r := &remote{bytes: random(5000)}
	dir := t.TempDir()
	s, err := content.Open(dir, content.Options{})
	ok(t, err)
	ok(t, version(t, s, 1, r).Hydrate(t.Context(), r.source, 0, 5000))
	ok(t, s.Close())
	ok(t, os.Chtimes(filepath.Join(dir, "01", "1"), time.Time{}, noon))
	if !version(t, open(t, dir), 1, r).Complete() {
		t.Fatal("it is not served")
	}
	kept(t, dir, 0)
}

func TestAPartThatWasAlteredIsNotServed(t *testing.T) {
	r := &remote{bytes: random(3 << 20)}
	dir := t.TempDir()
	s, err := content.Open(dir, content.Options{})
	ok(t, err)
	f := version(t, s, 1, r)
	ok(t, f.Hydrate(t.Context(), r.source, 0, 1))
	if f.Complete() {
		t.Fatal("it is here whole")
	}
	ok(t, s.Close())
	ok(t, alter(filepath.Join(dir, "01", "1"), 17))
	f = version(t, open(t, dir), 1, r)
	if _, err := f.ReadAt(make([]byte, 100), 0); !errors.Is(err, content.ErrMissing) {
		t.Fatalf("it is served: %v", err)
	}
	ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
	if !bytes.Equal(content1(t, f), r.bytes) {
		t.Fatal("wrong bytes afterwards")
	}
}

func TestLocalWorkWithoutItsSidecarIsNeverDropped(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	f, err := s.Create(1, 1, content.Tag{})
	ok(t, err)
	_, err = f.WriteAt([]byte("precious"), 0)
	ok(t, err)
	ok(t, f.Close())
	ok(t, os.Remove(filepath.Join(dir, "01", "1.json")))
	version(t, s, 1, &remote{bytes: []byte("theirs")})
	kept(t, dir, 1)
}

func TestACrashBetweenSidecarAndBodyIsNoBody(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	f, err := s.Create(1, 1, content.Tag{})
	ok(t, err)
	ok(t, f.Close())
	ok(t, os.Remove(filepath.Join(dir, "01", "1")))
	_, err = s.Local(1)
	want(t, err, fs.ErrNotExist)
	ok(t, s.Locals(t.Context(), func(i content.Info) error {
		t.Errorf("found %+v", i)
		return nil
	}))
	f, err = s.Create(1, 2, content.Tag{})
	ok(t, err)
	ok(t, f.Close())
}

func TestRemoveAndEvict(t *testing.T) {
	s := open(t, t.TempDir())
	r := &remote{bytes: random(5000)}
	f, err := s.Version(1, r.version(), noon)
	ok(t, err)
	ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
	if n, err := s.Evict(1); n != 0 || err != nil {
		t.Fatalf("an open body was evicted: %d, %v", n, err)
	}
	ok(t, f.Close())
	before, err := s.Used()
	ok(t, err)
	if n, err := s.Evict(1); n < 5000 || err != nil {
		t.Fatalf("evicted %d bytes, %v", n, err)
	}
	after, err := s.Used()
	ok(t, err)
	if before-after < 5000 {
		t.Fatalf("used %d before and %d after", before, after)
	}
	_, err = s.Info(1)
	want(t, err, fs.ErrNotExist)
	if n, err := s.Evict(1); n != 0 || err != nil {
		t.Fatal(n, err)
	}

	f, err = s.Create(2, 1, content.Tag{})
	ok(t, err)
	_, err = f.WriteAt([]byte("ours"), 0)
	ok(t, err)
	ok(t, s.Remove(2))
	if got := content1(t, f); string(got) != "ours" {
		t.Fatal("an open file lost its bytes")
	}
	_, err = f.WriteAt([]byte("still ours"), 0)
	ok(t, err)
	ok(t, f.SetModTime(noon))
	ok(t, f.Sync())
	ok(t, f.Close())
	_, err = s.Info(2)
	want(t, err, fs.ErrNotExist)
	ok(t, s.Remove(2))

	f, err = s.Create(3, 1, content.Tag{})
	ok(t, err)
	ok(t, f.Close())
	if n, err := s.Evict(3); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := s.Info(3); err != nil {
		t.Fatal("local work was evicted")
	}
}

func TestLocalsEndsWithItsContext(t *testing.T) {
	s := open(t, t.TempDir())
	f, err := s.Create(1, 1, content.Tag{})
	ok(t, err)
	ok(t, f.Close())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, s.Locals(ctx, func(content.Info) error { return nil }), context.Canceled)
}

func TestANegativeSizeIsRefused(t *testing.T) {
	_, err := open(t, t.TempDir()).Version(1, graph.Version{Size: -1}, noon)
	want(t, err, graph.Failed)
}
