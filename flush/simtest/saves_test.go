package simtest_test

import (
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// saved is a world in which a program works in /Work, on a document that is shared with somebody.
type saved struct {
	*simtest.World
	t     *testing.T
	r     simtest.Recording
	id    string // of the document's item
	other string
	had   int // versions
}

func play(t *testing.T, test func(t *testing.T, s *saved)) {
	all, err := simtest.Recordings()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		t.Run(r.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &saved{t: t, r: r}
				s.World = simtest.New(t, graphtest.Options{}, func(d *graphtest.Drive) {
					for i := range 3 { // it has a history
						old := s.r.Old()
						if i < 2 {
							old = append(old, byte('a'+i))
						}
						info, err := d.Put(path.Join("/Work", r.Doc), old)
						if err != nil {
							t.Fatal(err)
						}
						s.id, s.had = info.ID, info.Versions
					}
					if err := d.Grant(path.Join("/Work", r.Doc), graphtest.Grant{Link: "organization", LinkType: "edit", Role: "write"}); err != nil {
						t.Fatal(err)
					}
					if r.Other != "" {
						info, err := d.Put(path.Join("/Work", r.Other), []byte("another document"))
						if err != nil {
							t.Fatal(err)
						}
						s.other = info.ID
					}
				})
				test(t, s)
			})
		})
	}
}

func (s *saved) play(n int, between func(int)) {
	s.t.Helper()
	if err := s.r.Play(s.Files(), "/Work", n, time.Sleep, between); err != nil {
		s.t.Fatal(err)
	}
}

// grants returns the kinds of what an item is shared by, apart from what it inherits.
func (s *saved) grants(id string) int {
	s.t.Helper()
	list, err := s.Near.(graph.Sharing).Permissions(s.t.Context(), graph.ItemID(id))
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for _, p := range list {
		if p.Link != nil {
			n++
		}
	}
	return n
}

// judge looks whether the item is where the recording says, with all that hangs on it: whom it is
// shared with and its history, to which flushes have added so many versions.
func (s *saved) judge(versions int) {
	s.t.Helper()
	s.Equal()
	there := s.There()
	if s.r.Result != "" {
		if got := there[path.Join("/Work", s.r.Result)]; !strings.HasPrefix(got, "new ") {
			s.t.Errorf("%s has %.20q", s.r.Result, got)
		}
	}
	now, err := s.Far.StatID(s.id)
	if s.r.Item == "" {
		if err == nil {
			s.t.Errorf("the item lives, at %s", now.Path)
		}
	} else if err != nil || now.Path != path.Join("/Work", s.r.Item) {
		s.t.Fatalf("the item is at %s: %v", now.Path, err)
	}
	for p := range there {
		if info, err := s.Far.Stat(strings.TrimSuffix(p, "/")); err != nil || info.ID != s.id && s.grants(info.ID) > 0 {
			s.t.Errorf("%s is shared, and is another item: %v", p, err)
		}
	}
	if s.r.Item == "" {
		return
	}
	if s.grants(s.id) != 1 {
		s.t.Error("it is not shared any more")
	}
	if s.r.Item != s.r.Result {
		versions = 0
	}
	if now.Versions != s.had+versions {
		s.t.Errorf("%d versions, want %d and %d", now.Versions, s.had, versions)
	}
	if old, err := s.Far.ReadVersion(now.Path, s.had-1); err != nil || string(old) != string(s.r.Old()) {
		s.t.Errorf("the version before has %.20q: %v", old, err)
	}
}

// left looks whether nothing is there but the document and what the recording says.
func (s *saved) left() {
	s.t.Helper()
	want := []string{}
	for _, p := range append([]string{s.r.Result}, s.r.Left...) {
		if p != "" {
			want = append(want, p)
		}
	}
	for d := path.Dir(s.r.Result); d != "."; d = path.Dir(d) {
		want = append(want, d+"/")
	}
	var got []string
	for p := range s.There() {
		if p != "/Work/" {
			got = append(got, strings.TrimPrefix(p, "/Work/"))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.t.Errorf("there: %q, want %q", got, want)
	}
}

// A program saves a document, and a flush sends it: the item stays the same, with whom it is shared
// with, and has one more version. Where it must not, it does not.
func TestSavesKeepTheItem(t *testing.T) {
	play(t, func(t *testing.T, s *saved) {
		s.play(1, nil)
		if r := s.Flush(); r.Deferred+r.Busy+r.Conflicts+r.Left > 0 {
			t.Errorf("%+v", r)
		}
		s.judge(1)
		s.left()
		s.Quiet()
	})
}

// A document that is saved again and again between two flushes has one version more for each flush.
func TestManySavesAreOneVersionAFlush(t *testing.T) {
	play(t, func(t *testing.T, s *saved) {
		if strings.HasPrefix(s.r.Name, "not-") {
			return
		}
		n := 0
		for flushes := range 3 {
			for range 4 {
				n++
				s.play(n, nil)
				time.Sleep(time.Hour)
			}
			s.Flush()
			s.judge(flushes + 1)
		}
		s.left()
		s.Quiet()
	})
}

// A flush may come after any call of a save. The item may be another then, but no bytes are lost and
// nothing is there twice.
func TestAFlushInTheMidstOfASave(t *testing.T) {
	play(t, func(t *testing.T, s *saved) {
		if strings.HasPrefix(s.r.Name, "not-") {
			return // they cannot be done over
		}
		for at := range s.r.Len() {
			n := at + 1
			s.play(n, func(done int) {
				if done == at+1 {
					s.Flush()
				}
			})
			s.Flush()
			s.Equal()
			if got := s.There()[path.Join("/Work", s.r.Result)]; s.r.Result != "" && got != string(s.r.New(n)) {
				t.Errorf("flushed after call %d: %s has %.20q", at+1, s.r.Result, got)
			}
		}
		s.Quiet()
	})
}
