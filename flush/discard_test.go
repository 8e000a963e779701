package flush_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

func TestDiscardGivesBackWhatTheRemoteHas(t *testing.T) {
	in(t, func(d *graphtest.Drive) {
		put(t, d, "/edit.txt", "before")
		put(t, d, "/moved.txt", "moved")
		put(t, d, "/x", "x")
		put(t, d, "/y", "y")
		put(t, d, "/gone/deep/a.txt", "a")
		put(t, d, "/gone/b.txt", "b")
		put(t, d, "/kept.txt", "kept")
	}, func(t *testing.T, w *simtest.World) {
		before := w.There()
		must(t,
			w.Write("/edit.txt", []byte("after")),
			w.Mkdir("/new"), w.Mkdir("/new/er"),
			w.Write("/new/er/fresh.txt", []byte("fresh")),
			w.Move("/moved.txt", "/new/moved.txt"),
			w.Exchange("/x", "/y"),
			w.Remove("/gone"),
			w.Touch("/kept.txt", time.Unix(1e9, 0)),
		)
		all := flush.Path{Drive: w.Num, Path: "/"}
		dry, err := w.Engine.Discard(t.Context(), true, all)
		must(t, err)
		done, err := w.Engine.Discard(t.Context(), false, all)
		must(t, err)
		if len(dry) != len(done) || len(dry) != 9 {
			t.Errorf("dry %d, done %d", len(dry), len(done))
		}
		saved := map[string]string{}
		for _, d := range done {
			if d.Refused != "" {
				t.Errorf("%s refused: %s", d.Change.Path, d.Refused)
			}
			if d.Trash != "" {
				data, err := os.ReadFile(d.Trash)
				must(t, err)
				saved[d.Change.Path] = string(data)
			}
		}
		if len(saved) != 2 || saved["/edit.txt"] != "after" || saved["/new/er/fresh.txt"] != "fresh" {
			t.Errorf("in the trash: %v", saved)
		}
		w.Server.ResetCounts()
		w.Flush()
		if n := w.Server.Counts().Writes; n > 0 {
			t.Errorf("%d writes after everything was given up", n)
		}
		w.Equal()
		for p, data := range before {
			if w.There()[p] != data {
				t.Errorf("%s changed there", p)
			}
		}
		w.Quiet()
	})
}

func TestDiscardLimitsItselfToPathsAndRefusesWhatIsOpen(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/d/a.txt", "a"); put(t, d, "/b.txt", "b") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/d/a.txt", []byte("a2")), w.Write("/b.txt", []byte("b2")), w.Write("/d/new.txt", []byte("n")))
		f, err := w.OpenFile("/d/new.txt", false)
		must(t, err)
		done, err := w.Engine.Discard(t.Context(), false, flush.Path{Drive: w.Num, Path: "/d"})
		must(t, err, f.Close())
		if len(done) != 2 {
			t.Fatalf("done: %+v", done)
		}
		for _, d := range done {
			if open := d.Change.Path == "/d/new.txt"; open != (d.Refused != "") {
				t.Errorf("%+v", d)
			}
		}
		w.Flush()
		w.Equal()
		if got := w.There(); got["/d/a.txt"] != "a" || got["/b.txt"] != "b2" || got["/d/new.txt"] != "n" {
			t.Errorf("there: %v", got)
		}
	})
}

func TestOneFileOfADeletedFolderComesBack(t *testing.T) {
	in(t, func(d *graphtest.Drive) {
		put(t, d, "/d/e/a.txt", "a")
		put(t, d, "/d/e/b.txt", "b")
		put(t, d, "/d/c.txt", "c")
		put(t, d, "/d/g.txt", "g")
	}, func(t *testing.T, w *simtest.World) {
		must(t, w.Remove("/d"))
		done, err := w.Engine.Discard(t.Context(), false, flush.Path{Drive: w.Num, Path: "/d/e/a.txt"})
		must(t, err)
		if len(done) != 1 || done[0].Change.Path != "/d/e/a.txt" {
			t.Fatalf("done: %+v", done)
		}
		if got, err := w.Read("/d/e/a.txt"); err != nil || string(got) != "a" {
			t.Errorf("back: %q, %v", got, err)
		}
		r, err := w.Engine.Flush(t.Context(), flush.Request{Paths: []flush.Path{{Drive: w.Num, Path: "/d/c.txt"}}})
		must(t, err)
		if r.Drives[0].Sent != 1 {
			t.Errorf("sent: %+v", r.Drives[0])
		}
		got := w.There()
		if _, gone := got["/d/c.txt"]; gone || got["/d/g.txt"] != "g" || got["/d/e/b.txt"] != "b" {
			t.Errorf("there: %v", got)
		}
		w.Flush()
		w.Equal()
		if got := w.There(); got["/d/e/a.txt"] != "a" || got["/d/e/b.txt"] != "" || got["/d/g.txt"] != "" {
			t.Errorf("there: %v", got)
		}
	})
}

func TestTheTrashForgetsAfterThirtyDays(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		all := flush.Path{Drive: w.Num, Path: "/"}
		must(t, w.Write("/a.txt", []byte("a")))
		first, err := w.Engine.Discard(t.Context(), false, all)
		must(t, err)
		time.Sleep(29 * 24 * time.Hour)
		must(t, w.Write("/b.txt", []byte("b")))
		second, err := w.Engine.Discard(t.Context(), false, all)
		must(t, err)
		if _, err := os.Stat(first[0].Trash); err != nil {
			t.Errorf("gone too early: %v", err)
		}
		time.Sleep(2 * 24 * time.Hour)
		_, err = w.Engine.Discard(t.Context(), false, all)
		must(t, err)
		if _, err := os.Stat(first[0].Trash); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("kept for too long: %v", err)
		}
		if _, err := os.Stat(second[0].Trash); err != nil {
			t.Errorf("gone too early: %v", err)
		}
	})
}

func TestTheTrashForgetsByItself(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		kept := giveUp(t, w, "/kept.txt")
		old := giveUp(t, w, "/old.txt")
		aged := filepath.Join(filepath.Dir(filepath.Dir(old)), w.Now().AddDate(0, 0, -31).UTC().Format("20060102T150405")+"-9")
		must(t, os.Rename(filepath.Dir(old), aged))
		old = filepath.Join(aged, "old.txt")
		list, err := cache.TrashIn(w.Store.Dir())
		must(t, err)
		if len(list) != 2 || list[0].File != kept || list[1].File != old || list[1].Path != "/old.txt" || list[1].Size != 4 ||
			time.Since(list[1].At).Round(time.Hour) != 31*24*time.Hour {
			t.Errorf("listed: %+v", list)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Engine.Run(ctx) }()
		synctest.Wait()
		if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("kept for too long: %v", err)
		}
		if _, err := os.Stat(kept); err != nil {
			t.Errorf("gone too early: %v", err)
		}
		cancel()
		must(t, <-ended)
	})
}

// giveUp makes a file, gives it up, and returns where the trash has it.
func giveUp(t *testing.T, w *simtest.World, path string) string {
	t.Helper()
	must(t, w.Write(path, []byte("work")))
	done, err := w.Engine.Discard(t.Context(), false, flush.Path{Drive: w.Num, Path: path})
	must(t, err)
	if len(done) != 1 || done[0].Trash == "" {
		t.Fatalf("gave up: %+v", done)
	}
	return done[0].Trash
}

// quarrel makes a conflict, sends the copy if sent is set, and returns where the copy is.
func quarrel(t *testing.T, w *simtest.World, sent bool) string {
	t.Helper()
	must(t, w.Write("/a.txt", []byte("mine")))
	put(t, w.Far, "/a.txt", "theirs")
	if sent {
		w.Flush()
	} else {
		w.Refresh()
	}
	list, err := w.Engine.Conflicts()
	must(t, err)
	if len(list) != 1 || list[0].Other != "/a.txt" || list[0].Size != 4 || list[0].OtherSize != 6 || !strings.HasPrefix(list[0].Path, "/a (conflict") {
		t.Fatalf("conflicts: %+v", list)
	}
	return list[0].Path
}

func TestAPersonDecidesAConflict(t *testing.T) {
	for _, sent := range []bool{false, true} {
		for _, c := range []struct {
			keep cache.Policy
			want string
		}{{cache.KeepBoth, "theirs"}, {cache.Mine, "mine"}, {cache.Theirs, "theirs"}} {
			t.Run(c.keep.String(), func(t *testing.T) {
				in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "base") }, func(t *testing.T, w *simtest.World) {
					before, err := w.Far.Stat("/a.txt")
					must(t, err)
					ours := quarrel(t, w, sent)
					must(t, w.Engine.Resolve(t.Context(), flush.Path{Drive: w.Num, Path: ours}, c.keep))
					if list, err := w.Engine.Conflicts(); err != nil || len(list) != 0 {
						t.Errorf("still there: %+v, %v", list, err)
					}
					w.Flush()
					w.Equal()
					got := w.There()
					if got["/a.txt"] != c.want {
						t.Errorf("a.txt has %q", got["/a.txt"])
					}
					if both := got[ours] == "mine"; both != (c.keep == cache.KeepBoth) {
						t.Errorf("there: %v", got)
					}
					after, err := w.Far.Stat("/a.txt")
					must(t, err)
					if after.ID != before.ID {
						t.Error("the file has another item")
					}
					if c.keep == cache.Mine {
						if data, err := w.Far.ReadVersion("/a.txt", after.Versions-2); err != nil || string(data) != "theirs" {
							t.Errorf("the version before has %q, %v", data, err)
						}
					}
					w.Quiet()
					if err := w.Engine.Resolve(t.Context(), flush.Path{Drive: w.Num, Path: "/a.txt"}, c.keep); !errors.Is(err, flush.ErrNoConflict) {
						t.Errorf("decided twice: %v", err)
					}
				})
			})
		}
	}
}

// trashed returns what lies in the local trash.
func trashed(t *testing.T, w *simtest.World) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(filepath.Join(w.Dir, "trash"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		all = append(all, string(data))
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

func TestWhatIsWrittenWhileADiscardAsksIsKept(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "base") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Move("/a.txt", "/b.txt"))
		item := w.Far
		info, err := item.Stat("/a.txt")
		must(t, err)
		wrote := false
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, info.ID) && !wrote {
				wrote = true
				must(t, w.Write("/b.txt", []byte("written meanwhile")))
			}
			return under.RoundTrip(r)
		})
		done, err := w.Engine.Discard(t.Context(), false, flush.Path{Drive: w.Num, Path: "/"})
		w.Between(nil)
		must(t, err)
		if !wrote || len(done) != 1 || done[0].Refused == "" {
			t.Errorf("gave up: %+v, written: %v", done, wrote)
		}
		w.Flush()
		w.Equal()
		if got := w.There(); got["/b.txt"] != "written meanwhile" {
			t.Errorf("there: %v", got)
		}
	})
}

// TestADecisionThatFailsChangesNothing: the disk is full from one of the steps of it on.
func TestADecisionThatFailsChangesNothing(t *testing.T) {
	for at, failed := 1, true; failed; at++ {
		in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "base") }, func(t *testing.T, w *simtest.World) {
			before, err := w.Far.Stat("/a.txt")
			must(t, err)
			ours := quarrel(t, w, true)
			must(t, w.Sync("/a.txt"))
			steps := 0
			w.Tick(func() {
				if steps++; steps == at {
					w.Full(true)
				}
			})
			err = w.Engine.Resolve(t.Context(), flush.Path{Drive: w.Num, Path: ours}, cache.Mine)
			w.Tick(nil)
			w.Full(false)
			if failed = err != nil; failed {
				if got := w.Here(); len(got) != 2 || got["/a.txt"] != "theirs" || got[ours] != "mine" {
					t.Errorf("full from step %d on: here: %v", at, got)
				}
				w.Quiet()
			}
			w.Flush()
			w.Equal()
			if got := w.There(); (got["/a.txt"] == "mine") == failed || (got[ours] == "mine") != failed {
				t.Errorf("full from step %d on, %v: there: %v", at, err, got)
			}
			if after, err := w.Far.Stat("/a.txt"); err != nil || after.ID != before.ID {
				t.Errorf("the file has another item: %+v, %v", after, err)
			}
		})
		if at == 1 && !failed {
			t.Error("a full disk was no hindrance")
		}
	}
}

func TestDecidingAConflictWithAFileThatWasRenamedWaitsForThat(t *testing.T) {
	for _, sent := range []bool{false, true} {
		in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "base") }, func(t *testing.T, w *simtest.World) {
			before, err := w.Far.Stat("/a.txt")
			must(t, err)
			p := flush.Path{Drive: w.Num, Path: quarrel(t, w, sent)}
			must(t, w.Move("/a.txt", "/b.txt"))
			if err := w.Engine.Resolve(t.Context(), p, cache.Mine); err == nil || !strings.Contains(err.Error(), "flush first") {
				t.Errorf("renamed: %v", err)
			}
			w.Flush()
			must(t, w.Engine.Resolve(t.Context(), p, cache.Mine))
			w.Flush()
			w.Equal()
			after, err := w.Far.Stat("/b.txt")
			must(t, err)
			if got := w.There(); len(got) != 1 || got["/b.txt"] != "mine" || after.ID != before.ID {
				t.Errorf("there: %v; item %s, was %s", got, after.ID, before.ID)
			}
		})
	}
}

func TestDecidingAConflictKeepsWorkInTheOtherVersion(t *testing.T) {
	for _, sent := range []bool{false, true} {
		in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "base") }, func(t *testing.T, w *simtest.World) {
			ours := quarrel(t, w, sent)
			must(t, w.Write("/a.txt", []byte("theirs and more of ours")))
			if sent { // a kill has left what the last try was about to put in its place
				must(t, w.Write(fmt.Sprintf("/.goutputstream-duskfs-keep-mine-%d", w.Ino(ours)), []byte("mi")))
			}
			must(t, w.Engine.Resolve(t.Context(), flush.Path{Drive: w.Num, Path: ours}, cache.Mine))
			w.Flush()
			w.Equal()
			if got := w.There(); len(got) != 1 || got["/a.txt"] != "mine" {
				t.Errorf("there: %v", got)
			}
			if got := trashed(t, w); !slices.Contains(got, "theirs and more of ours") {
				t.Errorf("in the trash: %q", got)
			}
		})
	}
}

// Two files change names by way of a third: what has that there cannot go back to a name that people know.
func TestARenameThatIsHalfSentIsNotGivenUp(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/x", "x"); put(t, d, "/y", "y") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Exchange("/x", "/y"), w.Far.Lock("/y", 0))
		w.Flush()
		must(t, w.Far.Lock("/y", -1))
		done, err := w.Engine.Discard(t.Context(), false, flush.Path{Drive: w.Num, Path: "/"})
		must(t, err)
		refused := 0
		for _, d := range done {
			if d.Refused != "" {
				refused++
			}
		}
		if len(done) != 2 || refused != 1 {
			t.Errorf("given up: %+v", done)
		}
		w.Flush()
		w.Flush()
		w.Equal()
		there := w.There()
		for p := range there {
			if strings.Contains(p, ".duskfs-") {
				t.Errorf("left over: %s", p)
			}
		}
		if len(there) != 2 {
			t.Errorf("there: %v", there)
		}
		w.Quiet()
	})
}

func TestWhatIsRefusedCanBecomeACopy(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/locked.docx", "base") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Far.Lock("/locked.docx", 0), w.Write("/locked.docx", []byte("mine")))
		w.Flush()
		must(t, w.Engine.Resolve(t.Context(), flush.Path{Drive: w.Num, Path: "/locked.docx"}, cache.KeepBoth))
		if r := w.Flush(); r.Sent != 1 || r.Deferred != 0 {
			t.Errorf("flush: %+v", r)
		}
		w.Equal()
		got := w.There()
		if len(got) != 2 || got["/locked.docx"] != "base" {
			t.Errorf("there: %v", got)
		}
	})
}

func TestChangesAreToldWithoutARequest(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "base") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.txt", []byte("longer")), w.Mkdir("/d"))
		w.Server.ResetCounts()
		list, err := w.Engine.Changes()
		must(t, err)
		if len(list) != 1 || len(list[0].Changes) != 2 || list[0].Changes[0].OldSize != 4 || list[0].Changes[0].Size != 6 {
			t.Errorf("changes: %+v", list)
		}
		if n := w.Server.Counts().Reads + w.Server.Counts().Writes; n > 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// What the service does not let us see stays and is told; the rest goes on.
func TestDiscardGoesOnBesideWhatIsRefused(t *testing.T) {
	in(t, func(d *graphtest.Drive) {
		for _, p := range []string{"/a.txt", "/b.txt", "/c.txt", "/gone/closed.txt", "/gone/open.txt"} {
			put(t, d, p, "before")
		}
	}, func(t *testing.T, w *simtest.World) {
		for _, p := range []string{"/a.txt", "/b.txt", "/c.txt"} {
			must(t, w.Write(p, []byte("after")))
		}
		must(t, w.Remove("/gone"))
		w.Refresh()
		for _, p := range []string{"/b.txt", "/closed.txt"} {
			w.Server.Inject(graphtest.Fault{Op: graphtest.OpItem, Place: p, Status: 403, Code: "accessDenied", Message: "closed to you", Times: -1})
		}
		done, err := w.Engine.Discard(t.Context(), false, flush.Path{Drive: w.Num, Path: "/"})
		must(t, err)
		got := map[string]flush.Discarded{}
		for _, d := range done {
			got[d.Change.Path] = d
		}
		b, gone := got["/b.txt"], got["/gone"]
		if len(done) != 4 || got["/a.txt"].Trash == "" || got["/c.txt"].Trash == "" || b.Trash != "" ||
			!strings.HasPrefix(b.Refused, "you may not see this there; ask the owner") || !strings.Contains(b.Refused, "closed to you") ||
			!strings.HasPrefix(gone.Refused, "not all of it is back: you may not see this there") {
			t.Errorf("done: %+v", done)
		}
		for p, want := range map[string]string{"/a.txt": "before", "/b.txt": "after", "/c.txt": "before", "/gone/open.txt": "before"} {
			if is, err := w.Read(p); err != nil || string(is) != want {
				t.Errorf("%s: %q, %v", p, is, err)
			}
		}
		w.Server.ClearFaults()
		w.Flush()
		w.Equal()
	})
}

// What stops everything ends it, and what was given up by then is told all the same.
func TestDiscardThatEndsEarlyTellsHowFarItCame(t *testing.T) {
	in(t, func(d *graphtest.Drive) {
		for _, p := range []string{"/a.txt", "/b.txt", "/c.txt"} {
			put(t, d, p, "before")
		}
	}, func(t *testing.T, w *simtest.World) {
		for _, p := range []string{"/a.txt", "/b.txt", "/c.txt"} {
			must(t, w.Write(p, []byte("after")))
		}
		asked := 0
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "/items/") && !strings.Contains(r.URL.Path, "delta") {
				if asked++; asked == 2 {
					w.Server.SetOffline(true)
				}
			}
			return under.RoundTrip(r)
		})
		done, err := w.Engine.Discard(t.Context(), false, flush.Path{Drive: w.Num, Path: "/"})
		if !errors.Is(err, graph.Offline) || !strings.HasPrefix(err.Error(), "discard /b.txt: ") {
			t.Errorf("error: %v", err)
		}
		if len(done) != 2 || done[0].Refused != "" || done[0].Trash == "" || done[1].Change.Path != "/b.txt" || done[1].Refused == "" {
			t.Errorf("done: %+v", done)
		}
		w.Between(nil)
		w.Server.SetOffline(false)
	})
}
