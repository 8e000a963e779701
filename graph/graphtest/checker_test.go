package graphtest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// Who was asked to wait and does not is noted. Requests that were under way at that moment are forgiven: some, and, where time
// can be told, those of a moment.
func TestRequestsInAPauseAreNoted(t *testing.T) {
	told := func(c *client, what string, want int) {
		t.Helper()
		got := c.s.Violations()
		equal(t, what+": noted", len(got), want)
		if want > 0 && len(got) > 0 {
			equal(t, what, got[0], "graph: GET (item) during the pause that Retry-After asked for")
		}
		c.s.ClearViolations()
	}
	wait := graphtest.Fault{Op: graphtest.OpChildren, Status: 429, RetryAfter: 10}
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{})
		other := c.s.Drive("sites/Engineering#Documents")
		ask := func(c *client, n int) {
			for range n {
				c.want(200, "GET", "/me/drive/root", nil)
			}
		}
		pause := func() {
			time.Sleep(time.Minute)
			c.s.Inject(wait)
			c.want(429, "GET", "/me/drive/root/children", nil)
		}
		pause()
		ask(c, 24)
		told(c, "under way", 0)
		ask(c, 1)
		told(c, "one more", 1)
		pause()
		time.Sleep(time.Second)
		c.want(200, "GET", "/drives/"+other.ID()+"/root", nil)
		told(c, "another drive", 0)
		ask(c, 1)
		told(c, "a second later", 1)
		time.Sleep(9 * time.Second)
		ask(c, 1)
		told(c, "when it is over", 0)
		wait.Scope = "app"
		pause()
		time.Sleep(time.Second)
		c.want(200, "GET", "/drives/"+other.ID()+"/root", nil)
		told(c, "another drive, when all were asked", 1)
	})
	t.Run("over sockets", func(t *testing.T) {
		s := graphtest.Start(t, graphtest.Options{})
		c := listen(t, s)
		c.s.Inject(wait)
		c.want(429, "GET", "/me/drive/root/children", nil)
		for n := range 25 {
			c.want(200, "GET", "/me/drive/root", nil)
			if n == 23 {
				told(c, "under way", 0)
			}
		}
		told(c, fmt.Sprint(25), 1)
	})
}
