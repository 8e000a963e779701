package graphtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Op is one request as faults and counters see it.
type Op struct {
	Kind   string // one of the Op… constants
	Method string
	Host   string // "graph", "login" or "storage"
	Path   string // decoded, with the version segment
	Drive  string // id of the drive, if one is meant
	Item   string // id of the item, if it exists
	Place  string // path of the item from the root of its drive, if it can be told
	Batch  bool   // an inner request of a $batch
}

// Write reports whether the request would change something.
func (o Op) Write() bool {
	switch o.Kind {
	case OpPut, OpCreateSession, OpMkdir, OpUpdate, OpDelete, OpCopy, OpRestore, OpShare, OpFragment, OpCancel, OpCommit:
		return true
	}
	return o.Host == "graph" && o.Kind != OpBatch && o.Method != http.MethodGet && o.Method != http.MethodHead
}

// Ways to lose a connection.
const (
	DropBefore = "before" // before the work is done
	DropAfter  = "after"  // after the work is done: the answer is lost
	DropBody   = "body"   // in the middle of the answer's body, after Truncate bytes
)

// Fault is one disturbance: which requests it meets, and what happens to them. It is plain data,
// so that it can be sent over the admin endpoint as JSON; Match alone needs Go. Empty conditions
// hold for every request.
type Fault struct {
	Op     string `json:"op,omitempty"` // an Op… constant, several by commas, "write" or "read"
	Method string `json:"method,omitempty"`
	Host   string `json:"host,omitempty"`
	Path   string `json:"path,omitempty"`  // part of the decoded path
	Place  string `json:"place,omitempty"` // part of the item's path in its drive
	Drive  string `json:"drive,omitempty"`
	Item   string `json:"item,omitempty"`
	// Match is one more condition. It is called under the server's lock and must not call it.
	Match func(Op) bool `json:"-"`

	Skip   int     `json:"skip,omitempty"`   // let so many matching requests pass first
	Times  int     `json:"times,omitempty"`  // how often it strikes: 0 is once, negative for ever
	Chance float64 `json:"chance,omitempty"` // of striking, if not 0

	Delay Duration `json:"delay,omitempty"` // before anything else (the headers stall)
	// Status, if not 0, is answered with Code and Message as an error of Graph, or with Body if
	// that is set. The work is not done unless Work is set.
	Status     int               `json:"status,omitempty"`
	AADSTS     int               `json:"aadsts,omitempty"` // instead of Status: a refusal of the login host by its number
	Claims     string            `json:"claims,omitempty"` // goes with AADSTS
	Code       string            `json:"code,omitempty"`
	Inner      string            `json:"inner,omitempty"`
	Message    string            `json:"message,omitempty"`
	Body       string            `json:"body,omitempty"`
	Type       string            `json:"type,omitempty"`        // content type of Body
	RetryAfter int               `json:"retry_after,omitempty"` // seconds; sent if positive
	Header     map[string]string `json:"header,omitempty"`      // added to the answer
	Work       bool              `json:"work,omitempty"`        // do the work although Status answers
	// Scope says how much a RetryAfter pauses: "app" everything, "" the drive meant.
	Scope string `json:"scope,omitempty"`

	Drop     string   `json:"drop,omitempty"`     // DropBefore, DropAfter or DropBody
	Truncate int64    `json:"truncate,omitempty"` // bytes of the body before DropBody
	Stall    Duration `json:"stall,omitempty"`    // between the headers and the body
	Empty    bool     `json:"empty,omitempty"`    // answer with the right status and no body
}

// Duration is a time.Duration that reads and writes JSON as "1.5s".
type Duration time.Duration

// MarshalJSON writes the form of time.Duration.String.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads a string for time.ParseDuration, or a number of seconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		v, err := time.ParseDuration(s)
		*d = Duration(v)
		return err
	}
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("duration %s: want a string such as \"1.5s\" or a number of seconds", b)
	}
	*d = Duration(f * float64(time.Second))
	return nil
}

func (f *Fault) meets(o Op) bool {
	eq := func(want, got string) bool { return want == "" || want == got }
	in := func(want, got string) bool { return want == "" || strings.Contains(got, want) }
	if f.Op != "" && !strings.Contains(","+f.Op+",", ","+o.Kind+",") &&
		!(f.Op == "write" && o.Write()) && !(f.Op == "read" && !o.Write()) {
		return false
	}
	return eq(f.Method, o.Method) && eq(f.Host, o.Host) && in(f.Path, o.Path) && in(f.Place, o.Place) &&
		eq(f.Drive, o.Drive) && eq(f.Item, o.Item) && (f.Match == nil || f.Match(o))
}

// Inject adds faults. Of those that meet a request the oldest strikes.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = 1
		}
		s.faults = append(s.faults, &f)
	}
}

// ClearFaults forgets all faults and returns how many could still have struck.
func (s *Server) ClearFaults() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.faults)
	s.faults = nil
	return n
}

// strike finds the fault that meets a request and counts it. The caller holds the lock.
func (s *Server) strike(o Op) *Fault {
	for i, f := range s.faults {
		if !f.meets(o) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Chance > 0 && s.dice.Float64() >= f.Chance {
			continue
		}
		hit := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = append(s.faults[:i], s.faults[i+1:]...)
			}
		}
		return &hit
	}
	return nil
}

// disturbed does the work of a request with a fault in its way.
func (s *Server) disturbed(ctx context.Context, r *http.Request, o Op, f *Fault, work func() *reply) *reply {
	if f == nil {
		return work()
	}
	if pause(ctx, time.Duration(f.Delay)) != nil || f.Drop == DropBefore {
		return resetReply()
	}
	var out *reply
	if f.AADSTS != 0 {
		status, code, text := aadsts(f.AADSTS)
		return s.aadErrorWith(status, code, f.AADSTS, text, f.Claims)
	}
	if f.Status == 0 || f.Work {
		out = work()
	}
	if f.Drop == DropAfter {
		out.close()
		return resetReply()
	}
	if f.Status != 0 {
		if out != nil {
			out.close()
		}
		out = s.faultReply(r, o, f)
	}
	for k, v := range f.Header {
		out.header.Set(k, v)
	}
	if f.Empty {
		out.close()
		out.body, out.stream = nil, nil
		out.header.Del("Content-Type")
	}
	if f.Drop == DropBody {
		out.cut = f.Truncate
	}
	out.stall = time.Duration(f.Stall)
	return out
}

func (s *Server) faultReply(r *http.Request, o Op, f *Fault) *reply {
	var out *reply
	switch {
	case f.Body != "" || o.Host != "graph" && f.Code == "":
		out = textReply(f.Status, f.Body)
		if f.Type != "" {
			out.header.Set("Content-Type", f.Type)
		}
	default:
		code := f.Code
		if code == "" {
			code = defaultCode(f.Status)
		}
		out = s.errorReply(r, &apiError{status: f.Status, code: code, inner: f.Inner, msg: f.Message})
	}
	if f.RetryAfter > 0 {
		out.header.Set("Retry-After", strconv.Itoa(f.RetryAfter))
		s.mu.Lock()
		s.check.throttled(o, f.Scope == "app", s.now(), time.Duration(f.RetryAfter)*time.Second)
		s.mu.Unlock()
	}
	return out
}

// defaultCode is the code that goes with a status (graph-facts §10.2).
func defaultCode(status int) string {
	codes := map[int]string{400: "invalidRequest", 401: "InvalidAuthenticationToken", 403: "accessDenied", 404: "itemNotFound",
		409: "nameAlreadyExists", 410: "resyncRequired", 412: "resourceModified", 416: "invalidRange", 423: "resourceLocked",
		429: "activityLimitReached", 500: "generalException", 501: "notSupported", 502: "UnknownError", 503: "serviceNotAvailable",
		504: "UnknownError", 507: "quotaLimitReached", 509: "bandwidthLimitExceeded"}
	if c := codes[status]; c != "" {
		return c
	}
	return "generalException"
}

// unitWindow counts resource units in the current minute (graph-facts §9).
type unitWindow struct {
	start time.Time
	used  int
}

// units is the price of a request.
func units(o Op, token bool) int {
	switch {
	case o.Kind == OpPermissions, o.Kind == OpShare:
		return 5
	case o.Write(), o.Kind == OpChildren, o.Kind == OpSearch, o.Kind == OpDelta && !token:
		return 2
	}
	return 1
}

// meter charges a request its price. It returns the headers that tell of the limit, and how long to
// wait if it is passed. The caller holds the lock.
func (s *Server) meter(price int) (http.Header, time.Duration) {
	limit := s.opts.UnitsPerMinute
	if limit <= 0 || price == 0 {
		return nil, 0
	}
	now := s.now()
	if now.Sub(s.units.start) >= time.Minute {
		s.units = unitWindow{start: now}
	}
	s.units.used += price
	reset := (s.units.start.Add(time.Minute).Sub(now) + time.Second - 1).Truncate(time.Second)
	if s.units.used*5 < limit*4 {
		return nil, 0
	}
	h := http.Header{}
	h.Set("RateLimit-Limit", strconv.Itoa(limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(max(0, limit-s.units.used)))
	h.Set("RateLimit-Reset", strconv.Itoa(int(reset/time.Second)))
	if s.units.used > limit {
		return h, reset
	}
	return h, 0
}
