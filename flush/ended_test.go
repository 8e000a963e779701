package flush_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
)

// Why the last flush ended early counts as long as something is pending and no flush of the whole drive has ended well since.
func TestAFlushThatEndedEarlyIsOverSomeTime(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		with(w, flush.Options{Parallel: 1})
		early := func(ctx context.Context, end func()) flush.DriveStatus {
			must(t, w.Write("/a.txt", []byte("a")), w.Write("/b.txt", []byte("bb")))
			sent := 0
			w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
				if r.Method == http.MethodPut {
					if sent++; sent == 2 {
						end()
					}
				}
				return under.RoundTrip(r)
			})
			if _, err := w.Engine.Flush(ctx, flush.Request{}); err == nil {
				t.Error("it did not end early")
			}
			w.Between(nil)
			w.Server.SetOffline(false)
			return w.Engine.Status().Drives[0]
		}
		over := func(when string) {
			t.Helper()
			if s := w.Engine.Status().Drives[0]; s.FlushError != "" || s.Interrupted {
				t.Errorf("%s: %q, interrupted: %v", when, s.FlushError, s.Interrupted)
			}
		}
		all := flush.Path{Drive: w.Num, Path: "/"}

		ctx, cancel := context.WithCancel(t.Context())
		if s := early(ctx, func() { cancel(); synctest.Wait() }); !s.Interrupted || s.FlushError != "" || s.Pending.Items != 1 {
			t.Errorf("interrupted: %+v", s)
		}
		w.Use(w.Near)
		if s := w.Engine.Status().Drives[0]; !s.Interrupted {
			t.Error("after a restart nobody knows that it was interrupted")
		}
		w.Flush()
		over("everything was sent")

		must(t, w.Remove("/a.txt"), w.Remove("/b.txt"))
		w.Flush()
		failed := func() {
			t.Helper()
			if s := early(t.Context(), func() { w.Server.SetOffline(true) }); s.Interrupted || !strings.Contains(s.FlushError, string(graph.Offline)) {
				t.Errorf("offline: %+v", s)
			}
		}
		failed()
		_, err := w.Engine.Discard(t.Context(), false, all)
		must(t, err)
		over("the rest was given up")
		must(t, w.Write("/c.txt", []byte("c")))
		if s := w.Engine.Status().Drives[0]; s.FlushError == "" {
			t.Error("no flush was since, and the error is gone")
		}
		_, err = w.Engine.Discard(t.Context(), false, all)
		must(t, err)
		_, err = w.Engine.Flush(t.Context(), flush.Request{DryRun: true})
		must(t, err)
		must(t, w.Write("/c.txt", []byte("c")))
		if s := w.Engine.Status().Drives[0]; s.FlushError == "" {
			t.Error("only a dry run was since, and the error is gone")
		}
		_, err = w.Engine.Discard(t.Context(), false, all)
		must(t, err)
		if r := w.Flush(); r.Sent != 0 || r.Receipt != nil {
			t.Errorf("something was sent: %+v", r)
		}
		must(t, w.Write("/c.txt", []byte("c")))
		over("a flush had nothing to send")

		must(t, w.Remove("/a.txt"), w.Remove("/c.txt"))
		w.Flush()
		failed()
		w.Flush()
		w.Equal()
	})
}
