package flush_test

import (
	"context"
	"errors"
	"fmt"
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

// running runs a test beside an engine's Run, which must end when it is told to. Bubbles begin at
// midnight UTC on 2000-01-01.
func running(t *testing.T, o flush.Options, f func(t *testing.T, w *simtest.World)) {
	t.Helper()
	runningWith(t, o, func(s graph.Service) graph.Service { return s }, f)
}

func runningWith(t *testing.T, o flush.Options, as func(graph.Service) graph.Service, f func(t *testing.T, w *simtest.World)) {
	t.Helper()
	in(t, nil, func(t *testing.T, w *simtest.World) {
		w.Options = o
		w.Use(as(w.Near))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Engine.Run(ctx) }()
		synctest.Wait()
		f(t, w)
		w.Server.SetOffline(false)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := w.Engine.Flush(t.Context(), flush.Request{}); !errors.Is(err, flush.ErrStopped) {
			t.Errorf("Flush after Run: %v", err)
		}
		if _, err := w.Engine.Refresh(t.Context()); !errors.Is(err, flush.ErrStopped) {
			t.Errorf("Refresh after Run: %v", err)
		}
	})
}

func at18(t *testing.T) flush.Options {
	t.Helper()
	r, err := schedule.Parse("18:00")
	must(t, err)
	return flush.Options{Schedule: r.In(time.UTC), Poll: time.Hour}
}

func pending(w *simtest.World) int { return w.Engine.Status().Drives[0].Pending.Items }

// until sleeps until an hour of the first day of the bubble.
func until(hours float64) {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	time.Sleep(time.Until(start.Add(time.Duration(hours * float64(time.Hour)))))
	synctest.Wait()
}

func TestAFlushStartsAtItsTimeOfDay(t *testing.T) {
	running(t, at18(t), func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.txt", []byte("1")))
		if next := w.Engine.Status().Next; next.Hour() != 18 {
			t.Errorf("next flush at %v", next)
		}
		until(17.99)
		if n := w.Server.Counts().Writes; pending(w) != 1 || n != 0 {
			t.Errorf("%d pending, %d writes before the time", pending(w), n)
		}
		until(18.02)
		if pending(w) != 0 {
			t.Error("still pending after the time")
		}
		w.Equal()
		must(t, w.Write("/b.txt", []byte("2")))
		until(18 + 23.9)
		if pending(w) != 1 {
			t.Error("sent before the next day's time")
		}
		until(18 + 24.1)
		w.Equal()
	})
}

func TestAFlushOfAPathMakesUpForNothingElse(t *testing.T) {
	one := func(t *testing.T, w *simtest.World) {
		t.Helper()
		res, err := w.Engine.Flush(t.Context(), flush.Request{Paths: []flush.Path{{Drive: w.Num, Path: "/a.txt"}}})
		must(t, err)
		full, err := flush.ReadReceipt(w.Dir, res.Drives[0].File)
		if must(t, err); pending(w) != 1 || len(full.Paths) != 1 || full.Paths[0] != "/a.txt" {
			t.Errorf("%d pending after one of two was sent; receipt %+v", pending(w), full)
		}
	}
	t.Run("at", func(t *testing.T) {
		running(t, at18(t), func(t *testing.T, w *simtest.World) {
			w.Engine.Pause()
			must(t, w.Write("/a.txt", []byte("1")), w.Write("/b.txt", []byte("2")))
			until(19)
			one(t, w)
			w.Engine.Resume()
			until(19.1)
			if pending(w) != 0 {
				t.Error("a flush of one file has taken the place of the one at 18:00")
			}
		})
	})
	t.Run("after", func(t *testing.T) {
		running(t, flush.Options{After: 15 * time.Minute, Poll: time.Hour}, func(t *testing.T, w *simtest.World) {
			must(t, w.Write("/a.txt", []byte("1")), w.Write("/b.txt", []byte("2")))
			until(0.1)
			one(t, w)
			until(1)
			if pending(w) != 0 {
				t.Error("a flush of one file keeps the other from being sent")
			}
		})
	})
}

func TestAScheduledFlushThatWasOfflineRunsLater(t *testing.T) {
	for _, poll := range []time.Duration{time.Hour, 12 * time.Hour} {
		o := at18(t)
		o.Poll = poll
		running(t, o, func(t *testing.T, w *simtest.World) {
			must(t, w.Write("/a.txt", []byte("1")))
			w.Server.SetOffline(true)
			until(20)
			s := w.Engine.Status().Drives[0]
			if s.Pending.Items != 1 || s.Kind != graph.Offline {
				t.Errorf("status: %+v", s)
			}
			w.Server.SetOffline(false)
			until(20.25)
			w.Equal()
		})
	}
}

// TestAClockThatIsPutBackKeepsNoFlushAway: all that the program noted by the clock that was ahead is still to come. Nor
// is what no flush sends by itself a reason to flush again and again.
func TestAClockThatIsPutBackKeepsNoFlushAway(t *testing.T) {
	const ahead = 30 * 24 * time.Hour
	few := func(t *testing.T, w *simtest.World) {
		t.Helper()
		if n := pending(w); n != 2 {
			t.Errorf("%d pending", n)
		}
		w.Server.ResetCounts()
		time.Sleep(5 * time.Hour)
		if n := w.Server.Counts().Of(graphtest.OpDelta); n > 0 {
			t.Errorf("the feed was asked %d times for what is held back", n)
		}
	}
	for _, quiet := range []bool{false, true} {
		for _, offline := range []bool{false, true} {
			t.Run(fmt.Sprintf("quiet %v, offline %v", quiet, offline), func(t *testing.T) {
				o := at18(t)
				if quiet {
					o = flush.Options{After: 15 * time.Minute}
				}
				o.Poll, o.Guard = -1, plan.Guard{Max: 1, Min: 1000, Percent: 100}
				running(t, o, func(t *testing.T, w *simtest.World) {
					put(t, w.Far, "/g1.txt", "a")
					put(t, w.Far, "/g2.txt", "b")
					w.Skip(ahead)
					must(t, w.Write("/a.txt", []byte("1")))
					until(18.1)
					if pending(w) != 0 {
						t.Fatal("not sent by the clock that is ahead")
					}
					must(t, w.Remove("/g1.txt"), w.Remove("/g2.txt"), w.Write("/b.txt", []byte("2")))
					if w.Server.SetOffline(offline); offline {
						until(42.1) // by now it was tried, and is to be tried again
					}
					w.Skip(-ahead)
					until(42.2)
					w.Server.SetOffline(false)
					if until(42.9); w.There()["/b.txt"] != "2" {
						t.Error("what was changed by the clock that was ahead is not sent")
					}
					few(t, w)
					must(t, w.Write("/c.txt", []byte("3")))
					if until(66.1); w.There()["/c.txt"] != "3" {
						t.Error("what was changed since is not sent")
					}
					few(t, w)
				})
			})
		}
	}
}

func TestWithNothingPendingTheScheduleAsksForNothing(t *testing.T) {
	o := at18(t)
	o.Poll = -1
	running(t, o, func(t *testing.T, w *simtest.World) {
		w.Server.ResetCounts()
		until(40)
		if c := w.Server.Counts(); c.Reads+c.Writes > 0 {
			t.Errorf("%d requests in a day of nothing", c.Reads+c.Writes)
		}
	})
}

func TestWhatTheGuardHoldsBackIsNotTriedEveryMinute(t *testing.T) {
	o := at18(t)
	o.Poll = -1
	o.Guard = plan.Guard{Max: 1, Min: 1000, Percent: 100}
	running(t, o, func(t *testing.T, w *simtest.World) {
		put(t, w.Far, "/a.txt", "a")
		put(t, w.Far, "/b.txt", "b")
		w.Refresh()
		must(t, w.Remove("/a.txt"), w.Remove("/b.txt"))
		until(17.9)
		w.Server.ResetCounts()
		until(23)
		if n := w.Server.Counts().Of(graphtest.OpDelta); n == 0 || n > 2 {
			t.Errorf("the feed was asked %d times", n)
		}
		if pending(w) != 2 {
			t.Errorf("%d deletions pending", pending(w))
		}
	})
}

func TestNoticesBringRemoteChangesInAtOnce(t *testing.T) {
	running(t, flush.Options{Poll: time.Hour}, func(t *testing.T, w *simtest.World) {
		time.Sleep(time.Minute)
		put(t, w.Far, "/a.txt", "theirs")
		time.Sleep(time.Minute)
		synctest.Wait()
		w.Equal()
	})
}

// TestTheWordOfAChangeMayComeBeforeTheChange: the feed lags behind the notice (Q8), so the poll goes
// on beneath.
func TestTheWordOfAChangeMayComeBeforeTheChange(t *testing.T) {
	running(t, flush.Options{Poll: 5 * time.Minute}, func(t *testing.T, w *simtest.World) {
		time.Sleep(time.Minute)
		w.Server.SetFeedLag(time.Minute)
		put(t, w.Far, "/a.txt", "theirs")
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		w.Equal()
	})
}

func TestPollingBringsRemoteChangesIn(t *testing.T) {
	runningWith(t, flush.Options{Poll: 5 * time.Minute}, func(s graph.Service) graph.Service { return struct{ graph.Service }{s} }, func(t *testing.T, w *simtest.World) {
		put(t, w.Far, "/a.txt", "theirs")
		time.Sleep(4 * time.Minute)
		if len(w.Here()) != 0 {
			t.Error("there before the time")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.Equal()
	})
}

func TestAPauseHoldsWhatStartsByItselfAndNothingElse(t *testing.T) {
	o := at18(t)
	running(t, o, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.txt", []byte("1")))
		w.Engine.Pause()
		until(30)
		if s := w.Engine.Status(); !s.Paused || !s.Next.IsZero() || pending(w) != 1 {
			t.Errorf("status: %+v", s)
		}
		w.Engine.Resume()
		synctest.Wait()
		time.Sleep(time.Minute)
		if pending(w) != 0 {
			t.Error("what was missed has not run")
		}
		w.Engine.Pause()
		must(t, w.Write("/a.txt", []byte("2")))
		w.Flush()
		w.Equal()
	})
}

func TestWantedRefreshesComeSoonAndNotTooOften(t *testing.T) {
	running(t, flush.Options{Poll: time.Hour}, func(t *testing.T, w *simtest.World) {
		put(t, w.Far, "/a.txt", "theirs")
		time.Sleep(time.Minute)
		w.Server.ResetCounts()
		for range 50 {
			w.Engine.Want(w.Num)
			synctest.Wait()
		}
		w.Equal()
		time.Sleep(time.Minute)
		if n := w.Server.Counts().Of(graphtest.OpDelta); n > 3 {
			t.Errorf("the feed was asked %d times", n)
		}
	})
}

func TestTheEndOfRunEndsAFlush(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.bin", simtest.Data("a", 3<<20)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Engine.Run(ctx) }()
		synctest.Wait()
		w.Server.Inject(graphtest.Fault{Op: graphtest.OpFragment, Skip: 2, Delay: graphtest.Duration(30 * time.Second)})
		failed := make(chan error)
		go func() {
			_, err := w.Engine.Flush(t.Context(), flush.Request{})
			failed <- err
		}()
		time.Sleep(time.Second)
		cancel()
		if err := <-failed; !errors.Is(err, flush.ErrStopped) {
			t.Errorf("Flush: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		w.Use(w.Near)
		w.Flush()
		w.Equal()
	})
}

func TestARequestForWhatIsNotThere(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		if _, err := w.Engine.Flush(t.Context(), flush.Request{Drives: []cache.DriveNum{99}}); !errors.Is(err, flush.ErrNoDrive) {
			t.Errorf("Flush: %v", err)
		}
		if _, err := w.Engine.Refresh(t.Context(), 99); !errors.Is(err, flush.ErrNoDrive) {
			t.Errorf("Refresh: %v", err)
		}
		e := flush.New(flush.Options{Store: w.Store, Drives: []flush.Drive{{Num: w.Num, Service: w.Near, ReadOnly: true}}})
		for _, r := range []flush.Request{{}, {Drives: []cache.DriveNum{w.Num}}} {
			if _, err := e.Flush(t.Context(), r); !errors.Is(err, flush.ErrReadOnly) {
				t.Errorf("Flush: %v", err)
			}
		}
	})
}
