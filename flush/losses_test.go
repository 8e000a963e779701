package flush_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// Whoever loses the state of this machine has nothing to send, and no deletions above all.
func TestAStoreThatKnowsNothingDeletesNothing(t *testing.T) {
	in(t, func(d *graphtest.Drive) {
		put(t, d, "/a.txt", "a")
		put(t, d, "/d/b.txt", "b")
	}, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.txt", []byte("sent")))
		w.Flush()
		before := w.There()
		w.Open(simtest.Folder(t))
		w.Quiet()
		w.Equal()
		if got := w.There(); len(got) != len(before) {
			t.Errorf("there: %v", got)
		}
	})
}

// One try alone leaves what met somebody else's change to the next flush.
func TestRetriesAreAnOption(t *testing.T) {
	for rounds, left := range map[int]int{1: 1, 2: 0} {
		in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "base") }, func(t *testing.T, w *simtest.World) {
			w.Server.SetFeedLag(time.Hour)
			time.Sleep(2 * time.Hour)
			with(w, flush.Options{Rounds: rounds})
			w.Refresh()
			put(t, w.Far, "/a.txt", "theirs")
			must(t, w.Write("/a.txt", []byte("mine")))
			if r := w.Flush(); r.Left != left {
				t.Errorf("%d rounds: %+v", rounds, r)
			}
			time.Sleep(2 * time.Hour)
			w.Flush()
			w.Equal()
			if got := w.There(); len(got) != 2 || got["/a.txt"] != "theirs" {
				t.Errorf("%d rounds: %v", rounds, got)
			}
		})
	}
}

// A library puts properties into an Office file some seconds after it was sent. That is nobody's change: work that
// went on meanwhile is sent on top of it, and nothing is sent or fetched again and again.
func TestAnOfficeFileThatIsRewrittenIsNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := simtest.New(t, graphtest.Options{OfficeRewrite: 3 * time.Second}, nil)
		must(t, w.Write("/report.docx", simtest.Data("first", 5000)))
		w.Flush()
		time.Sleep(time.Minute)
		must(t, w.Write("/report.docx", simtest.Data("second", 6000)))
		if r := w.Flush(); r.Sent != 1 || r.Conflicts > 0 {
			t.Errorf("on top of the rewritten file: %+v", r)
		}
		time.Sleep(time.Minute)
		w.Refresh()
		w.Equal()
		if got := w.There(); len(got) != 1 {
			t.Errorf("there: %d files", len(got))
		}
		w.Quiet()
		time.Sleep(48 * time.Hour)
		w.Quiet()
		if list, err := w.Engine.Conflicts(); err != nil || len(list) > 0 {
			t.Errorf("conflicts: %+v, %v", list, err)
		}
	})
}
