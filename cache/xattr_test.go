package cache_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/cache/content"
)

func TestExtendedAttributesBelongToTheNode(t *testing.T) {
	w := newWorld(t, cache.Options{})
	n := w.create("/a", "")
	before, err := w.tr.Get(n.Ino)
	w.ok(err)
	big := bytes.Repeat([]byte{7}, cache.MaxXattr)
	w.ok(w.tr.SetXattr(n.Ino, "user.big", big, 0))
	w.ok(w.tr.SetXattr(n.Ino, "user.none", nil, cache.XattrCreate))
	after, err := w.tr.Get(n.Ino)
	w.ok(err)
	if after.Seq != before.Seq || !after.Since.Equal(before.Since) {
		t.Error("an extended attribute made the node dirty")
	}
	w.mkdir("/d")
	w.mv("/a", "/d/b")

	names, err := w.tr.Xattrs(n.Ino)
	w.ok(err)
	w.equal("names", strings.Join(names, " "), "user.big user.none")
	v, err := w.tr.Xattr(n.Ino, "user.big")
	w.ok(err)
	if !bytes.Equal(v, big) {
		t.Errorf("%d other bytes came back", len(v))
	}
	v, err = w.tr.Xattr(n.Ino, "user.none")
	w.ok(err)
	if v == nil || len(v) != 0 {
		t.Errorf("an empty value came back as %v", v)
	}
	w.ok(w.tr.RemoveXattr(n.Ino, "user.none"))
	_, err = w.tr.Xattr(n.Ino, "user.none")
	w.is(err, cache.ErrNoXattr)

	// With the node they go; the world's check finds what stays.
	w.rm("/d/b")
	_, err = w.tr.Xattrs(n.Ino)
	w.is(err, cache.ErrNotExist)
}

func TestWhatIsNoExtendedAttribute(t *testing.T) {
	w := newWorld(t, cache.Options{})
	n := w.create("/a", "")
	w.ok(w.tr.SetXattr(n.Ino, "user.a", []byte("1"), 0))
	for _, c := range []struct {
		what string
		err  error
		want error
	}{
		{"create twice", w.tr.SetXattr(n.Ino, "user.a", nil, cache.XattrCreate), cache.ErrExist},
		{"replace nothing", w.tr.SetXattr(n.Ino, "user.b", nil, cache.XattrReplace), cache.ErrNoXattr},
		{"remove nothing", w.tr.RemoveXattr(n.Ino, "user.b"), cache.ErrNoXattr},
		{"no name", w.tr.SetXattr(n.Ino, "", nil, 0), cache.ErrName},
		{"long name", w.tr.SetXattr(n.Ino, strings.Repeat("x", 256), nil, 0), cache.ErrNameTooLong},
		{"long value", w.tr.SetXattr(n.Ino, "user.b", make([]byte, cache.MaxXattr+1), 0), cache.ErrXattrTooBig},
		{"no node", w.tr.SetXattr(n.Ino+100, "user.b", nil, 0), cache.ErrNotExist},
	} {
		t.Run(c.what, func(t *testing.T) { w.is(c.err, c.want) })
	}
	v, err := w.tr.Xattr(n.Ino, "user.a")
	w.ok(err)
	w.equal("value", string(v), "1")
}

func TestExtendedAttributesAreRemembered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := cache.Open(dir, cache.Options{})
	must(err)
	d := cachetest.AddDrive(t, s, "d1")
	cachetest.Enumerate(t, s, d.Num)
	n, err := s.Tree().Create(d.Root, "a", cache.New{})
	must(err)
	gone, err := s.Tree().Create(d.Root, "b", cache.New{Dir: true})
	must(err)
	must(s.Tree().SetXattr(n.Ino, "com.apple.FinderInfo", []byte("info"), 0))
	must(s.Tree().SetXattr(gone.Ino, "user.b", []byte("1"), 0))
	f, err := s.Content().Create(uint64(n.Ino), uint64(n.Seq), content.Tag{})
	must(err)
	must(f.Close())
	must(s.Close())

	s = cachetest.OpenDir(t, dir, cache.Options{})
	_, err = s.Tree().Remove(d.Root, "b", true) // a store just opened must look for what goes with it
	must(err)
	v, err := s.Tree().Xattr(n.Ino, "com.apple.FinderInfo")
	must(err)
	if string(v) != "info" {
		t.Errorf("the attribute is %q", v)
	}
}

func TestWroteTellsWhenAFileWasWritten(t *testing.T) {
	w := newWorld(t, cache.Options{})
	n := w.create("/a", "")
	at := n.Ctime.Add(3 * time.Second)
	n, err := w.tr.Wrote(n.Ino, 7, at.Add(-time.Hour), at)
	w.ok(err)
	if n.Size != 7 || !n.Mtime.Equal(at.Add(-time.Hour)) || !n.Ctime.Equal(at) {
		t.Errorf("%d bytes of %v, changed %v", n.Size, n.Mtime, n.Ctime)
	}
	if n, err = w.tr.Wrote(n.Ino, 8, at, at.Add(-time.Minute)); err != nil || !n.Ctime.Equal(at) {
		t.Errorf("the time of change went back to %v, %v", n.Ctime, err)
	}
}
