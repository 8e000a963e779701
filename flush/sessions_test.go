package flush_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/schedule"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// breakOff flushes until so many fragments were sent.
func breakOff(t *testing.T, w *simtest.World, fragments int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var sent atomic.Int64
	w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPut && sent.Add(1) >= int64(fragments) {
			stop()
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return under.RoundTrip(r)
	})
	if _, err := w.Engine.Flush(ctx, flush.Request{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a flush that was broken off: %v", err)
	}
	w.Between(nil)
}

func TestAnUploadThatWasBrokenOffIsGoneOnWithByTheNextProcess(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		in(t, func(d *graphtest.Drive) {
			if replaced {
				put(t, d, "/big.bin", "before")
			}
		}, func(t *testing.T, w *simtest.World) {
			must(t, w.Write("/big.bin", simtest.Data("big", 2<<20)))
			breakOff(t, w, 5)
			w.Refresh() // settles what was under way
			w.Use(w.Near)
			must(t, w.Write("/small.txt", []byte("small")))
			if _, err := w.Engine.Flush(t.Context(), flush.Request{Paths: []flush.Path{{Drive: w.Num, Path: "/small.txt"}}}); err != nil {
				t.Fatal(err)
			}
			w.Use(w.Near)
			w.Server.ResetCounts()
			if r := w.Flush(); r.Sent != 1 {
				t.Errorf("flush: %+v", r)
			}
			if n := w.Server.Counts().BytesUp; n > 1<<20 {
				t.Errorf("%d bytes were sent by a flush that went on, of %d", n, 2<<20)
			}
			w.Equal()
			w.Quiet()
		})
	}
}

// What is put at once since its session is refused gets its time by a change of its own: that is another version of ours, and
// nobody else's.
func TestWhatIsPutAtOnceAfterASessionIsNotTakenForSomebodyElses(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/big.bin", "before") }, func(t *testing.T, w *simtest.World) {
		time.Sleep(time.Hour)
		must(t, w.Write("/big.bin", simtest.Data("big", 2<<20)))
		breakOff(t, w, 5)
		w.Server.Inject(graphtest.Fault{Op: graphtest.OpFragment, Status: 401, Code: "unauthenticated"})
		w.Server.Inject(graphtest.Fault{Op: graphtest.OpCreateSession, Status: 409, Code: "nameAlreadyExists", Times: -1})
		w.Server.ResetCounts()
		w.Flush()
		w.Server.ClearFaults()
		if n := w.Server.Counts().Of(graphtest.OpPut, graphtest.OpUpdate); n != 2 {
			t.Errorf("it was not put at once: %d requests", n)
		}
		w.Flush()
		w.Equal()
		if there := w.There(); len(there) != 1 {
			t.Errorf("there are %d files", len(there))
		}
	})
}

func TestAnUploadThatWasBrokenOffDoesNotStandInTheWayOfOtherBytes(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/big.bin", simtest.Data("big", 2<<20)), w.Write("/gone.bin", simtest.Data("gone", 2<<20)))
		breakOff(t, w, 5)
		w.Refresh()
		w.Use(w.Near)
		must(t, w.Write("/big.bin", simtest.Data("new", 2<<20)), w.Remove("/gone.bin"))
		w.Server.ResetCounts()
		if r := w.Flush(); r.Sent != 1 || r.Deferred > 0 {
			t.Errorf("flush: %+v, %+v", r, r.Receipt)
		}
		if n := w.Server.Counts().Of(graphtest.OpPut); n > 0 {
			t.Errorf("%d files were put without a session", n)
		}
		w.Equal()
	})
}

func TestProgressIsToldInTheMiddleOfAFragmentToo(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		rate, err := schedule.ParseRate("100kB")
		must(t, err, w.Write("/small.txt", []byte("s")), w.Write("/big.bin", simtest.Data("big", 960<<10)))
		with(w, flush.Options{Limits: flush.Limits{Rate: rate}})
		steps, last := 0, int64(0)
		_, err = w.Engine.Flush(t.Context(), flush.Request{Progress: func(p flush.Progress) {
			if p.Sent < last {
				t.Errorf("%d bytes were sent, and before %d", p.Sent, last)
			}
			if p.Sent > last {
				steps, last = steps+1, p.Sent
			}
			if p.Left > time.Hour {
				t.Errorf("%v are said to be left of ten seconds", p.Left)
			}
		}})
		must(t, err)
		if steps < 9 || last != 960<<10+1 {
			t.Errorf("heard of %d steps to %d bytes in ten seconds", steps, last)
		}
		w.Equal()
	})
}

func TestADeadlineCountsByTheClockOnTheWall(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		rate, err := schedule.ParseRate("1kB")
		must(t, err, w.Write("/big.bin", simtest.Data("big", 960<<10)))
		until, err := schedule.Parse("07:30")
		must(t, err)
		with(w, flush.Options{Limits: flush.Limits{Rate: rate, Until: until.In(time.UTC)}})
		go func() {
			time.Sleep(time.Minute)
			w.Skip(8 * time.Hour) // the lid was closed
		}()
		began := time.Now()
		res, err := w.Engine.Flush(t.Context(), flush.Request{})
		if took := time.Since(began); err != nil || res.Drives[0].Over != 1 || took > 3*time.Minute {
			t.Errorf("%+v, %v after %v", res, err, took)
		}
		with(w, flush.Options{})
		w.Flush()
		w.Equal()
	})
}

func TestWhoDoesNotListenHoldsUpNobody(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		for i := range 200 {
			must(t, w.Write(fmt.Sprintf("/%d.txt", i), []byte("x")))
		}
		stopped, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			res, err := w.Engine.Flush(t.Context(), flush.Request{Progress: func(flush.Progress) { <-stopped }})
			if err != nil || res.Drives[0].Sent != 200 {
				t.Errorf("%+v, %v", res, err)
			}
		}()
		synctest.Wait()
		last := flush.Progress{}
		res, err := w.Engine.Flush(t.Context(), flush.Request{Progress: func(p flush.Progress) { last = p }})
		if err != nil || res.Drives[0].Left != 0 || last.Phase != "done" {
			t.Errorf("%+v, %v, heard last of %+v", res, err, last)
		}
		close(stopped)
		<-ended
		w.Equal()
	})
}
