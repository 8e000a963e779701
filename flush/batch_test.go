package flush_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// plainService hides what a service can do beyond graph.Service.
type plainService struct{ graph.Service }

// TestBatchesSaveRequestsAndTime measures what batches save: requests, and time where each takes 100 ms.
func TestBatchesSaveRequestsAndTime(t *testing.T) {
	cost := map[bool]int{}
	for _, batched := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			const n = 400
			w := simtest.New(t, graphtest.Options{}, func(d *graphtest.Drive) {
				for i := range n {
					put(t, d, fmt.Sprintf("/old/%d", i), "x")
				}
			})
			if !batched {
				w.Use(plainService{w.Near})
			}
			must(t, w.Mkdir("/new"))
			for i := range n {
				must(t, w.Mkdir(fmt.Sprintf("/new/%d", i)), w.Move(fmt.Sprintf("/old/%d", i), fmt.Sprintf("/new/%d/f", i)))
			}
			w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
				time.Sleep(100 * time.Millisecond)
				return under.RoundTrip(r)
			})
			w.Server.ResetCounts()
			began := time.Now()
			r := w.Flush()
			c := w.Server.Counts()
			requests := c.Kinds[graphtest.OpBatch]
			if !batched {
				requests = c.Of(graphtest.OpMkdir, graphtest.OpUpdate)
			}
			cost[batched] = requests
			t.Logf("batched %v: %d steps, %d requests that write, %v", batched, r.Sent, requests, time.Since(began))
		})
	}
	if cost[true]*10 > cost[false] {
		t.Errorf("%d requests with batches, %d without", cost[true], cost[false])
	}
}
