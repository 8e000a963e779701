package flush_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/flush/schedule"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// with gives a world's engine other options.
func with(w *simtest.World, o flush.Options) {
	w.Options = o
	w.Use(w.Near)
}

func TestAReceiptInAFileTellsOfEveryStep(t *testing.T) {
	in(t, func(d *graphtest.Drive) {
		put(t, d, "/a.txt", "base")
		put(t, d, "/locked.docx", "base")
		put(t, d, "/gone", "x")
	}, func(t *testing.T, w *simtest.World) {
		with(w, flush.Options{Account: "me@example.com"})
		before, err := w.Far.Stat("/a.txt")
		must(t, err, w.Far.Lock("/locked.docx", 0), w.Write("/a.txt", []byte("mine")), w.Write("/locked.docx", []byte("x")), w.Mkdir("/d"), w.Remove("/gone"))
		r := w.Flush()
		if r.File == "" {
			t.Fatalf("no receipt: %+v", r)
		}
		full, err := flush.ReadReceipt(w.Dir, r.File)
		must(t, err)
		if full.Schema != flush.ReceiptSchema || full.Account != "me@example.com" || string(full.Drive) != w.Far.ID() ||
			full.Trigger != "asked" || full.Totals.Sent != 3 || full.Totals.Bytes != 4 || full.Totals.Deferred != 1 || full.Totals.Left != 1 {
			t.Errorf("receipt: %+v", full)
		}
		byPath := map[string]flush.ReceiptItem{}
		for _, i := range full.Items {
			byPath[i.Path] = i
		}
		after, err := w.Far.Stat("/a.txt")
		must(t, err)
		a := byPath["/a.txt"]
		if a.Op != "replace" || a.Item == "" || a.OldETag == "" || a.ETag == "" || a.OldETag == a.ETag || a.Bytes != 4 || a.Hash == "" || a.Outcome != "sent" {
			t.Errorf("a.txt: %+v (%+v, %+v)", a, before, after)
		}
		if l := byPath["/locked.docx"]; l.Outcome != "deferred" || !strings.Contains(l.Reason, "open") || l.Request == "" {
			t.Errorf("locked.docx: %+v", l)
		}
		if g := byPath["/gone"]; g.Op != "delete" || g.OldETag == "" || g.ETag != "" || g.Item == "" {
			t.Errorf("gone: %+v", g)
		}
		list, err := flush.Receipts(w.Dir, 0)
		must(t, err)
		if len(list) != 1 || list[0].ID != r.File || list[0].Items != nil {
			t.Errorf("list: %+v", list)
		}
		must(t, w.Write("/b.txt", []byte("b")))
		second := w.Flush()
		if list, err := flush.Receipts(w.Dir, 1); err != nil || len(list) != 1 || list[0].ID != second.File {
			t.Errorf("newest: %+v, %v", list, err)
		}
		for _, id := range []string{"", "..", "../engine", "none"} {
			if _, err := flush.ReadReceipt(w.Dir, id); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("receipt %q: %v", id, err)
			}
		}
		st, err := os.Stat(filepath.Join(w.Dir, "receipts", r.File+".json"))
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st, err)
		}
	})
}

func TestAReceiptNamesTheRequestsOfEveryStep(t *testing.T) {
	in(t, dawn, func(t *testing.T, w *simtest.World) {
		day(t, w)
		must(t, w.Far.Lock("/edit.txt", 0))
		full, err := flush.ReadReceipt(w.Dir, w.Flush().File)
		must(t, err)
		for _, i := range full.Items {
			if i.Outcome != "unchanged" && len(i.Requests) == 0 {
				t.Errorf("no request: %+v", i)
			}
			if i.Request != "" && !slices.Contains(i.Requests, i.Request) {
				t.Errorf("the request that was refused is not among those of the step: %+v", i)
			}
		}
		must(t, w.Far.Lock("/edit.txt", -1))
		w.Flush()
		w.Equal()
	})
}

func TestAFlushThatIsKilledLeavesAReceiptOfWhatItDid(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Mkdir("/d"), w.Write("/d/a.txt", []byte("a")), w.Write("/d/b.bin", simtest.Data("b", 900<<10)))
		kept := filepath.Join(t.TempDir(), "kept")
		var once sync.Once
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			// The second fragment of b.bin, and a.txt is sent by then.
			if at := r.Header.Get("Content-Range"); r.Method == http.MethodPut && at != "" && !strings.HasPrefix(at, "bytes 0-") {
				once.Do(func() {
					time.Sleep(time.Second)
					w.Keep(kept)
				})
			}
			return under.RoundTrip(r)
		})
		w.Flush()
		w.Between(nil)
		parts, err := filepath.Glob(filepath.Join(w.Dir, "receipts", ".*"))
		if err != nil || len(parts) > 0 {
			t.Errorf("a flush that has ended left %v, %v", parts, err)
		}
		w.Open(kept)
		list, err := flush.Receipts(kept, 0)
		must(t, err)
		if len(list) != 1 {
			t.Fatalf("receipts: %+v", list)
		}
		full, err := flush.ReadReceipt(kept, list[0].ID)
		must(t, err)
		if !strings.Contains(full.Error, "process ended") || full.Totals.Sent != 2 || full.Totals.Bytes != 1 || len(full.Items) != 2 ||
			full.Items[1].Path != "/d/a.txt" || full.Items[1].Item == "" || full.Account != "" || string(full.Drive) != w.Far.ID() {
			t.Errorf("receipt: %+v", full)
		}
		w.Use(w.Near)
		if again, err := flush.Receipts(kept, 0); err != nil || len(again) != 1 {
			t.Errorf("receipts: %+v, %v", again, err)
		}
		w.Flush()
		w.Equal()
	})
}

// stranger is a service with another drive behind it.
type stranger struct {
	graph.Service
	drive graph.DriveID
	root  graph.ItemID
}

func (s *stranger) Drive(ctx context.Context) (graph.Drive, error) {
	d, err := s.Service.Drive(ctx)
	if s.drive != "" {
		d.ID = s.drive
	}
	return d, err
}

func (s *stranger) Root(ctx context.Context) (graph.Item, error) {
	i, err := s.Service.Root(ctx)
	if s.root != "" {
		i.ID = s.root
	}
	return i, err
}

func TestNothingIsSentToAnotherDrive(t *testing.T) {
	for _, s := range []*stranger{{drive: "b!OTHER"}, {root: "01OTHER"}} {
		in(t, nil, func(t *testing.T, w *simtest.World) {
			s.Service = w.Near
			w.Use(s)
			must(t, w.Write("/a.txt", []byte("mine")))
			w.Server.ResetCounts()
			_, err := w.Engine.Flush(t.Context(), flush.Request{})
			if !errors.Is(err, flush.ErrOtherDrive) || w.Server.Counts().Writes > 0 {
				t.Errorf("%v, %d writes", err, w.Server.Counts().Writes)
			}
			w.Use(w.Near)
			w.Flush()
			w.Equal()
		})
	}
}

func TestASecondFlushJoinsTheFirstAndSendsWhatCameBetween(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.bin", simtest.Data("a", 900<<10)))
		var once sync.Once
		second := make(chan flush.Result, 1)
		heard := false
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if r.Method == http.MethodPut {
				once.Do(func() {
					must(t, w.Write("/b.txt", []byte("later")))
					go func() {
						res, err := w.Engine.Flush(t.Context(), flush.Request{Progress: func(flush.Progress) { heard = true }})
						if err != nil {
							t.Error(err)
						}
						second <- res
					}()
					synctest.Wait()
				})
			}
			return under.RoundTrip(r)
		})
		first, err := w.Engine.Flush(t.Context(), flush.Request{})
		must(t, err)
		joined := <-second
		if first.Drives[0].Sent != 2 || joined.Drives[0].File != first.Drives[0].File || !heard {
			t.Errorf("first %+v, second %+v, heard %v", first, joined, heard)
		}
		w.Equal()
	})
}

func TestWhoeverLeavesAJoinedFlushDoesNotEndIt(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.txt", []byte("mine")))
		ctx, cancel := context.WithCancel(t.Context())
		var once sync.Once
		ended := make(chan error, 1)
		second := make(chan flush.Result, 1)
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if r.Method == http.MethodPost {
				once.Do(func() {
					go func() {
						res, err := w.Engine.Flush(t.Context(), flush.Request{})
						if err != nil {
							t.Error(err)
						}
						second <- res
					}()
					synctest.Wait()
					cancel()
					synctest.Wait()
				})
			}
			return under.RoundTrip(r)
		})
		go func() {
			_, err := w.Engine.Flush(ctx, flush.Request{})
			ended <- err
		}()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the first: %v", err)
		}
		if r := <-second; r.Drives[0].Sent != 1 {
			t.Errorf("the second: %+v", r)
		}
		w.Equal()
	})
}

func TestLimitsLeaveTheRestForTheNextFlush(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *simtest.World) {
			with(w, flush.Options{Limits: flush.Limits{Bytes: 1000}, Parallel: 1})
			for i := range 5 {
				must(t, w.Write(fmt.Sprintf("/%d", i), simtest.Data("x", 600+i)))
			}
			must(t, w.Mkdir("/d"))
			var got []int
			for range 3 {
				r := w.Flush()
				got = append(got, r.Sent, r.Over)
			}
			if want := []int{3, 3, 2, 1, 1, 0}; !slices.Equal(got, want) {
				t.Errorf("sent and left: %v, want %v", got, want)
			}
			w.Equal()
		})
	})
	t.Run("time", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *simtest.World) {
			with(w, flush.Options{Limits: flush.Limits{Time: time.Minute}, Parallel: 1})
			must(t, w.Write("/a.bin", simtest.Data("a", 900<<10)), w.Write("/b.bin", simtest.Data("b", 1900<<10)))
			w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
				if r.Method == http.MethodPut {
					time.Sleep(25 * time.Second)
				}
				return under.RoundTrip(r)
			})
			r := w.Flush()
			if r.Over == 0 || r.Error != "" || r.Left == 0 {
				t.Errorf("flush: %+v", r)
			}
			w.Between(nil)
			for w.Flush().Left > 0 {
			}
			w.Equal()
		})
	})
	t.Run("rate", func(t *testing.T) {
		in(t, nil, func(t *testing.T, w *simtest.World) {
			limit, err := schedule.ParseRate("100KiB")
			must(t, err)
			with(w, flush.Options{Limits: flush.Limits{Rate: limit}})
			must(t, w.Write("/a.bin", simtest.Data("a", 1<<20)), w.Write("/b.bin", simtest.Data("b", 1<<20)))
			began := time.Now()
			var rate int64
			var left time.Duration
			_, err = w.Engine.Flush(t.Context(), flush.Request{Progress: func(p flush.Progress) {
				if p.Sent > 0 && 2*p.Sent < p.Bytes {
					rate, left = p.Rate, p.Left
				}
			}})
			must(t, err)
			if took := time.Since(began); took < 19*time.Second || took > 23*time.Second {
				t.Errorf("2 MiB took %v", took)
			}
			if rate < 50<<10 || rate > 200<<10 || left <= 0 {
				t.Errorf("told of %d bytes a second, %v left", rate, left)
			}
			w.Equal()
		})
	})
}

func TestThePauseOutlivesTheEngine(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		w.Engine.Pause()
		w.Use(w.Near)
		if !w.Engine.Status().Paused {
			t.Error("not paused any more")
		}
		w.Engine.Resume()
		w.Use(w.Near)
		if w.Engine.Status().Paused {
			t.Error("still paused")
		}
		if at := w.Engine.Status().Drives[0].LastRefresh; at.IsZero() {
			t.Error("the last refresh is forgotten")
		}
	})
}

func TestTheEndOfRunNotesWhenTheDriveWasReached(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		w.Use(w.Near)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Engine.Run(ctx) }()
		time.Sleep(20 * time.Minute)
		_, err := w.Engine.Refresh(t.Context())
		must(t, err)
		time.Sleep(time.Minute)
		reached := w.Engine.Status().Drives[0].LastRefresh
		cancel()
		must(t, <-ended)
		w.Use(w.Near)
		if at := w.Engine.Status().Drives[0].LastRefresh; !at.Equal(reached) {
			t.Errorf("reached at %v, noted %v", reached, at)
		}
	})
}

func TestAFlushStartsWhenNothingWasChangedForAWhile(t *testing.T) {
	running(t, flush.Options{After: 10 * time.Minute, Poll: time.Hour}, func(t *testing.T, w *simtest.World) {
		for i := range 5 {
			// Files have the machine's time, not that of the bubble, so what is new tells.
			must(t, w.Write(fmt.Sprintf("/%d.txt", i), []byte("x")))
			time.Sleep(8 * time.Minute)
			if pending(w) != i+1 {
				t.Error("sent too early")
			}
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if pending(w) != 0 {
			t.Error("not sent")
		}
		w.Server.ResetCounts()
		time.Sleep(30 * time.Minute)
		if n := w.Server.Counts().Writes; n > 0 {
			t.Errorf("%d writes though nothing changed", n)
		}
		w.Equal()
	})
}

func TestAPersonHearsOnceOfWhatBegins(t *testing.T) {
	var mu sync.Mutex
	var kinds []flush.NoticeKind
	o := flush.Options{After: time.Minute, Poll: 5 * time.Minute, Notify: func(n flush.Notice) {
		mu.Lock()
		defer mu.Unlock()
		kinds = append(kinds, n.Kind)
	}}
	heard := func() []flush.NoticeKind {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		got := kinds
		kinds = nil
		return got
	}
	running(t, o, func(t *testing.T, w *simtest.World) {
		w.Server.SetOffline(true)
		time.Sleep(time.Hour)
		if got := heard(); len(got) > 0 {
			t.Errorf("offline with nothing to send: %v", got)
		}
		must(t, w.Write("/a.txt", []byte("mine")))
		time.Sleep(time.Hour)
		if got := heard(); !slices.Equal(got, []flush.NoticeKind{flush.NoticeOffline}) {
			t.Errorf("offline: %v", got)
		}
		w.Server.SetOffline(false)
		time.Sleep(time.Hour)
		if got := heard(); !slices.Equal(got, []flush.NoticeKind{flush.NoticeBack}) {
			t.Errorf("back: %v", got)
		}
		must(t, w.Far.Lock("/a.txt", 0), w.Write("/a.txt", []byte("mine 2")))
		time.Sleep(3 * time.Hour)
		if got := heard(); !slices.Equal(got, []flush.NoticeKind{flush.NoticeDeferred}) {
			t.Errorf("deferred: %v", got)
		}
		must(t, w.Far.Lock("/a.txt", -1))
	})
}

func TestWhatIsRefusedForDaysIsOfferedAsACopy(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/a.docx", "base") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Far.Lock("/a.docx", 0), w.Write("/a.docx", []byte("mine")))
		w.Flush()
		w.Skip(2 * 24 * time.Hour)
		w.Flush()
		if list, err := w.Engine.Conflicts(); err != nil || len(list) > 0 {
			t.Errorf("too early: %+v, %v", list, err)
		}
		w.Skip(2 * 24 * time.Hour)
		w.Flush()
		w.Flush()
		list, err := w.Engine.Conflicts()
		must(t, err)
		if len(list) != 1 || list[0].Kind != "stuck" || list[0].Path != "/a.docx" {
			t.Fatalf("offered: %+v", list)
		}
		must(t, w.Engine.Resolve(t.Context(), flush.Path{Drive: w.Num, Path: "/a.docx"}, cache.KeepBoth))
		w.Flush()
		w.Equal()
		if list, err := w.Engine.Conflicts(); err != nil || len(list) != 1 || list[0].Kind != "conflict" {
			t.Errorf("afterwards: %+v, %v", list, err)
		}
		must(t, w.Far.Lock("/a.docx", -1))
	})
}

func TestAFileThatBecameEmptyIsHeldBack(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "precious") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/tmp-save", nil), w.Move("/tmp-save", "/a.txt")) // a save on a full disk
		r, err := w.Engine.Flush(t.Context(), flush.Request{})
		must(t, err)
		if d := r.Drives[0]; d.Emptied != 1 || d.Sent != 0 || !r.InPart() || d.Left != 1 {
			t.Errorf("flush: %+v", d)
		}
		if got := w.There()["/a.txt"]; got != "precious" {
			t.Errorf("there: %q", got)
		}
		r, err = w.Engine.Flush(t.Context(), flush.Request{AllowDeletes: true})
		must(t, err)
		if d := r.Drives[0]; d.Emptied != 0 || d.Sent != 1 {
			t.Errorf("confirmed: %+v", d)
		}
		w.Equal()
	})
}

func TestADryRunTellsWhatItCosts(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/d/1", "1"); put(t, d, "/d/2", "2") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Remove("/d"), w.Write("/a.bin", simtest.Data("x", 40<<20)))
		r, err := w.Engine.Flush(t.Context(), flush.Request{DryRun: true})
		must(t, err)
		p := r.Drives[0].Plan
		if p.Requests != 7 || p.Units != 6 || p.Time < 10*time.Second || p.Time > time.Minute || p.Steps[1].Items != 3 {
			t.Errorf("%+v", p)
		}
	})
}

func TestBytesOverwrittenUnseenComeBackAsACopy(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/a.bin", "base") }, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.bin", simtest.Data("mine", 100<<10)))
		var once sync.Once
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if r.Method == http.MethodPut {
				once.Do(func() { put(t, w.Far, "/a.bin", "theirs, unseen") })
			}
			return under.RoundTrip(r)
		})
		w.Flush()
		w.Between(nil)
		w.Flush()
		w.Equal()
		found := ""
		for p, data := range w.There() {
			if data == "theirs, unseen" {
				found = p
			}
		}
		if !strings.HasPrefix(found, "/a (conflict ") || len(w.There()) != 2 {
			t.Errorf("there: %d files, theirs at %q", len(w.There()), found)
		}
		list, err := w.Engine.Conflicts()
		must(t, err)
		if len(list) != 1 || list[0].Kind != "overwritten" || list[0].Path != found || list[0].Other != "/a.bin" {
			t.Fatalf("conflicts: %+v", list)
		}
		must(t, w.Engine.Resolve(t.Context(), flush.Path{Drive: w.Num, Path: found}, cache.Theirs))
		w.Flush()
		w.Equal()
		if got := w.There(); len(got) != 1 || got["/a.bin"] != "theirs, unseen" {
			t.Errorf("there: %d files", len(got))
		}
	})
}

// The same, and a writer breaks the upload off when its last bytes have got through.
func TestBytesOverwrittenUnseenComeBackThoughAWriterMetTheUpload(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.bin", []byte("base")))
		w.Flush()
		time.Sleep(time.Hour)
		must(t, w.Write("/a.bin", simtest.Data("mine", 100<<10)))
		var once sync.Once
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if r.Method != http.MethodPut {
				return under.RoundTrip(r)
			}
			once.Do(func() { put(t, w.Far, "/a.bin", "theirs, unseen") })
			answer, err := under.RoundTrip(r)
			must(t, w.Write("/a.bin", []byte("mine, newer")))
			return answer, err
		})
		w.Flush()
		w.Between(nil)
		w.Flush()
		w.Equal()
		got := w.There()
		theirs := 0
		for _, data := range got {
			if data == "theirs, unseen" {
				theirs++
			}
		}
		if len(got) != 2 || theirs != 1 || got["/a.bin"] != "mine, newer" {
			t.Errorf("there: %d files, %d times theirs, %.20q", len(got), theirs, got["/a.bin"])
		}
	})
}

// The same, and the process dies before it has taken the answer in.
func TestBytesOverwrittenUnseenComeBackAfterADeathToo(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.bin", []byte("base")))
		w.Flush()
		time.Sleep(time.Hour)
		must(t, w.Write("/a.bin", simtest.Data("mine", 100<<10)))
		kept := filepath.Join(simtest.Folder(t), "kept")
		died := false
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if died {
				return nil, errors.New("the process is dead")
			}
			if r.Method != http.MethodPut {
				return under.RoundTrip(r)
			}
			put(t, w.Far, "/a.bin", "theirs, unseen")
			answer, err := under.RoundTrip(r)
			must(t, err)
			answer.Body.Close()
			died = true
			w.Keep(kept)
			return nil, errors.New("the process is dead")
		})
		_, _ = w.Engine.Flush(t.Context(), flush.Request{})
		w.Between(nil)
		if !died {
			t.Fatal("nothing was sent")
		}
		w.Open(kept)
		w.Flush()
		w.Flush()
		w.Equal()
		got := w.There()
		theirs := 0
		for _, data := range got {
			if data == "theirs, unseen" {
				theirs++
			}
		}
		if len(got) != 2 || theirs != 1 || got["/a.bin"] != string(simtest.Data("mine", 100<<10)) {
			t.Errorf("there: %d files, %d times theirs", len(got), theirs)
		}
		w.Quiet()
	})
}

func TestAfterALongGapEveryItemIsLookedAt(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "base") }, func(t *testing.T, w *simtest.World) {
		looks := func() int {
			must(t, w.Write("/a.txt", []byte(time.Now().String())))
			time.Sleep(time.Second)
			w.Server.ResetCounts()
			w.Flush()
			return w.Server.Counts().Of(graphtest.OpItem)
		}
		usual := looks()
		w.Skip(25 * time.Hour)
		w.Use(w.Near)
		if got := looks(); got <= usual {
			t.Errorf("%d looks at items, usually %d", got, usual)
		}
		if got := looks(); got != usual {
			t.Errorf("soon afterwards %d looks at items, usually %d", got, usual)
		}
		w.Equal()
	})
}

// library is a drive whose files are checked out by who uploads them.
type library struct {
	graph.Service
	mu     sync.Mutex
	out    bool
	asked  int
	ins    []graph.ItemID
	refuse error
}

func (l *library) Drive(ctx context.Context) (graph.Drive, error) {
	d, err := l.Service.Drive(ctx)
	d.Type = "documentLibrary"
	return d, err
}

func (l *library) CheckedOut(context.Context, graph.ItemID) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.out, nil
}

func (l *library) CheckIn(_ context.Context, id graph.ItemID, _ string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ins = append(l.ins, id)
	return l.refuse
}

func TestWhatALibraryHoldsCheckedOutIsCheckedIn(t *testing.T) {
	for _, out := range []bool{true, false} {
		in(t, nil, func(t *testing.T, w *simtest.World) {
			l := &library{Service: w.Near, out: out}
			w.Near = l
			w.Options.Parallel = 1
			w.Use(l)
			for i := range 3 {
				must(t, w.Write(fmt.Sprintf("/%d", i), []byte("x")))
			}
			if r := w.Flush(); r.Sent != 3 {
				t.Errorf("flush: %+v", r)
			}
			if want := map[bool]int{true: 3, false: 0}[out]; len(l.ins) != want {
				t.Errorf("%d checked in, want %d", len(l.ins), want)
			}
			if want := map[bool]int{true: 3, false: 1}[out]; l.asked != want {
				t.Errorf("asked %d times, want %d", l.asked, want)
			}
			l.refuse = &graph.Error{Op: "check in", Kind: graph.Invalid, Message: "a column must be filled in"}
			if !out {
				return
			}
			must(t, w.Write("/more", []byte("x")))
			r := w.Flush()
			if s := r.Receipt.Steps[0]; r.Sent != 1 || r.Deferred != 1 || !strings.Contains(s.Reason, "column must be filled in") {
				t.Errorf("refused: %+v", r)
			}
			// It stays in the list of what was refused until it is checked in, by a later flush or by somebody there.
			w.Use(l)
			if d := w.Engine.Status().Drives[0].Pending.Deferred; len(d) != 1 || d[0].Path != "/more" || !strings.Contains(d[0].Reason, "others do not see it") {
				t.Errorf("not visible to others: %+v", d)
			}
			if r := w.Flush(); r.Sent != 0 || r.Deferred != 1 || r.Receipt == nil {
				t.Errorf("refused again: %+v", r)
			}
			l.refuse = nil
			if r := w.Flush(); r.Sent != 1 || r.Deferred != 0 {
				t.Errorf("checked in at last: %+v", r)
			}
			if d := w.Engine.Status().Drives[0].Pending.Deferred; len(d) != 0 {
				t.Errorf("still told: %+v", d)
			}
			w.Quiet()
		})
	}
}

func TestReceiptsReadAsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/RECEIPTS.md")
	must(t, err)
	_, example, ok := strings.Cut(string(text), "```json\n")
	if !ok {
		t.Fatal("no example")
	}
	example, _, _ = strings.Cut(example, "```")
	d := json.NewDecoder(strings.NewReader(example))
	d.DisallowUnknownFields()
	var r flush.Receipt
	must(t, d.Decode(&r))
	if r.Schema != flush.ReceiptSchema || len(r.Items) == 0 || r.Totals.Sent == 0 {
		t.Errorf("%+v", r)
	}
}

// slowly makes each write of a world take a time.
func slowly(w *simtest.World, d time.Duration) {
	w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPut || r.Method == http.MethodPost {
			time.Sleep(d)
		}
		return under.RoundTrip(r)
	})
}

// heard is what somebody was told while a flush ran.
type heard struct {
	mu  sync.Mutex
	all []flush.Progress
}

func (h *heard) hear(p flush.Progress) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, p)
}

// of returns what was told of a phase.
func (h *heard) of(phase string) []flush.Progress {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.all), func(p flush.Progress) bool { return p.Phase != phase })
}

func TestAFlushBehindOneOfTheScheduleSaysSoAndThenRuns(t *testing.T) {
	running(t, flush.Options{After: 2 * time.Minute, Poll: time.Hour, Guard: plan.Guard{Max: 1, Min: 1000, Percent: 100}}, func(t *testing.T, w *simtest.World) {
		put(t, w.Far, "/x", "x")
		put(t, w.Far, "/y", "y")
		w.Refresh()
		must(t, w.Remove("/x"), w.Remove("/y"), w.Write("/a.txt", []byte("a")))
		slowly(w, 30*time.Second)
		for w.Engine.Status().Drives[0].Progress == nil {
			time.Sleep(time.Second)
		}
		var h heard
		began := time.Now()
		var first time.Duration
		res, err := w.Engine.Flush(t.Context(), flush.Request{AllowDeletes: true, Progress: func(p flush.Progress) {
			if first == 0 {
				first = time.Since(began) + 1
			}
			h.hear(p)
		}})
		must(t, err)
		waits := h.of("wait")
		if first > time.Second || len(waits) < 20 {
			t.Fatalf("first word after %v, %d in all", first, len(waits))
		}
		if p := waits[len(waits)-1]; p.Pause != "waiting for the flush that runs" || p.Steps != 1 || p.Bytes != 1 {
			t.Errorf("it says %+v", p)
		}
		// The one of the schedule has held the deletions back; this one has not.
		if d := res.Drives[0]; d.Sent != 2 || d.Guarded != 0 || d.Left != 0 {
			t.Errorf("flush: %+v", d)
		}
		w.Between(nil)
		w.Equal()
	})
}

func TestWhoJoinsIsToldAtOnceHowFarItIs(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.txt", []byte("a")))
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			time.Sleep(20 * time.Second)
			return under.RoundTrip(r)
		})
		ended := make(chan error)
		go func() {
			_, err := w.Engine.Flush(t.Context(), flush.Request{})
			ended <- err
		}()
		time.Sleep(time.Second) // it looks for remote changes, which takes a while
		var h heard
		go func() {
			_, err := w.Engine.Flush(t.Context(), flush.Request{Progress: h.hear})
			ended <- err
		}()
		synctest.Wait()
		if got := h.of("refresh"); len(got) != 1 {
			t.Errorf("told %+v", got)
		}
		must(t, <-ended, <-ended)
		w.Equal()
	})
}

func TestWhoGoesBeforeTheEndHasAResult(t *testing.T) {
	begin := func(w *simtest.World, ctx context.Context, r flush.Request) chan flush.Result {
		res := make(chan flush.Result, 1)
		go func() {
			got, _ := w.Engine.Flush(ctx, r)
			res <- got
		}()
		synctest.Wait()
		return res
	}
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.txt", []byte("a")), w.Write("/b.txt", []byte("b")))
		slowly(w, 20*time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		stays := begin(w, t.Context(), flush.Request{})
		for what, r := range map[string]flush.Request{"joined": {}, "waiting": {AllowDeletes: true}} {
			goes := begin(w, ctx, r)
			time.AfterFunc(time.Second, cancel)
			got := <-goes
			if len(got.Drives) != 1 {
				t.Fatalf("%s: %+v", what, got)
			}
			if d := got.Drives[0]; d.Drive != w.Num || d.Name == "" || d.Left != 2 || !strings.HasPrefix(d.Error, "it was interrupted") {
				t.Errorf("%s: %+v", what, d)
			}
			ctx, cancel = context.WithCancel(t.Context())
		}
		cancel()
		if got := (<-stays).Drives[0]; got.Sent != 2 || got.Error != "" {
			t.Errorf("the one that stays: %+v", got)
		}
		w.Equal()
	})
}

func TestADryRunKnowsTheLimits(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		limit, err := schedule.ParseRate("100KiB")
		must(t, err)
		with(w, flush.Options{Limits: flush.Limits{Bytes: 1 << 20, Rate: limit}, Parallel: 1})
		for i := range 3 {
			must(t, w.Write(fmt.Sprintf("/%d", i), simtest.Data("x", 2<<20)))
		}
		r, err := w.Engine.Flush(t.Context(), flush.Request{DryRun: true})
		must(t, err)
		d := r.Drives[0]
		if d.Over != 2 || d.Plan.Over != 2 || len(d.Plan.Steps) != 1 || d.Plan.Bytes != 2<<20 || !r.InPart() {
			t.Errorf("dry run: %+v, %+v", d, d.Plan)
		}
		began := time.Now()
		if d := w.Flush(); d.Sent != 1 || d.Over != 2 {
			t.Errorf("flush: %+v", d)
		}
		if took := time.Since(began); took < d.Plan.Time/2 || took > 2*d.Plan.Time {
			t.Errorf("it takes %v, not %v", took, d.Plan.Time)
		}
	})
}
