package graphtest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

func TestFaultsStrike(t *testing.T) {
	c := start(t, graphtest.Options{})
	f := c.put("/a.txt", "0123456789")
	item := "/me/drive/items/" + f.ID

	c.s.Inject(graphtest.Fault{Op: graphtest.OpItem, Skip: 1, Times: 2, Status: 404})
	for _, want := range []int{200, 404, 404, 200} {
		c.want(want, "GET", item, nil)
	}
	c.s.Inject(graphtest.Fault{Op: "write", Status: 423, Code: "notAllowed", Inner: "resourceLocked", Message: "busy"})
	c.want(200, "GET", item, nil)
	equal(t, "inner", c.want(423, "DELETE", item, nil).at("error/innerError/code"), "resourceLocked")
	c.s.Inject(graphtest.Fault{Match: func(o graphtest.Op) bool { return o.Place == "/a.txt" }, Status: 502, Body: "<html>Bad gateway</html>", Type: "text/html"})
	a := c.want(502, "GET", item, nil)
	equal(t, "type", a.header.Get("Content-Type"), "text/html")

	c.s.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Empty: true})
	a = c.want(201, "POST", "/me/drive/root/children", object{"name": "quiet", "folder": object{}})
	equal(t, "no body", len(a.raw), 0)
	c.want(200, "GET", "/me/drive/root:/quiet", nil)

	mk := func(name string) error {
		_, err := c.try("POST", "/me/drive/root/children", object{"name": name, "folder": object{}})
		return err
	}
	c.s.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Drop: graphtest.DropBefore}, graphtest.Fault{Op: graphtest.OpMkdir, Drop: graphtest.DropAfter})
	if err := mk("never"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("drop before: %v", err)
	}
	if err := mk("lost"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("drop after: %v", err)
	}
	c.want(404, "GET", "/me/drive/root:/never", nil)
	c.want(200, "GET", "/me/drive/root:/lost", nil)
	c.s.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Status: 504, Work: true})
	c.want(504, "POST", "/me/drive/root/children", object{"name": "done", "folder": object{}})
	c.want(200, "GET", "/me/drive/root:/done", nil)

	c.s.Inject(graphtest.Fault{Op: graphtest.OpDownload, Drop: graphtest.DropBody, Truncate: 4}, graphtest.Fault{Op: graphtest.OpDownload, Status: 401})
	loc := c.want(302, "GET", item+"/content", nil).header.Get("Location")
	if a, err := c.try("GET", loc, nil); err == nil || string(a.raw) != "0123" {
		t.Errorf("a body that breaks off: %q, %v", a.raw, err)
	}
	c.want(401, "GET", loc, nil)
	c.want(200, "GET", loc, nil)
	equal(t, "left over", c.s.ClearFaults(), 0)

	c.s.SetOffline(true)
	if _, err := c.try("GET", item, nil); err == nil {
		t.Error("the service answers offline")
	}
	c.s.SetOffline(false)
	c.want(200, "GET", item, nil)
	c.noViolations()
}

func TestFaultsTakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{})
		c.s.Inject(graphtest.Fault{Delay: graphtest.Duration(3 * time.Minute)}, graphtest.Fault{Stall: graphtest.Duration(time.Minute)})
		began := time.Now()
		c.want(200, "GET", "/me", nil)
		equal(t, "delay", time.Since(began), 3*time.Minute)
		c.want(200, "GET", "/me", nil)
		equal(t, "and stall", time.Since(began), 4*time.Minute)
	})
}

func TestAPauseIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{})
		c.s.Inject(graphtest.Fault{Status: 429, RetryAfter: 30, Scope: "app"})
		equal(t, "header", c.want(429, "GET", "/me/drive/root", nil).header.Get("Retry-After"), "30")
		time.Sleep(30 * time.Second)
		c.want(200, "GET", "/me/drive/root", nil)
		c.noViolations()

		c.s.Inject(graphtest.Fault{Status: 429, RetryAfter: 30})
		c.want(429, "GET", "/me/drive/root", nil)
		time.Sleep(10 * time.Second)
		c.want(200, "GET", "/me", nil) // another scope
		c.noViolations()
		c.want(200, "GET", "/me/drive/root", nil)
		if v := c.s.Violations(); len(v) != 1 || !strings.Contains(v[0], "Retry-After") {
			t.Errorf("violations: %q", v)
		}
	})
}

func TestABatchCannotHearOfAPauseInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{})
		type m = map[string]any
		batch := make([]m, 20)
		for i := range batch {
			batch[i] = m{"id": fmt.Sprint(i), "method": "GET", "url": "/me/drive/root"}
		}
		c.s.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: 429, RetryAfter: 30})
		c.want(200, "POST", "/$batch", m{"requests": batch})
		c.noViolations()
		time.Sleep(10 * time.Second)
		c.want(200, "POST", "/$batch", m{"requests": batch}) // a batch has no drive, what it holds has
		if v := c.s.Violations(); len(v) != 1 || !strings.Contains(v[0], "Retry-After") {
			t.Errorf("violations: %q", v)
		}
	})
}

func TestUnitsAreMetered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{UnitsPerMinute: 10})
		var limits []string
		for range 10 {
			limits = append(limits, c.want(200, "GET", "/me", nil).header.Get("RateLimit-Remaining"))
		}
		equal(t, "remaining", strings.Join(limits, ","), ",,,,,,,2,1,0")
		a := c.want(429, "GET", "/me", nil)
		equal(t, "wait", a.header.Get("Retry-After"), "60")
		equal(t, "reset", a.header.Get("RateLimit-Reset"), "60")
		time.Sleep(time.Minute)
		c.want(200, "GET", "/me", nil)
		c.noViolations()
	})
}

func TestCountersTellWritesFromReads(t *testing.T) {
	c := start(t, graphtest.Options{})
	f := c.put("/a.txt", "x") // a colleague is not counted
	c.want(200, "GET", "/me/drive/root/children", nil)
	c.want(200, "GET", "/me/drive/root/delta", nil)
	equal(t, "writes", c.s.Counts().Writes, 0)
	c.want(204, "DELETE", "/me/drive/items/"+f.ID, nil)
	n := c.s.Counts()
	equal(t, "reads", n.Reads, 2)
	equal(t, "writes", n.Writes, 1)
	equal(t, "of", n.Of(graphtest.OpChildren, graphtest.OpDelta, graphtest.OpDelete), 3)
	c.s.ResetCounts()
	equal(t, "reset", c.s.Counts().Reads, 0)
}

func TestTheTransportKnowsItsHostsOnly(t *testing.T) {
	c := start(t, graphtest.Options{})
	if _, err := c.try("GET", "https://elsewhere.example/", nil); err == nil {
		t.Error("an unknown host answers")
	}
	req, err := http.NewRequest("GET", strings.Replace(c.s.GraphURL(), "https", "http", 1)+"/v1.0/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := c.s.Transport().RoundTrip(req); err == nil {
		res.Body.Close()
		t.Error("plain http answers")
	}
}
