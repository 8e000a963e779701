package rest_test

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// lanes is a storage host that gives each connection so many bytes a second, after a moment.
type lanes struct {
	inner     http.RoundTripper
	speed     int64
	now, most atomic.Int64
}

func (l *lanes) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(50 * time.Millisecond)
	resp, err := l.inner.RoundTrip(r)
	if err == nil && r.Method == http.MethodGet {
		l.most.Store(max(l.most.Load(), l.now.Add(1)))
		resp.Body = &lane{ReadCloser: resp.Body, l: l}
	}
	return resp, err
}

type lane struct {
	io.ReadCloser
	l    *lanes
	over bool
}

func (b *lane) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), 64<<10)])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(b.l.speed))
	return n, err
}

func (b *lane) Close() error {
	if !b.over {
		b.over = true
		b.l.now.Add(-1)
	}
	return b.ReadCloser.Close()
}

const wideSize = 40<<20 + 12_345

func TestALongRangeComesByFourConnections(t *testing.T) {
	var l *lanes
	in(t, graphtest.Options{}, func(o *rest.Options) {
		l = &lanes{inner: o.Transport, speed: 10 << 20}
		o.StorageTransport = l
	}, func(w *world) {
		data := noise(wideSize, 1)
		i := w.put("/big", data)
		began := time.Now()
		got, err := w.read(i, 0, i.Size)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		one := time.Duration(i.Size) * time.Second / time.Duration(l.speed)
		if took := time.Since(began); took > one/2 || l.most.Load() != 4 {
			t.Errorf("took %v, one connection takes %v; %d were open", took, one, l.most.Load())
		}
		l.most.Store(0)
		if _, err := w.read(i, 0, 10<<20); err != nil || l.most.Load() != 1 {
			t.Errorf("a short range took %d connections, %v", l.most.Load(), err)
		}
		asked := w.counted(func() {
			got, err = w.read(i, 1000, 20<<20)
			if err != nil || !bytes.Equal(got, data[1000:1000+20<<20]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}, graphtest.OpItem)
		if asked > 1 {
			t.Errorf("asked %d times where the bytes are", asked)
		}
	})
}

func TestALongRangeGoesOnWhereItBroke(t *testing.T) {
	for name, fault := range map[string]graphtest.Fault{
		"broken":    {Drop: graphtest.DropBody, Truncate: 1 << 20, Times: 5},
		"stalled":   {Stall: graphtest.Duration(time.Hour), Times: 2},
		"throttled": {Status: 429, RetryAfter: 30, Times: 2},
		"expired":   {Status: 401, Times: 2, Skip: 2},
	} {
		t.Run(name, func(t *testing.T) {
			simply(t, func(w *world) {
				data := noise(wideSize, 1)
				i := w.put("/big", data)
				fault.Op = graphtest.OpDownload
				w.Inject(fault)
				got, err := w.read(i, 0, i.Size)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if left := w.ClearFaults(); left > 0 {
					t.Errorf("%d faults were not met", left)
				}
			})
		})
	}
}

func TestALongRangeIsOfOneVersion(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/big", noise(wideSize, 1))
		r, err := w.near.Content(w.ctx(), i.ID, i.Version(), 0, i.Size)
		must(t, err)
		if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		w.put("/big", noise(wideSize, 2))
		_, err = io.Copy(io.Discard, r)
		wants(t, err, graph.Changed)
		must(t, r.Close())
		_, err = w.near.Content(w.ctx(), i.ID, i.Version(), 0, i.Size)
		wants(t, err, graph.Changed)
	})
}

func TestALongRangeThatIsLeftEnds(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/big", noise(wideSize, 1))
		for range 5 {
			r, err := w.near.Content(w.ctx(), i.ID, i.Version(), 0, i.Size)
			must(t, err)
			if _, err := io.ReadFull(r, make([]byte, 5<<20)); err != nil {
				t.Fatal(err)
			}
			must(t, r.Close())
			if _, err := r.Read(make([]byte, 1)); err == nil {
				t.Error("reads on after Close")
			}
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpDownload, Drop: graphtest.DropBefore, Times: -1, Skip: 2})
		_, err := w.read(i, 0, i.Size)
		wants(t, err, graph.Offline)
	})
}

func TestDownloadsTakeNoMemory(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.Logger = nil }, func(w *world) {
		w.must(w.far.PutSeeded("/huge", 1<<30, 5))
		i := w.at("/huge")
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		before, most := m.HeapInuse, uint64(0)
		size := int64(96 << 20)
		r, err := w.near.Content(w.ctx(), i.ID, i.Version(), 0, size)
		must(t, err)
		defer r.Close()
		p := make([]byte, 1<<20)
		for n := 0; n < int(size)>>20; n++ {
			if _, err := io.ReadFull(r, p); err != nil {
				t.Fatal(err)
			}
			if n%16 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}
		if grown := int64(most) - int64(before); grown > 48<<20 {
			t.Errorf("%d MiB more are in use", grown>>20)
		}
	})
}
