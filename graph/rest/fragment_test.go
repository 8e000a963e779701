package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// zeros is a file of nothing, as long as one likes.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// link takes fragments at a speed and forgets them, in place of the storage host.
type link struct {
	inner http.RoundTripper
	speed int64 // bytes a second
	size  int64
	parts []int64
	heap  uint64 // the most in use between fragments
	fail  int    // fragments that fail: how many of the next
}

func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPut {
		return l.inner.RoundTrip(r)
	}
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Duration(n) * time.Second / time.Duration(l.speed))
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	l.heap = max(l.heap, m.HeapInuse)
	var first, last, all int64
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &all); err != nil || n != last-first+1 || all != l.size {
		return nil, fmt.Errorf("odd range %q of %d bytes", r.Header.Get("Content-Range"), n)
	}
	if l.fail > 0 {
		l.fail--
		return nil, io.ErrUnexpectedEOF
	}
	l.parts = append(l.parts, n)
	answer := map[string]any{"nextExpectedRanges": []string{fmt.Sprintf("%d-%d", last+1, all-1)}}
	status := http.StatusAccepted
	if last+1 == all {
		status, answer = http.StatusCreated, map[string]any{"id": "X", "name": "f", "size": all}
	}
	body, err := json.Marshal(answer)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, err
}

func TestFragmentsFollowTheLink(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name        string
		speed, size int64
		want        string // MiB
	}{
		{"fast", 100 * mib, 200 * mib, "10 20 40 59 59 11"},
		{"middling", 2 * mib, 50 * mib, "10 10 10 10 10"},
		{"slow", mib / 4, 20 * mib, "10 5 5"},
		{"small file", 100 * mib, 9 * mib, "9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l *link
			in(t, graphtest.Options{}, func(o *rest.Options) {
				l = &link{inner: o.Transport, speed: c.speed, size: c.size}
				o.StorageTransport, o.Fragment, o.StallTimeout, o.HeaderTimeout = l, 0, time.Hour, time.Hour
			}, func(w *world) {
				_, err := w.near.Upload(w.ctx(), graph.Upload{Parent: w.root(), Name: "f", Size: c.size, Body: zeros{}})
				must(t, err)
				var got []string
				for i, n := range l.parts {
					got = append(got, fmt.Sprint(n/mib))
					if i < len(l.parts)-1 && n%(320<<10) != 0 || n >= 60*mib {
						t.Errorf("fragment of %d bytes", n)
					}
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("fragments of %v MiB, want %s", got, c.want)
				}
			})
		})
	}
	t.Run("that breaks", func(t *testing.T) {
		var l *link
		in(t, graphtest.Options{}, func(o *rest.Options) {
			l = &link{inner: o.Transport, speed: 3 * mib, size: 30 * mib, fail: 3}
			o.StorageTransport, o.Fragment = l, 0
		}, func(w *world) {
			_, err := w.near.Upload(w.ctx(), graph.Upload{Parent: w.root(), Name: "f", Size: l.size, Body: zeros{}})
			must(t, err)
			if l.parts[0] != 5*mib/4 {
				t.Errorf("after three breaks a fragment has %d bytes", l.parts[0])
			}
		})
	})
}

// A file goes from its place on the disk to the network: no size of it is held in memory.
func TestUploadsTakeNoMemory(t *testing.T) {
	size := int64(2 << 30)
	if testing.Short() {
		size = 256 << 20
	}
	var l *link
	in(t, graphtest.Options{}, func(o *rest.Options) {
		l = &link{inner: o.Transport, speed: 1 << 30, size: size}
		o.StorageTransport, o.Fragment = l, 0
	}, func(w *world) {
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := w.near.Upload(w.ctx(), graph.Upload{Parent: w.root(), Name: "f", Size: size, Body: zeros{}})
		must(t, err)
		if grown := int64(l.heap) - int64(before.HeapInuse); grown > 16<<20 {
			t.Errorf("%d MiB more are in use while %d MiB are sent", grown>>20, size>>20)
		}
	})
}

func TestTheLastFragmentMeetsAFullDrive(t *testing.T) {
	for _, replace := range []bool{false, true} {
		simply(t, func(w *world) {
			u := upload(graph.Upload{Parent: w.root(), Name: "f"}, noise(2*fragment, 1))
			if replace {
				i := w.put("/f", []byte("before"))
				u.ID, u.Parent, u.Name, u.Base = i.ID, "", "", i.Version()
			}
			u.Sent = func(int64) { w.far.SetQuota(1000) }
			_, err := w.near.Upload(w.ctx(), u)
			wants(t, err, graph.Full)
			if n := w.OpenSessions(); n > 0 {
				t.Errorf("%d sessions are left open", n)
			}
		})
	}
}

// The credential in a session's address lives for a day, whatever the session does (graph-facts §6.2). The session itself
// may live on, and then holds the file without anybody who could end it.
func TestASessionWhoseCredentialRunsOutIsReplaced(t *testing.T) {
	in(t, graphtest.Options{SessionLife: 72 * time.Hour}, nil, func(w *world) {
		u := upload(graph.Upload{Parent: w.root(), Name: "f"}, noise(3*fragment, 1))
		slow := true
		u.Sent = func(n int64) {
			if slow && n == fragment {
				slow = false
				time.Sleep(25 * time.Hour)
			}
		}
		_, err := w.near.Upload(w.ctx(), u)
		must(t, err)
		w.holds("/f", noise(3*fragment, 1))
		if n := w.Counts().Of(graphtest.OpPut); n != 1 {
			t.Errorf("put %d times", n)
		}
		time.Sleep(100 * time.Hour) // the service drops the first session by itself
		w.Violations()
		w.ClearViolations()
	})
}
