package flush_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
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
	w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		res, err := under.RoundTrip(r)
		if r.Method == http.MethodPut {
			if fragments--; fragments == 0 {
				stop()
			}
		}
		return res, err
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
			breakOff(t, w, 4)
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

func TestAnUploadThatWasBrokenOffDoesNotStandInTheWayOfOtherBytes(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/big.bin", simtest.Data("big", 2<<20)), w.Write("/gone.bin", simtest.Data("gone", 2<<20)))
		breakOff(t, w, 4)
		w.Refresh()
		w.Use(w.Near)
		must(t, w.Write("/big.bin", simtest.Data("new", 2<<20)), w.Remove("/gone.bin"))
		w.Server.ResetCounts()
		if r := w.Flush(); r.Sent != 1 || r.Deferred > 0 {
			t.Errorf("flush: %+v", r)
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
