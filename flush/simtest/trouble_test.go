package simtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// everything is a flush that holds no deletions back.
var everything = flush.Request{AllowDeletes: true}

var errDead = errors.New("the process is dead")

// flush sends, with trouble if the kind of life has any.
func (l *life) flush() {
	l.left = map[string]leaving{}
	l.trouble("flush", func() error {
		r, err := l.Engine.Flush(context.Background(), everything)
		if len(r.Drives) > 0 && !l.killed.Load() {
			l.tell(r.Drives[0])
			if err == nil && r.Drives[0].Left == 0 {
				clear(l.unheard)
			}
		}
		return err
	})
}

// refresh brings remote changes in, with trouble if the kind of life has any.
func (l *life) refresh() {
	l.trouble("refresh", func() error {
		_, err := l.Engine.Refresh(context.Background())
		return err
	})
}

// tell notes what a flush did.
func (l *life) tell(d flush.DriveResult) {
	l.note("  sent %d, deferred %d, busy %d, conflicts %d, left %d", d.Sent, d.Deferred, d.Busy, d.Conflicts, d.Left)
	if d.Receipt == nil {
		return
	}
	for _, s := range d.Receipt.Steps {
		l.note("    %s %s %s: %s %s", s.Op, s.Path, s.From, s.Outcome, s.Reason)
	}
}

// fault makes the service misbehave.
func (l *life) fault() {
	f := graphtest.Fault{Op: "write", Skip: l.rnd.IntN(6)}
	if l.rnd.IntN(3) == 0 {
		f.Op = ""
	}
	switch l.rnd.IntN(8) {
	case 0, 1:
		f.Drop = graphtest.DropBefore
	case 2, 3:
		f.Drop = graphtest.DropAfter
	case 4:
		f.Status, f.Times = 503, 1+l.rnd.IntN(12)
	case 5:
		lag := time.Duration(l.rnd.IntN(60)) * time.Second
		l.note("the feed lags %v", lag)
		l.Server.SetFeedLag(lag)
		return
	case 6:
		f.Status, f.RetryAfter, f.Times = 429, 1+l.rnd.IntN(100), 1+l.rnd.IntN(3)
	case 7:
		if l.rnd.IntN(2) == 0 {
			l.note("the token dies")
			l.Server.RevokeAccess()
			return
		}
		f.Status, f.Code, f.Times = 401, "InvalidAuthenticationToken", 1+l.rnd.IntN(6)
	}
	l.note("fault: %s skip %d, drop %q, status %d, %d times", f.Op, f.Skip, f.Drop, f.Status, max(1, f.Times))
	l.Server.Inject(f)
}

// trouble does something with faults, people and death in the midst of it.
func (l *life) trouble(what string, do func() error) {
	if l.kind.faults && l.rnd.IntN(2) == 0 {
		l.fault()
	}
	d := &dying{life: l, at: -1, kept: filepath.Join(simtest.Folder(l.t), "kept")}
	if l.kind.kills && l.rnd.IntN(3) == 0 {
		l.closeAll()
		if d.at = l.rnd.IntN(24); l.rnd.IntN(2) == 0 {
			d.at = l.rnd.IntN(300)
		}
	}
	l.killed.Store(false)
	l.listing = false
	if l.kind.kills {
		l.Tick(func() {
			if !l.working.Load() {
				d.step()
			}
		})
	}
	l.Between(d.carry)
	l.note("%s", what)
	err := do()
	l.Between(nil)
	l.Tick(nil)
	l.listing = false
	if l.killed.Load() {
		l.note("killed at step %d", d.at)
		l.Full(false)
		l.closeAll()
		l.Open(d.kept)
		return
	}
	l.excuse(err)
}

// dying carries the requests of a process that may die.
type dying struct {
	*life
	mu   sync.Mutex // one request at a time: a life must be the same every time
	at   int        // step at which it dies
	kept string

	count sync.Mutex // guards now: anybody may look at the clock
	now   int
}

// step counts: every look at the clock, before every request and after. It reports whether the
// process is dead.
func (d *dying) step() bool {
	d.count.Lock()
	defer d.count.Unlock()
	if d.killed.Load() {
		return true
	}
	if d.now == d.at {
		d.Keep(d.kept)
		d.killed.Store(true)
	}
	d.now++
	return d.killed.Load()
}

func (d *dying) carry(r *http.Request, under http.RoundTripper) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.step() {
		return nil, errDead
	}
	switch {
	case strings.Contains(r.URL.Path, "/delta"):
		d.listing = false
	case strings.HasSuffix(r.URL.Path, "/children"), strings.HasSuffix(r.URL.Path, "/$batch"):
		d.listing = true
	}
	if strings.HasSuffix(r.URL.Path, "/createUploadSession") {
		d.begun = d.about(r)
	}
	d.bringing = strings.Contains(r.URL.Path, "/versions") || strings.HasSuffix(r.URL.Path, "/download.aspx")
	d.before(r)
	if d.kind.lose && r.Method != http.MethodGet && d.rnd.IntN(4) == 0 {
		return nil, d.lose(r, under)
	}
	answer, err := under.RoundTrip(r)
	d.after(r)
	d.bringing = false
	if d.step() {
		if err == nil {
			d.unhear(r, answer)
		}
		return nil, errDead
	}
	return answer, err
}

// unhear throws an answer away, and notes which item took the bytes if it was to those of an upload.
func (d *dying) unhear(r *http.Request, answer *http.Response) {
	defer answer.Body.Close()
	var item struct{ ID string }
	if r.Method == http.MethodPut && answer.StatusCode < 300 && json.NewDecoder(answer.Body).Decode(&item) == nil && item.ID != "" {
		d.unheard[item.ID] = true
	}
}

// brief is what the story tells of a request.
func brief(r *http.Request) string { return r.Method + " " + r.URL.Path[max(0, len(r.URL.Path)-40):] }

// before lets people work before a request gets through.
func (d *dying) before(r *http.Request) {
	if !d.kind.midst || d.rnd.IntN(4) > 0 {
		return
	}
	d.note("in the midst of %s", brief(r))
	if d.rnd.IntN(2) == 0 {
		d.there()
	} else {
		d.here()
	}
}

// after lets people work between the answer to a request and what is recorded of it.
func (d *dying) after(r *http.Request) {
	if !d.kind.after || d.rnd.IntN(4) > 0 {
		return
	}
	d.note("after %s", brief(r))
	switch n := d.rnd.IntN(4); {
	case n == 0:
		d.there()
	case n == 1:
		d.here()
	case len(d.recent) > 0: // what is being sent, perhaps
		d.working.Store(true)
		d.write(d.recent[d.rnd.IntN(len(d.recent))])
		d.working.Store(false)
	}
}

var errLost = errors.New("the connection breaks")

// lose loses a write, or the answer to it. Whoever asked does not know which, and before they look the colleague
// writes over what it was about.
func (d *dying) lose(r *http.Request, under http.RoundTripper) error {
	p, arrives := d.about(r), d.rnd.IntN(2) == 0
	if arrives {
		answer, err := under.RoundTrip(r)
		if err != nil {
			return err
		}
		d.unhear(r, answer)
	} else if r.Body != nil {
		r.Body.Close()
	}
	d.note("lost: %s for %s, arrived: %v", brief(r), p, arrives)
	d.listing = false // what is done over needs another look
	if p != "" && !temporary(p) && d.rnd.IntN(4) > 0 {
		d.farWrite(p)
	}
	return errLost
}

// addressed finds the item, and perhaps the name in it, that an address is of.
var addressed = regexp.MustCompile(`/items/([^/:]+)(?::/([^:]+):)?`)

// about returns the path of what a write is about, empty if that cannot be told.
func (d *dying) about(r *http.Request) string {
	at := r.URL.Path
	if strings.HasSuffix(at, "/$batch") {
		var batch struct{ Requests []struct{ URL string } }
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil || json.Unmarshal(body, &batch) != nil || len(batch.Requests) == 0 {
			d.t.Errorf("a batch that cannot be read: %v", err)
			return ""
		}
		at = batch.Requests[d.rnd.IntN(len(batch.Requests))].URL
	}
	m := addressed.FindStringSubmatch(at)
	if m == nil {
		return d.begun // the address of an upload session says nothing
	}
	i, err := d.Far.StatID(m[1])
	if err != nil {
		return ""
	}
	return path.Join(i.Path, m[2])
}
