package graphtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Quirk switches one row of the catalogue of oddities on (graph-quirks, Q1 to Q33). Unlike the lasting
// [Quirks] it can strike now and then. With neither Chance nor Times it strikes at every occasion.
type Quirk struct {
	Name   string   `json:"name"`             // "Q1" … "Q33", or the name in [Catalogue]
	Chance float64  `json:"chance,omitempty"` // of striking at an occasion, if not 0
	Times  int      `json:"times,omitempty"`  // how often it strikes before it is off again; 0 is for ever
	For    Duration `json:"for,omitempty"`    // how long the oddity lasts, where that means something; 0 is the row's own
}

// Row is one row of the catalogue.
type Row struct {
	Number int      `json:"number"`
	Name   string   `json:"name"`
	Does   string   `json:"does"`          // what the service does
	For    Duration `json:"for,omitempty"` // how long, unless the quirk says
}

// Catalogue lists every oddity that [Server.Switch] knows.
func Catalogue() []Row {
	s := func(n int) Duration { return Duration(time.Duration(n) * time.Second) }
	return []Row{
		{1, "missing-read", "a read of an item that exists answers 404", 0},
		{2, "young-missing", "an item just made answers 404 to GET by id", s(5)},
		{3, "stale-download", "a fresh download address answers 401", 0},
		{4, "patch-after-put", "PATCH of fileSystemInfo soon after the content: 404, 502, 503, 504 in turn", s(16)},
		{5, "empty-mkdir", "POST of a folder answers 201 without a body", 0},
		{6, "path-lag", "reads by path of what has just changed answer 404", s(120)},
		{7, "missing-delete", "DELETE by id of an item that exists answers 404", 0},
		{8, "feed-lag", "delta does not know the newest changes yet", s(30)},
		{9, "lost-tombstone", "a deletion never comes in delta", 0},
		{10, "create-before-delete", "a page of delta has its deletions last", 0},
		{11, "twice-in-feed", "an item comes twice in delta, first with an old state", 0},
		{12, "encoded-names", "names in delta are percent-encoded", 0},
		{13, "no-hash", "a file has no hash", 0},
		{14, "office-rewrite", "an uploaded Office, PDF or HTML file is rewritten", s(2)},
		{15, "wrong-size", "a .heic or Office file is listed with another size and hash than its bytes have", 0},
		{16, "short-drive-id", "the id of a personal drive comes in lower case without leading zeros", 0},
		{17, "phantom-drives", "lists of drives have system drives, and answer 403 right after sign-in", s(5)},
		{18, "lost-fragment-answer", "a fragment arrives and its answer is lost, so that sending it again answers 416", 0},
		{19, "session-moves-etag", "If-Match on createUploadSession changes the eTag, and the end answers 412", 0},
		{20, "session-held", "createUploadSession answers 409: a session exists already; what open sessions have received counts against the quota", 0},
		{21, "stalled-headers", "the headers of a metadata reply take minutes", s(180)},
		{22, "odd-status", "204 for PATCH, 302 for GET of an item, 308 without Location and HTML errors from storage", 0},
		{23, "read-only-put", "PUT into a read-only folder answers 404, where a session answers 403", 0},
		{24, "young-parent", "making a child right after its parent answers 404", s(5)},
		{25, "odd-times", "fileSystemInfo is 0001-01-01, null, or in the year 9999", 0},
		{26, "notebook", "a folder listing has a OneNote notebook: a package, neither file nor folder", 0},
		{27, "no-shared-with-me", "sharedWithMe is withdrawn", 0},
		{28, "scoped-throttle", "429 for one drive, while others go on", s(5)},
		{29, "batch-inner", "429 and 404 in turn inside a $batch that answers 200", 0},
		{30, "move-resets-time", "a move sets the modification time to now", 0},
		{31, "held-folder", "DELETE of a folder that is not empty answers 403", 0},
		{32, "locked", "a write to a file answers 423, in three shapes in turn", 0},
		{33, "collation", "names such as ae and æ collide", 0},
	}
}

// row finds a row by number or name.
func row(name string) (Row, bool) {
	all := Catalogue()
	n, err := strconv.Atoi(strings.TrimLeft(name, "Qq"))
	i := slices.IndexFunc(all, func(r Row) bool { return r.Name == name || err == nil && r.Number == n })
	if i < 0 {
		return Row{}, false
	}
	return all[i], true
}

// oddity is a quirk that is switched on.
type oddity struct {
	Quirk
	row   Row
	count int // how often it has struck
}

// Switch switches quirks on, each in place of what was said of it before. An unknown name is an
// error, and then nothing changes.
func (s *Server) Switch(quirks ...Quirk) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	on := map[int]*oddity{}
	for _, q := range quirks {
		r, ok := row(q.Name)
		if !ok {
			return fmt.Errorf("no quirk is called %q", q.Name)
		}
		if q.For == 0 {
			q.For = r.For
		}
		on[r.Number] = &oddity{Quirk: q, row: r}
	}
	for n, o := range on {
		s.odds[n] = o
	}
	return nil
}

// SwitchOff switches quirks off; without names all of them.
func (s *Server) SwitchOff(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(names) == 0 {
		clear(s.odds)
	}
	for _, name := range names {
		if r, ok := row(name); ok {
			delete(s.odds, r.Number)
		}
	}
}

// Switched lists the quirks that are on, with how often each may still strike, by number.
func (s *Server) Switched() []Quirk {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Quirk{}
	for _, r := range Catalogue() {
		if o := s.odds[r.Number]; o != nil {
			q := o.Quirk
			q.Name = fmt.Sprintf("Q%d", r.Number)
			out = append(out, q)
		}
	}
	return out
}

// odd reports whether a quirk strikes now; ask only where there is an occasion, since it counts. The
// caller holds the lock.
func (s *Server) odd(n int) bool { _, strikes := s.oddly(n); return strikes }

// oddly is odd, and says which strike it is, from 0.
func (s *Server) oddly(n int) (strike int, strikes bool) {
	o := s.odds[n]
	if o == nil || o.Chance > 0 && s.dice.Float64() >= o.Chance {
		return 0, false
	}
	o.count++
	if o.Times > 0 {
		if o.Times--; o.Times == 0 {
			delete(s.odds, n)
		}
	}
	return o.count - 1, true
}

// lasts returns how long a quirk that is on lasts, 0 if it is off.
func (s *Server) lasts(n int) time.Duration {
	if o := s.odds[n]; o != nil {
		return time.Duration(o.For)
	}
	return 0
}
