package simtest_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

var (
	lives = flag.Int("lives", 4, "how many random lives to live of each sort")
	seed  = flag.Uint64("life", 0, "live this one life alone")
)

// A life is random work by somebody here and by a colleague, with flushes and refreshes between,
// under, and in the midst of it. Every write has bytes of its own. What the model knows is only
// this: bytes may vanish if somebody who saw them overwrote or removed them, and not otherwise.
type life struct {
	*simtest.World
	t      *testing.T
	rnd    *rand.Rand
	tokens int
	byHash map[graph.Hash]string // bytes by their hash
	doomed map[string]bool       // bytes that somebody who saw them did away with
	log    []string
	kind   kind
}

type kind struct {
	name   string
	faults bool // answers are lost, connections break, the feed lags
	midst  bool // people work while a flush is under way
	kills  bool // the process dies in the midst of a flush
	lonely bool // no colleague
}

func TestLives(t *testing.T) {
	for _, k := range []kind{
		{name: "alone", lonely: true},
		{name: "with a colleague"},
		{name: "with faults", faults: true},
		{name: "in the midst", midst: true},
		{name: "killed", kills: true},
		{name: "everything", faults: true, midst: true, kills: true},
	} {
		t.Run(k.name, func(t *testing.T) {
			for s := uint64(1); s <= uint64(*lives); s++ {
				if *seed != 0 && s != *seed {
					continue
				}
				ok := t.Run(fmt.Sprint(s), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { live(t, k, s) })
				})
				if !ok && *seed == 0 {
					return // one is enough to look at
				}
			}
		})
	}
}

func live(t *testing.T, k kind, seed uint64) {
	l := &life{
		t: t, rnd: rand.New(rand.NewPCG(seed, 77)), kind: k,
		byHash: map[graph.Hash]string{}, doomed: map[string]bool{},
	}
	l.World = simtest.New(t, graphtest.Options{}, func(d *graphtest.Drive) {
		for range 6 {
			s := l.token("before")
			if _, err := d.Put(fmt.Sprintf("%s/%d", l.path(), l.tokens), []byte(s)); err != nil {
				l.doomed[s] = true
			}
		}
	})
	l.Options.Parallel = 3
	if k.kills {
		l.Options.Parallel = 1 // what a kill leaves is copied, and must not change meanwhile
	}
	l.Use(l.Near)
	defer func() {
		if t.Failed() {
			t.Logf("the life:\n%s", strings.Join(l.log, "\n"))
		}
	}()
	for range 10 + l.rnd.IntN(40) {
		time.Sleep(time.Duration(l.rnd.IntN(40)) * time.Second)
		switch n := l.rnd.IntN(20); {
		case n < 10:
			l.here()
		case n < 15:
			l.there()
		case n < 17:
			l.note("refresh")
			_, err := l.Engine.Refresh(context.Background())
			l.excuse(err)
		default:
			l.flush()
		}
	}
	l.end()
}

func (l *life) note(format string, args ...any) {
	l.log = append(l.log, time.Now().Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

// excuse lets pass what faults explain.
func (l *life) excuse(err error) {
	if err == nil {
		return
	}
	l.note("  %v", err)
	if !l.kind.faults && !l.kind.kills {
		l.t.Errorf("without a fault: %v", err)
	}
}

func (l *life) token(who string) string {
	l.tokens++
	s := fmt.Sprintf("%s %d %s", who, l.tokens, strings.Repeat("x", l.rnd.IntN(30)))
	h := graph.NewQuickXor()
	h.Write([]byte(s))
	l.byHash[graph.HashOf(h)] = s
	return s
}

func (l *life) path() string {
	p := ""
	for range 1 + l.rnd.IntN(3) {
		p += "/" + []string{"a", "b", "c", "A"}[l.rnd.IntN(4)]
	}
	return p
}

// seen returns the bytes that somebody here sees below a path.
func (l *life) seen(p string) []string {
	ino, err := l.Store.Tree().Resolve(l.Root, strings.Trim(p, "/"))
	if err != nil {
		return nil
	}
	if ino.Dir {
		var all []string
		nodes, err := l.Store.Tree().List(ino.Ino, 0, 1000)
		if err != nil {
			return nil
		}
		for _, n := range nodes {
			all = append(all, l.seen(path.Join(p, n.Name))...)
		}
		return all
	}
	if !ino.Written {
		return []string{l.byHash[ino.Base.Hash]}
	}
	data, err := l.Read(p)
	if err != nil {
		l.t.Errorf("local work cannot be read: %s: %v", p, err)
	}
	return []string{string(data)}
}

func (l *life) doom(tokens []string) {
	for _, s := range tokens {
		l.doomed[s] = true
	}
}

// here does one thing on this machine.
func (l *life) here() {
	p, q := l.path(), l.path()
	var err error
	switch l.rnd.IntN(10) {
	case 0, 1, 2:
		before, s := l.seen(p), l.token("here")
		if err = l.Write(p, []byte(s)); err == nil {
			l.doom(before)
		} else {
			l.doomed[s] = true
		}
		l.note("here: write %s %.9s: %v", p, s, err)
	case 3: // save by rename
		before, s := l.seen(p), l.token("here")
		tmp := path.Join(path.Dir(p), "tmp.txt")
		earlier := l.seen(tmp)
		if err = l.Write(tmp, []byte(s)); err == nil {
			l.doom(earlier)
			if err = l.Move(tmp, p); err == nil {
				l.doom(before)
			}
		} else {
			l.doomed[s] = true
		}
		l.note("here: save %s %.9s: %v", p, s, err)
	case 4:
		err = l.Mkdir(p)
		l.note("here: mkdir %s: %v", p, err)
	case 5, 6, 7:
		before := l.seen(q)
		if strings.EqualFold(p, q) {
			before = nil
		}
		if err = l.Move(p, q); err == nil {
			l.doom(before)
		}
		l.note("here: mv %s %s: %v", p, q, err)
	case 8:
		before := l.seen(p)
		if err = l.Remove(p); err == nil {
			l.doom(before)
		}
		l.note("here: rm %s: %v", p, err)
	case 9:
		if l.rnd.IntN(2) == 0 {
			err = l.Exchange(p, q)
			l.note("here: exchange %s %s: %v", p, q, err)
			break
		}
		err = l.Touch(p, time.Now().Add(-time.Duration(l.rnd.IntN(1000))*time.Hour).Truncate(time.Second))
		l.note("here: touch %s: %v", p, err)
	}
}

// farSeen returns the bytes that a colleague sees below a path.
func (l *life) farSeen(p string) []string {
	var all []string
	for q, data := range l.There() {
		if !strings.HasSuffix(q, "/") && (strings.EqualFold(q, p) || len(q) > len(p) && strings.EqualFold(q[:len(p)+1], p+"/")) {
			all = append(all, data)
		}
	}
	return all
}

// there does one thing as the colleague.
func (l *life) there() {
	if l.kind.lonely {
		return
	}
	p, q := l.path(), l.path()
	var err error
	switch l.rnd.IntN(8) {
	case 0, 1, 2, 3:
		before, s := l.farSeen(p), l.token("there")
		if _, err = l.Far.Put(p, []byte(s)); err == nil {
			l.doom(before)
		} else {
			l.doomed[s] = true
		}
		l.note("there: write %s %.9s: %v", p, s, err)
	case 4:
		_, err = l.Far.Mkdir(p)
		l.note("there: mkdir %s: %v", p, err)
	case 5, 6:
		_, err = l.Far.Move(p, q)
		l.note("there: mv %s %s: %v", p, q, err)
	case 7:
		before := l.farSeen(p)
		if err = l.Far.Delete(p); err == nil {
			l.doom(before)
		}
		l.note("there: rm %s: %v", p, err)
	}
}

// flush sends, with trouble if the kind of life has any.
func (l *life) flush() {
	if l.kind.faults && l.rnd.IntN(2) == 0 {
		f := graphtest.Fault{Op: "write", Skip: l.rnd.IntN(6)}
		switch l.rnd.IntN(4) {
		case 0:
			f.Drop = graphtest.DropBefore
		case 1:
			f.Drop = graphtest.DropAfter
		case 2:
			f.Status, f.Times = 503, 2
		case 3:
			l.Server.SetFeedLag(time.Duration(l.rnd.IntN(60)) * time.Second)
		}
		l.note("fault: %+v", f)
		l.Server.Inject(f)
	}
	die := -1
	if l.kind.kills && l.rnd.IntN(3) == 0 {
		die = l.rnd.IntN(12)
	}
	after := l.rnd.IntN(2) == 0
	kept := filepath.Join(simtest.Folder(l.t), "kept")
	var mu sync.Mutex
	asked, dead := 0, false
	l.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock() // one request at a time: a life must be the same every time
		if dead {
			return nil, fmt.Errorf("the process is dead")
		}
		asked++
		now := asked-1 == die
		if now && !after {
			dead = true
			l.Keep(kept)
			return nil, fmt.Errorf("the process dies")
		}
		if l.kind.midst && l.rnd.IntN(4) == 0 {
			l.note("in the midst of %s", r.Method)
			if l.rnd.IntN(2) == 0 {
				l.there()
			} else {
				l.here()
			}
		}
		answer, err := under.RoundTrip(r)
		if now {
			dead = true
			l.Keep(kept)
			return nil, fmt.Errorf("the process dies")
		}
		return answer, err
	})
	l.note("flush")
	r, err := l.Engine.Flush(context.Background(), flush.Request{AllowDeletes: true})
	l.Between(nil)
	if dead {
		l.note("killed at request %d, after %v", die, after)
		l.Open(kept)
		return
	}
	l.excuse(err)
	if len(r.Drives) > 0 {
		d := r.Drives[0]
		l.note("  sent %d, deferred %d, busy %d, conflicts %d, left %d", d.Sent, d.Deferred, d.Busy, d.Conflicts, d.Left)
		if d.Receipt != nil {
			for _, s := range d.Receipt.Steps {
				l.note("    %s %s %s: %s %s", s.Op, s.Path, s.From, s.Outcome, s.Reason)
			}
		}
	}
}

// end lets everything settle and looks at what is left.
func (l *life) end() {
	l.note("end")
	l.Server.ClearFaults()
	l.Server.SetFeedLag(0)
	for range 10 {
		l.Skip(30 * time.Hour)
		r, err := l.Engine.Flush(context.Background(), flush.Request{AllowDeletes: true})
		if err != nil {
			l.t.Fatalf("the last flush: %v", err)
		}
		d := r.Drives[0]
		l.note("  sent %d, deferred %d, conflicts %d, left %d", d.Sent, d.Deferred, d.Conflicts, d.Left)
		if d.Receipt != nil {
			for _, s := range d.Receipt.Steps {
				l.note("    %s %s %s: %s %s", s.Op, s.Path, s.From, s.Outcome, s.Reason)
			}
		}
		if d.Sent+d.Deferred+d.Conflicts+d.Left == 0 {
			break
		}
	}
	l.Quiet()
	l.Equal()
	there := l.There()
	count := map[string]int{}
	for _, data := range there {
		count[data]++
	}
	for _, s := range l.byHash {
		if count[s] == 0 && !l.doomed[s] {
			l.t.Errorf("lost: %q", s)
		}
		if count[s] > 1 {
			l.t.Errorf("%d times: %q", count[s], s)
		}
	}
	for p := range there {
		if strings.Contains(p, ".duskfs-") {
			l.t.Errorf("left over: %s", p)
		}
	}
	if v := l.Server.Violations(); len(v) > 0 {
		slices.Sort(v)
		l.t.Logf("against the protocol: %s", strings.Join(v, "; "))
	}
}
