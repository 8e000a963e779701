package flush_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// in runs a test in a bubble, where waiting costs nothing.
func in(t *testing.T, prepare func(*graphtest.Drive), f func(t *testing.T, w *simtest.World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := simtest.New(t, graphtest.Options{}, prepare)
		f(t, w)
		for _, v := range w.Server.Violations() {
			t.Errorf("against the protocol: %s", v)
		}
		if n := w.Server.OpenSessions(); n > 0 {
			t.Errorf("%d upload sessions are left open", n)
		}
	})
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, d *graphtest.Drive, path, data string) graphtest.Info {
	t.Helper()
	i, err := d.Put(path, []byte(data))
	must(t, err)
	return i
}

func TestAFlushSendsEverythingAndASecondNothing(t *testing.T) {
	in(t, func(d *graphtest.Drive) {
		put(t, d, "/keep.txt", "keep")
		put(t, d, "/edit.txt", "before")
		put(t, d, "/gone.txt", "gone")
		put(t, d, "/old/name.txt", "name")
		put(t, d, "/dir/a.txt", "a")
	}, func(t *testing.T, w *simtest.World) {
		must(t,
			w.Write("/edit.txt", []byte("after")),
			w.Remove("/gone.txt"),
			w.Mkdir("/new"),
			w.Mkdir("/new/deep"),
			w.Write("/new/deep/file.txt", []byte("deep")),
			w.Write("/new/empty", nil),
			w.Write("/big.bin", simtest.Data("0123456789", 25<<20)),
			w.Move("/old/name.txt", "/new/name.txt"),
			w.Remove("/dir"),
		)
		if n := w.Server.Counts().Writes; n > 0 {
			t.Errorf("%d writes before any flush", n)
		}
		r := w.Flush()
		if r.Sent != 9 || r.Left != 0 || r.Receipt == nil {
			t.Errorf("flush: %+v", r)
		}
		w.Equal()
		w.Quiet()
		last := w.Engine.Status().Drives[0].LastFlush
		if last == nil || last.Sent != 9 || last.Bytes != r.Bytes || len(last.Steps) != 9 || last.Error != "" {
			t.Errorf("receipt: %+v", last)
		}
	})
}

func TestTwentySavesByRenameAreOneUploadAndKeepTheItem(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/report.docx", "first") }, func(t *testing.T, w *simtest.World) {
		before, err := w.Far.Stat("/report.docx")
		must(t, err)
		for i := range 20 {
			must(t,
				w.Write("/~WRD0001.tmp", fmt.Appendf(nil, "draft %d", i)),
				w.Move("/~WRD0001.tmp", "/report.docx"),
			)
		}
		w.Server.ResetCounts()
		if r := w.Flush(); r.Sent != 1 {
			t.Errorf("flush: %+v", r)
		}
		after, err := w.Far.Stat("/report.docx")
		must(t, err)
		if after.ID != before.ID {
			t.Errorf("the item was %s and is %s", before.ID, after.ID)
		}
		if after.Versions != before.Versions+1 {
			t.Errorf("%d versions, before %d", after.Versions, before.Versions)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestAConflictEndsWithBothVersionsThere(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "base") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.txt", []byte("mine")))
		put(t, w.Far, "/a.txt", "theirs")
		r := w.Flush()
		if r.Conflicts == 0 {
			t.Errorf("no conflict told: %+v", r)
		}
		there := w.There()
		if there["/a.txt"] != "theirs" {
			t.Errorf("a.txt is %q there", there["/a.txt"])
		}
		mine := ""
		for p, data := range there {
			if strings.HasPrefix(p, "/a (conflict desk ") {
				mine = data
			}
		}
		if mine != "mine" || len(there) != 2 {
			t.Errorf("there: %v", there)
		}
		w.Equal()
		if c := w.Engine.Status().Drives[0].Conflicts; len(c) != 1 {
			t.Errorf("status tells of %d conflicts", len(c))
		}
		w.Quiet()
	})
}

// The feed may tell of a change an hour late. A flush that finds out by itself asks for the item, and ends
// with everything settled.
func TestWhatAFlushFindsChangedItAsksFor(t *testing.T) {
	in(t, func(d *graphtest.Drive) {
		for _, p := range []string{"/edited.txt", "/deleted.txt", "/moved.txt", "/dir/in.txt", "/there.txt"} {
			put(t, d, p, "base")
		}
	}, func(t *testing.T, w *simtest.World) {
		w.Server.SetFeedLag(time.Hour)
		time.Sleep(2 * time.Hour)
		w.Refresh()
		must(t, w.Write("/edited.txt", []byte("mine")), w.Move("/deleted.txt", "/renamed.txt"), w.Write("/moved.txt", []byte("mine too")),
			w.Write("/dir/new.txt", []byte("new")), w.Move("/there.txt", "/taken.txt"))
		put(t, w.Far, "/edited.txt", "theirs")
		put(t, w.Far, "/taken.txt", "taken")
		_, err := w.Far.Move("/moved.txt", "/elsewhere.txt")
		must(t, err, w.Far.Delete("/deleted.txt"), w.Far.Delete("/dir"))
		r := w.Flush()
		if r.Deferred+r.Left > 0 {
			t.Errorf("one flush: %+v", r)
		}
		w.Equal()
		got := w.There()
		for p, want := range map[string]string{"/edited.txt": "theirs", "/elsewhere.txt": "mine too", "/dir/new.txt": "new", "/taken.txt": "taken"} {
			if got[p] != want {
				t.Errorf("%s: %q, want %q", p, got[p], want)
			}
		}
		if len(got) != 7 { // with the folder, and with a copy of each that had to step aside
			t.Errorf("there: %v", got)
		}
	})
}

func TestTheSameEditOnBothSidesIsNoConflict(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "base") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.txt", []byte("same")), w.Write("/b.txt", []byte("new")))
		put(t, w.Far, "/a.txt", "same")
		put(t, w.Far, "/b.txt", "new")
		if r := w.Flush(); r.Conflicts > 0 {
			t.Errorf("flush: %+v", r)
		}
		if n := len(w.There()); n != 2 {
			t.Errorf("there: %v", w.There())
		}
		w.Equal()
		w.Quiet()
	})
}

func TestWithoutNetworkAFlushKeepsEverything(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.txt", []byte("mine")))
		w.Server.SetOffline(true)
		r, err := w.Engine.Flush(t.Context(), flush.Request{})
		if !errors.Is(err, graph.Offline) || r.Drives[0].Kind != graph.Offline || r.Drives[0].Error == "" {
			t.Errorf("flush: %+v, %v", r, err)
		}
		s := w.Engine.Status().Drives[0]
		if s.Pending.Items != 1 || s.Kind != graph.Offline || s.State != flush.Idle {
			t.Errorf("status: %+v", s)
		}
		w.Server.SetOffline(false)
		w.Flush()
		w.Equal()
		w.Quiet()
		if s := w.Engine.Status().Drives[0]; s.Error != "" {
			t.Errorf("status: %+v", s)
		}
	})
}

func TestADryRunSendsNothing(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Mkdir("/d"), w.Write("/d/a.txt", []byte("mine")))
		r, err := w.Engine.Flush(t.Context(), flush.Request{DryRun: true})
		must(t, err)
		p := r.Drives[0].Plan
		if p == nil || len(p.Steps) != 2 || p.Bytes != 4 || r.Drives[0].Receipt != nil {
			t.Errorf("dry run: %+v", r)
		}
		if n := w.Server.Counts().Writes; n > 0 {
			t.Errorf("%d writes", n)
		}
	})
}

func TestPathsLimitAFlush(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Mkdir("/d"), w.Write("/d/a.txt", []byte("1")), w.Write("/b.txt", []byte("2")))
		r, err := w.Engine.Flush(t.Context(), flush.Request{Paths: []flush.Path{{Drive: w.Num, Path: "/d"}}})
		must(t, err)
		if d := r.Drives[0]; d.Sent != 2 || d.Left != 1 {
			t.Errorf("flush: %+v", d)
		}
	})
}

func TestALockedFileIsDeferredAndTheRestIsSent(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/locked.docx", "base") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Far.Lock("/locked.docx", 0), w.Write("/locked.docx", []byte("mine")), w.Write("/b.txt", []byte("2")))
		r := w.Flush()
		if r.Sent != 1 || r.Deferred != 1 || r.Left != 1 {
			t.Errorf("flush: %+v", r)
		}
		p := w.Engine.Status().Drives[0].Pending
		if len(p.Deferred) != 1 || p.Deferred[0].Kind != graph.Locked || p.Deferred[0].Path != "/locked.docx" {
			t.Errorf("pending: %+v", p)
		}
		again, err := w.Engine.Flush(t.Context(), flush.Request{Scheduled: true})
		must(t, err)
		if d := again.Drives[0]; d.Deferred != 0 || d.Sent != 0 {
			t.Errorf("tried again too early: %+v", d)
		}
		must(t, w.Far.Lock("/locked.docx", -1))
		if r := w.Flush(); r.Sent != 1 {
			t.Errorf("flush: %+v", r)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestManyDeletionsWaitToBeConfirmed(t *testing.T) {
	in(t, func(d *graphtest.Drive) {
		for i := range 120 {
			put(t, d, fmt.Sprintf("/d/%d", i), "x")
		}
	}, func(t *testing.T, w *simtest.World) {
		must(t, w.Remove("/d"), w.Write("/b.txt", []byte("2")))
		r, err := w.Engine.Flush(t.Context(), flush.Request{})
		must(t, err)
		if d := r.Drives[0]; d.Guarded != 121 || d.Sent != 1 || !r.InPart() {
			t.Errorf("flush: %+v", d)
		}
		if r := w.Flush(); r.Guarded != 0 || r.Sent != 1 || r.Left != 0 {
			t.Errorf("flush: %+v", r)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestAFolderWithSomethingUnseenIsNotDeleted(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/d/a.txt", "a"); put(t, d, "/d/e/b.txt", "b") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Remove("/d"))
		w.Server.SetFeedLag(time.Hour) // the refresh before the flush does not see it
		put(t, w.Far, "/d/e/new.txt", "new")
		w.Flush()
		if got := w.There()["/d/e/new.txt"]; got != "new" {
			t.Errorf("a colleague's new file is lost; there: %v", w.There())
		}
		w.Server.SetFeedLag(0)
		w.Flush()
		w.Flush()
		w.Equal()
		if got := w.There()["/d/e/new.txt"]; got != "new" {
			t.Errorf("a colleague's new file is lost; there: %v", w.There())
		}
		w.Quiet()
	})
}

// A folder made anew here turns out to be the one that was removed, since something moved into it there, onto a name
// that a new file here has.
func TestWhoHasTheNameInAFolderThatComesBackStepsAside(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/f/old", "old"); put(t, d, "/g/theirs", "theirs") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Remove("/f"))
		w.Skip(10 * time.Minute) // too late for an heir
		must(t, w.Mkdir("/f"), w.Write("/f/x", []byte("mine")))
		_, err := w.Far.Move("/g", "/f/x")
		must(t, err)
		w.Flush()
		w.Flush()
		w.Equal()
		there := w.There()
		if there["/f/x/theirs"] != "theirs" || !slices.Contains(slices.Collect(maps.Values(there)), "mine") {
			t.Errorf("there: %v", there)
		}
		if list, err := w.Engine.Conflicts(); err != nil || len(list) != 1 {
			t.Errorf("conflicts: %+v, %v", list, err)
		}
		w.Quiet()
	})
}

// A change waits for an open file, the service forgets the place in its feed, and what it brings anew has nothing of the file.
func TestWhatWaitedAndIsGoneSinceIsNoticed(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/a", "base") }, func(t *testing.T, w *simtest.World) {
		_, err := w.Read("/a")
		must(t, err)
		f, err := w.OpenFile("/a", false)
		must(t, err)
		put(t, w.Far, "/a", "theirs")
		w.Refresh()
		must(t, w.Far.Delete("/a"), f.Close())
		w.Far.ForgetFeed("")
		w.Skip(time.Minute)
		w.Refresh()
		if here := w.Here(); len(here) > 0 {
			t.Errorf("here: %v", here)
		}
		w.Equal()
	})
}

func TestAReceiptOfVeryManyStepsListsWhatWasNotSent(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/locked.docx", "base") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Far.Lock("/locked.docx", 0), w.Write("/locked.docx", []byte("mine")))
		for i := range 1100 {
			must(t, w.Mkdir(fmt.Sprintf("/%d", i)))
		}
		r := w.Flush()
		if r.Sent != 1100 || r.Deferred != 1 || r.Receipt.Sent != 1100 || len(r.Receipt.Steps) != 1000 {
			t.Errorf("flush: sent %d, deferred %d, %d steps", r.Sent, r.Deferred, len(r.Receipt.Steps))
		}
		for _, s := range r.Receipt.Steps {
			if s.Outcome == "deferred" && s.Path == "/locked.docx" {
				return
			}
		}
		t.Error("the receipt does not tell of what was deferred")
	})
}

func TestProgressReachesItsEnd(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.bin", simtest.Data("a", 3<<20)), w.Write("/b.bin", simtest.Data("b", 1<<20)))
		var last flush.Progress
		var phases []string
		_, err := w.Engine.Flush(t.Context(), flush.Request{Progress: func(p flush.Progress) {
			if last.Phase != p.Phase {
				phases = append(phases, p.Phase)
			}
			last = p
		}})
		must(t, err)
		if got := strings.Join(phases, " "); got != "refresh plan send done" {
			t.Errorf("phases: %s", got)
		}
		if last.Steps != 2 || last.Done != 2 || last.Bytes != 4<<20 || last.Sent != last.Bytes {
			t.Errorf("progress: %+v", last)
		}
	})
}
