package rest_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// wire takes time for every request, may hide what the service says of its limits, and notes what
// is sent although the service has asked to wait.
type wire struct {
	inner http.RoundTripper
	takes time.Duration
	hide  bool // leave out the RateLimit headers

	mu      sync.Mutex
	paused  time.Time // until then
	sent    int
	refused int
	hasty   int // sent during a pause
	now     int
	most    int // at once
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.sent++
	w.now++
	w.most = max(w.most, w.now)
	if time.Now().Before(w.paused) {
		w.hasty++
	}
	w.mu.Unlock()
	time.Sleep(w.takes / 2)
	resp, err := w.inner.RoundTrip(r)
	time.Sleep(w.takes / 2)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now--
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		w.refused++
		wait, _ := time.ParseDuration(resp.Header.Get("Retry-After") + "s")
		w.paused = time.Now().Add(wait)
	}
	if w.hide {
		for _, h := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} {
			resp.Header.Del(h)
		}
	}
	return resp, nil
}

// On an hour's work at the limit of a small tenant the client spends little more than an hour, and
// is never told to wait without waiting.
func TestAnHourOfWorkAtTheLimitTakesAnHour(t *testing.T) {
	for _, c := range []struct {
		name    string
		hide    bool
		units   int // paced at so many a minute
		minutes int // of work
		refused int // at most
	}{
		{"told of the limit", false, rest.SmallTenant, 60, 3},
		{"told nothing", true, rest.SmallTenant, 10, 10},
		{"told of the limit, believing in a larger one", false, 6000, 10, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			minutes := c.minutes
			if testing.Short() {
				minutes = min(minutes, 10)
			}
			var line *wire
			in(t, graphtest.Options{UnitsPerMinute: rest.SmallTenant}, func(o *rest.Options) {
				line = &wire{inner: o.Transport, takes: 80 * time.Millisecond, hide: c.hide}
				o.Transport, o.UnitsPerMinute, o.Logger = line, c.units, nil
			}, func(w *world) {
				dir := w.put("/d/f", nil).Parent
				began := time.Now()
				var left atomic.Int64
				left.Store(int64(minutes * rest.SmallTenant / 2)) // each costs two units
				var all sync.WaitGroup
				for range 16 {
					all.Go(func() {
						for left.Add(-1) >= 0 {
							for _, err := range w.near.Children(w.ctx(), dir) {
								if err != nil {
									t.Error(err)
									return
								}
							}
						}
					})
				}
				all.Wait()
				ideal := time.Duration(minutes) * time.Minute
				took := time.Since(began)
				t.Logf("%v for %v, %d refused of %d", took, ideal, line.refused, line.sent)
				if took > ideal+ideal/10 {
					t.Errorf("took %v, ideal is %v", took, ideal)
				}
				if line.hasty > 0 {
					t.Errorf("%d requests were sent in a pause", line.hasty)
				}
				if line.refused > c.refused {
					t.Errorf("%d of %d requests were refused", line.refused, line.sent)
				}
			})
		})
	}
}

// What is done now and then costs no time at all, however small the tenant.
func TestASmallBurstIsNotPaced(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.UnitsPerMinute = rest.SmallTenant }, func(w *world) {
		i := w.put("/f", nil)
		began := time.Now()
		ask := func(n int) {
			for range n {
				_, err := w.near.Item(w.ctx(), i.ID)
				must(t, err)
			}
		}
		ask(rest.SmallTenant - 10)
		if took := time.Since(began); took > 0 {
			t.Errorf("a minute's units took %v", took)
		}
		ask(300)
		if took := time.Since(began); took < 10*time.Second || took > 20*time.Second {
			t.Errorf("300 units more took %v", took)
		}
		time.Sleep(2 * time.Minute)
		began = time.Now()
		ask(rest.SmallTenant - 10)
		if took := time.Since(began); took > 0 {
			t.Errorf("after a rest a minute's units took %v", took)
		}
	})
}

func TestNobodyIsPacedWhereNobodySaysALimit(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/f", nil)
		began := time.Now()
		for range 3 * rest.SmallTenant {
			_, err := w.near.Item(w.ctx(), i.ID)
			must(t, err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestTheLimitIsNearedSlowly(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/f", nil)
		near := graphtest.Fault{Op: graphtest.OpItem, Work: false, Status: 200, Type: "application/json", Body: `{"id":"x","name":"x"}`,
			Header: map[string]string{"RateLimit-Limit": "1200", "RateLimit-Remaining": "20", "RateLimit-Reset": "30"}}
		w.Inject(near)
		ask := func() {
			_, err := w.near.Item(w.ctx(), i.ID)
			must(t, err)
		}
		ask()
		began := time.Now()
		for range 20 {
			ask()
		}
		if took := time.Since(began); took < 15*time.Second || took > 31*time.Second {
			t.Errorf("20 units with 30 s to go took %v", took)
		}
		time.Sleep(2 * time.Minute)
		near.Header = map[string]string{"RateLimit-Limit": "1200", "RateLimit-Remaining": "0", "RateLimit-Reset": "30"}
		w.Inject(near)
		ask()
		began = time.Now()
		ask()
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("with nothing left the next call waited %v", took)
		}
	})
}

func TestPricesAreConfigurable(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) {
		o.UnitsPerMinute, o.UnitsBurst, o.Units = 60, 10, &rest.Units{One: 10}
	}, func(w *world) {
		i := w.put("/f", nil) // the whole burst
		time.Sleep(time.Minute)
		began := time.Now()
		for range 3 {
			_, err := w.near.Item(w.ctx(), i.ID)
			must(t, err)
		}
		for _, err := range w.near.Children(w.ctx(), i.Parent) { // free
			must(t, err)
		}
		if took := time.Since(began); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("30 units at 60 a minute with a burst of 10 took %v", took)
		}
	})
}

// crowd asks for one item many times at once, over a line where an answer takes a while.
type crowd struct {
	w    *world
	line *wire
	item graph.ItemID
}

// crowded runs a test with a crowd.
func crowded(t *testing.T, f func(w *world, c *crowd)) {
	t.Helper()
	var line *wire
	in(t, graphtest.Options{}, func(o *rest.Options) {
		line = &wire{inner: o.Transport, takes: 100 * time.Millisecond}
		o.Transport = line
	}, func(w *world) { f(w, &crowd{w, line, w.put("/f", nil).ID}) })
}

// ask asks n times, and returns how many calls were under way at once.
func (c *crowd) ask(n int) (most int) {
	c.line.most = 0
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if _, err := c.w.near.Item(c.w.ctx(), c.item); err != nil {
				c.w.t.Error(err)
			}
		})
	}
	all.Wait()
	return c.line.most
}

// Calls under way grow in number while answers are quick, and halve when one is refused.
func TestCallsUnderWayGrowAndHalve(t *testing.T) {
	crowded(t, func(w *world, c *crowd) {
		if n := c.ask(4); n > 4 {
			t.Errorf("%d at once at first", n)
		}
		if n := c.ask(100); n != rest.DefaultConcurrency {
			t.Errorf("%d at once when all goes well", n)
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: 429, RetryAfter: 10, Scope: "app"})
		_, err := w.near.Item(w.ctx(), c.item)
		must(t, err)
		if n := c.ask(rest.DefaultConcurrency); n > rest.DefaultConcurrency/2+1 { // it grows again meanwhile
			t.Errorf("%d at once after a refusal", n)
		}
		c.ask(100)
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: 429, RetryAfter: 10, Scope: "app", Times: 4})
		if n := c.ask(4); n != 4 { // they are refused together, which counts once
			t.Errorf("%d at once", n)
		}
		if n := c.ask(rest.DefaultConcurrency); n < rest.DefaultConcurrency/2 || n > rest.DefaultConcurrency/2+2 {
			t.Errorf("%d at once after refusals that came together", n)
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: 429, RetryAfter: 10, Scope: "app"})
		c.ask(1)
		c.line.takes = time.Minute / 2
		if n := c.ask(40); n > rest.DefaultConcurrency/2 {
			t.Errorf("%d at once although answers are slow", n)
		}
	})
}

func TestTheSignInIsNotStoppedByAPause(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/f", nil)
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: 429, RetryAfter: 60, Scope: "app"})
		var all sync.WaitGroup
		all.Go(func() { _, _ = w.near.Item(w.ctx(), i.ID) })
		time.Sleep(time.Second)
		began := time.Now()
		if _, err := w.tokens.Refresh(w.ctx(), "", ""); err != nil || time.Since(began) > 0 {
			t.Errorf("the sign-in waited %v: %v", time.Since(began), err)
		}
		all.Wait()
	})
}
