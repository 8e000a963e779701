package rest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// listen hears the notices of the drive until stop is called.
func (w *world) listen() (heard *atomic.Int64, stop func() error) {
	ctx, cancel := context.WithCancel(w.ctx())
	heard = &atomic.Int64{}
	done := make(chan error, 1)
	go func() { done <- w.near.Notices(ctx, func() { heard.Add(1) }) }()
	synctest.Wait()
	return heard, func() error {
		cancel()
		err := <-done
		synctest.Wait()
		return err
	}
}

func TestNoticesComeAtOnce(t *testing.T) {
	for name, quirks := range map[string]graphtest.Quirks{
		"usual": {}, "objects": {EventObjects: true}, "at the root": {EventsAtRoot: true},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := 0
			in(t, graphtest.Options{}, func(o *rest.Options) {
				inner := o.Transport
				o.StorageTransport = carrier(func(r *http.Request) (*http.Response, error) {
					if r.Header.Get("Authorization") != "" {
						tokens++
					}
					return inner.RoundTrip(r)
				})
			}, func(w *world) {
				w.SetQuirks(quirks)
				heard, stop := w.listen()
				if n := heard.Load(); n != 1 {
					t.Errorf("told %d times at first, want once", n)
				}
				began := time.Now()
				for n := range int64(3) {
					w.put("/f", noise(10, uint64(n)))
					synctest.Wait()
					if got := heard.Load(); got != n+2 {
						t.Errorf("told %d times after %d changes", got, n+1)
					}
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("took %v", took)
				}
				time.Sleep(10 * time.Minute) // pings are answered, or the service hangs up
				if got := heard.Load(); got != 4 || w.Sockets() != 1 {
					t.Errorf("told %d times, %d connections", got, w.Sockets())
				}
				if err := stop(); !errors.Is(err, context.Canceled) {
					t.Errorf("ended with %v", err)
				}
				if w.Sockets() != 0 || tokens > 0 {
					t.Errorf("%d connections are left, %d tokens were sent", w.Sockets(), tokens)
				}
			})
		})
	}
}

func TestNoticesGoOnWhenConnectionsBreak(t *testing.T) {
	simply(t, func(w *world) {
		heard, stop := w.listen()
		for n := range int64(5) {
			w.DropSockets()
			time.Sleep(2 * time.Minute)
			if got := heard.Load(); got != n+2 || w.Sockets() != 1 { // what came meanwhile may have been missed
				t.Errorf("told %d times after %d breaks, %d connections", got, n+1, w.Sockets())
			}
		}
		w.put("/f", nil)
		synctest.Wait()
		if got := heard.Load(); got != 7 {
			t.Errorf("told %d times", got)
		}
		w.SetOffline(true)
		w.DropSockets()
		time.Sleep(time.Hour)
		w.ResetCounts()
		time.Sleep(10 * time.Minute)
		if n := w.Counts().Of(graphtest.OpSocket); n > 60 {
			t.Errorf("offline it asked %d times in ten minutes", n)
		}
		w.SetOffline(false)
		time.Sleep(3 * time.Minute)
		if w.Sockets() != 1 {
			t.Error("it has not come back")
		}
		_ = stop()
	})
}

func TestAnAddressForNoticesIsRenewedBeforeItEnds(t *testing.T) {
	in(t, graphtest.Options{SocketLife: time.Hour}, func(o *rest.Options) {}, func(w *world) {
		heard, stop := w.listen()
		time.Sleep(57 * time.Minute)
		if n := heard.Load(); n != 1 {
			t.Errorf("told %d times", n)
		}
		time.Sleep(2 * time.Minute)
		if n := heard.Load(); n != 2 || w.Sockets() != 1 {
			t.Errorf("told %d times, %d connections", n, w.Sockets())
		}
		time.Sleep(24 * time.Hour)
		if n := heard.Load(); n < 25 || n > 28 || w.Sockets() != 1 {
			t.Errorf("told %d times in a day, %d connections", n, w.Sockets())
		}
		_ = stop()
	})
	// One that hardly lives costs no more than one that breaks.
	in(t, graphtest.Options{SocketLife: time.Second}, func(o *rest.Options) {}, func(w *world) {
		heard, stop := w.listen()
		time.Sleep(time.Hour)
		if n := heard.Load(); n > 200 {
			t.Errorf("told %d times", n)
		}
		_ = stop()
	})
}

func TestWhereThereAreNoNoticesIsSaid(t *testing.T) {
	simply(t, func(w *world) {
		for want, f := range map[graph.Kind]graphtest.Fault{
			graph.NoNotices: {Status: 400, Code: "notSupported", Message: "Operation not supported"},
			graph.Denied:    {Status: 403},
			graph.NotExist:  {Status: 404, Times: 5},
			graph.SignIn:    {Status: 401, Times: 2},
		} {
			f.Path = "/subscriptions/socketIo"
			w.Inject(f)
			wants(t, w.near.Notices(w.ctx(), func() { t.Error("told of nothing") }), want)
			w.ClearFaults()
		}
	})
}

func TestAnAddressForNoticesMustBeOne(t *testing.T) {
	simply(t, func(w *world) {
		for _, address := range []string{"", "http://" + strings.TrimPrefix(w.StorageURL(), "https://") + "/notifications?token=x", "https://u:p@x.example/", "wss://x.example/n"} {
			w.Inject(graphtest.Fault{Path: "/subscriptions/socketIo", Status: 200, Type: "application/json", Body: `{"notificationUrl":"` + address + `"}`})
		}
		heard, stop := w.listen()
		if heard.Load() > 0 {
			t.Error("listens to nobody")
		}
		time.Sleep(time.Minute)
		if heard.Load() != 1 {
			t.Error("did not come around to a good one")
		}
		_ = stop()
	})
}

// A host that goes silent is left after the time it has promised to be heard in.
func TestASilentHostIsLeft(t *testing.T) {
	var mu sync.Mutex
	var lines []*mutable
	open := func() []*mutable { mu.Lock(); defer mu.Unlock(); return lines }
	in(t, graphtest.Options{}, func(o *rest.Options) {
		inner := o.Transport
		o.StorageTransport = carrier(func(r *http.Request) (*http.Response, error) {
			resp, err := inner.RoundTrip(r)
			if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
				m := &mutable{ReadWriteCloser: resp.Body.(io.ReadWriteCloser), closed: make(chan struct{})}
				mu.Lock()
				lines = append(lines, m)
				mu.Unlock()
				resp.Body = m
			}
			return resp, err
		})
	}, func(w *world) {
		heard, stop := w.listen()
		open()[0].mute.Store(true)
		time.Sleep(84 * time.Second)
		if len(open()) != 1 {
			t.Error("left too early")
		}
		time.Sleep(30 * time.Second)
		if len(open()) != 2 || heard.Load() != 2 {
			t.Errorf("%d connections, told %d times", len(open()), heard.Load())
		}
		_ = stop()
	})
}

// mutable is a connection from which nothing more comes once it is mute.
type mutable struct {
	io.ReadWriteCloser
	mute   atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func (m *mutable) Read(p []byte) (int, error) {
	n, err := m.ReadWriteCloser.Read(p)
	if m.mute.Load() {
		<-m.closed
		return 0, io.EOF
	}
	return n, err
}

func (m *mutable) Close() error {
	m.once.Do(func() { close(m.closed) })
	return m.ReadWriteCloser.Close()
}
