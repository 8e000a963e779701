package content_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/duskfs/duskfs/cache/content"
)

func TestScrubFindsWhatIsWrongAndLeavesTheRest(t *testing.T) {
	dir := t.TempDir()
	r := &remote{bytes: random(3 << 20)}
	s, err := content.Open(dir, content.Options{})
	ok(t, err)
	for ino := range uint64(3) {
		f := version(t, s, ino+1, r)
		ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
		ok(t, f.Close())
	}
	part := version(t, s, 4, r)
	ok(t, part.Hydrate(t.Context(), r.source, 0, 1))
	ok(t, part.Close())
	mine, err := s.Create(5, 1, content.Tag{Path: "/mine"})
	ok(t, err)
	_, err = mine.WriteAt([]byte("mine"), 0)
	ok(t, err)
	ok(t, mine.Close())
	open2 := version(t, s, 2, r)

	ok(t, alter(filepath.Join(dir, "01", "1"), 100))
	ok(t, alter(filepath.Join(dir, "02", "2"), 2<<20))
	got, err := s.Scrub(t.Context(), nil)
	ok(t, err)
	if got.Bodies != 3 || got.Bytes != 9<<20 || got.Unknown != 1 || got.Local != 1 || len(got.Damaged) != 2 {
		t.Fatalf("scrubbed: %+v", got)
	}
	kept(t, dir, 1) // the open one is forgotten in its place
	if open2.Complete() {
		t.Error("the open one is still believed")
	}
	for _, ino := range []uint64{1, 2, 3} {
		f := version(t, s, ino, r)
		ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
		if !bytes.Equal(content1(t, f), r.bytes) {
			t.Errorf("body %d has wrong bytes afterwards", ino)
		}
		ok(t, f.Close())
	}
	ok(t, open2.Close())
	if got, err := s.Scrub(t.Context(), nil); err != nil || len(got.Damaged) != 0 {
		t.Errorf("the second time: %+v, %v", got, err)
	}
	ok(t, s.Close())
}

func TestRetagTellsTheSidecarOpenOrNot(t *testing.T) {
	dir := t.TempDir()
	s, err := content.Open(dir, content.Options{})
	ok(t, err)
	f, err := s.Create(1, 1, content.Tag{Path: "/~WRD1.tmp"})
	ok(t, err)
	tag := content.Tag{Drive: "d", Path: "/Report.docx", Item: "I"}
	ok(t, s.Retag(1, tag))
	if i, err := s.Info(1); err != nil || i.Tag != tag {
		t.Errorf("while it is open: %+v, %v", i.Tag, err)
	}
	ok(t, f.Close())
	tag.Path = "/Other.docx"
	ok(t, s.Retag(1, tag))
	if i, err := s.Info(1); err != nil || i.Tag != tag {
		t.Errorf("after that: %+v, %v", i.Tag, err)
	}
	ok(t, s.Retag(2, tag)) // there is none
	ok(t, s.Close())
}

func TestDropCleanKeepsLocalWorkAndWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	r := &remote{bytes: random(5000)}
	s, err := content.Open(dir, content.Options{})
	ok(t, err)
	for ino := range uint64(2) {
		f := version(t, s, ino+1, r)
		ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
	}
	_, err = s.Create(3, 1, content.Tag{Path: "/mine"})
	ok(t, err)
	ok(t, s.Close())
	ok(t, os.Truncate(filepath.Join(dir, "02", "2.json"), 5))
	ok(t, content.DropClean(dir))
	for name, there := range map[string]bool{"01/1": false, "01/1.json": false, "02/2": true, "03/3": true, "03/3.json": true} {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}
