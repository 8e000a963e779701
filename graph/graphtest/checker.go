package graphtest

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// checker remembers what clients did against the rules of the protocol.
type checker struct {
	list  []string
	seen  map[string]int
	came  int                // requests so far, without those inside batches
	slow  bool               // requests come over sockets
	pause map[string]silence // that a scope asked for last
	hasty map[string]int     // requests of a scope forgiven since then
}

// silence is a pause that a client was told to keep.
type silence struct {
	from, until time.Time
	after       int // the number of the last request that had come by then
}

// Requests that were under way when the answer to wait was given are forgiven: so many in all, and without sockets so
// soon. Over sockets nobody can tell how long they are under way: on a busy machine they take seconds.
const (
	grace    = 250 * time.Millisecond
	forgiven = 24
)

var decorated = regexp.MustCompile(`^(NON)?ISV\|[^|]+\|[^|/]+/[^|]+`)

// violate notes a violation; the same one twice is noted once.
func (s *Server) violate(who, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check.note(who, what)
}

func (c *checker) note(who, what string) {
	if who != "" {
		what = who + ": " + what
	}
	if c.seen[what]++; c.seen[what] == 1 {
		c.list = append(c.list, what)
	}
}

// throttled remembers that a client was told to wait.
func (c *checker) throttled(o Op, app bool, now time.Time, wait time.Duration) {
	at := scope(o, app)
	c.pause[at] = silence{from: now, until: now.Add(wait), after: c.came}
	delete(c.hasty, at)
}

func scope(o Op, app bool) string {
	if app || o.Drive == "" {
		return o.Host
	}
	return o.Host + " " + o.Drive
}

// request judges a request as it arrives, and gives it a number. Those inside a batch came with it: batch is its number, else 0.
func (c *checker) request(o Op, r *http.Request, now time.Time, batch int) int {
	number := batch
	if batch == 0 {
		c.came++
		number = c.came
	}
	what := o.Method + " (" + o.Kind + ")"
	if o.Host != "login" && !o.Batch {
		if ua := r.Header.Get("User-Agent"); !decorated.MatchString(ua) {
			c.note(o.Host, fmt.Sprintf("User-Agent %q is not decorated as ISV|Company|App/1.0 or NONISV|…", ua))
		}
	}
	scopes := []string{scope(o, true), scope(o, false)}
	for _, scope := range slices.Compact(scopes) {
		pause := c.pause[scope]
		// Retry-After has whole seconds; a client a hair early is forgiven.
		if number <= pause.after || !now.Before(pause.until.Add(-grace)) {
			continue
		}
		if c.hasty[scope]++; !c.slow && now.After(pause.from.Add(grace)) || c.hasty[scope] > forgiven {
			c.note(o.Host, what+" during the pause that Retry-After asked for")
			break
		}
	}
	if o.Host == "storage" && r.Header.Get("Authorization") != "" {
		c.note(o.Host, what+" carries an Authorization header")
	}
	return number
}

// Violations lists what clients did against the rules, oldest first: an Authorization header at
// the storage host, fragments of a wrong size or order, a User-Agent without decoration, requests
// in a pause that was asked for, upload sessions that were left to expire, and more. Upload
// sessions still open are no violation; see OpenSessions.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	s.expireSessions()
	return slices.Clone(s.check.list)
}

// ClearViolations forgets them.
func (s *Server) ClearViolations() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check.list, s.check.seen = nil, map[string]int{}
}

// OpenSessions counts upload sessions neither committed, cancelled nor expired.
func (s *Server) OpenSessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireSessions()
	return len(s.sessions)
}

// Counts says how often what was asked. Refused and disturbed requests count too.
type Counts struct {
	Kinds     map[string]int `json:"kinds"`      // by Op… constant, inner requests of a batch included
	Reads     int            `json:"reads"`      // at Graph and the storage host
	Writes    int            `json:"writes"`     // at Graph and the storage host
	BytesUp   int64          `json:"bytes_up"`   // of file content taken
	BytesDown int64          `json:"bytes_down"` // of file content sent
	Units     int            `json:"units"`      // resource units: 1, 2 or 5 a request to Graph
	Events    int            `json:"events"`     // notices of change sent
}

func newCounts() Counts { return Counts{Kinds: map[string]int{}} }

// Of returns the number of requests of some kinds together.
func (c Counts) Of(kinds ...string) int {
	n := 0
	for _, k := range kinds {
		n += c.Kinds[k]
	}
	return n
}

func (c *Counts) add(o Op) {
	c.Kinds[o.Kind]++
	switch {
	case o.Host == "login" || o.Kind == OpBatch:
	case o.Write():
		c.Writes++
	default:
		c.Reads++
	}
}

// Counts returns the counters.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Kinds = maps.Clone(c.Kinds)
	return c
}

// ResetCounts sets the counters to zero.
func (s *Server) ResetCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = newCounts()
}
