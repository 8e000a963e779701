package graphtest

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"
)

// cursor is what the token of a link says. Clients see it as an opaque string.
type cursor struct {
	World  string `json:"w"` // of which emulator, or state folder
	Epoch  int    `json:"e"`
	From   int64  `json:"f"`           // changes up to this one are known
	Full   int64  `json:"s,omitempty"` // of an enumeration: where the feed stood when it began, plus one
	Below  string `json:"b,omitempty"` // id of the folder asked about
	Select string `json:"c,omitempty"`
	Top    int    `json:"t,omitempty"`
	Begun  bool   `json:"g,omitempty"` // the empty first page was sent
}

func (k cursor) String() string {
	raw, _ := json.Marshal(k) // plain values always marshal
	return base64.RawURLEncoding.EncodeToString(raw)
}

// delta answers with a page of the change feed (graph-facts §4).
func (c *call) delta(it *item) (*reply, error) {
	d := c.drive
	if c.r.Method != http.MethodGet {
		return nil, &apiError{status: http.StatusMethodNotAllowed, code: "BadRequest", msg: "The method is not supported here."}
	}
	lag := c.s.lag
	if more := c.s.lasts(8); more > lag && c.s.odd(8) {
		lag = more
	}
	head := d.visible(c.s.now().Add(-lag))
	k := cursor{World: c.s.world(), Epoch: d.epoch, Full: head + 1, Below: it.id, Select: option(c.q, "select"), Top: top(c.q, c.feedPage())}
	token := c.q.Get("token")
	if token == "" {
		token = c.q.Get("$deltatoken")
	}
	if c.rt.arg != "" {
		token = c.rt.arg
	}
	switch {
	case token == "":
	case token == "latest":
		k.Full, k.From = 0, head
		return c.page(nil, "", c.feedLink(k)), nil
	default:
		if at, err := time.Parse(time.RFC3339, token); err == nil && d.kind != Personal {
			k.Full = 0
			i := sort.Search(len(d.log), func(i int) bool { return !d.log[i].at.Before(at) })
			if i > 0 {
				k.From = d.log[i-1].seq
			}
			break
		}
		raw, err := base64.RawURLEncoding.DecodeString(token)
		k = cursor{}
		if err != nil || json.Unmarshal(raw, &k) != nil || k.Top <= 0 {
			return nil, errInvalid("The token is malformed.")
		}
	}
	if k.Full == 0 {
		head = max(head, k.From) // what a feed has told it does not take back
	}
	if k.World != c.s.world() || k.Epoch != d.epoch {
		return nil, c.gone()
	}
	if c.s.opts.EmptyFirstPage && !k.Begun && k.Full > 0 {
		k.Begun = true
		return c.page(nil, c.feedLink(k), ""), nil
	}
	entries, next := d.changes(&k, head)
	value := c.feedItems(entries, k)
	k.From = next
	if next < head {
		return c.page(value, c.feedLink(k), ""), nil
	}
	k.Full, k.Begun = 0, false
	return c.page(value, "", c.feedLink(k)), nil
}

func (c *call) feedPage() int {
	if c.s.opts.FeedPage > 0 {
		return c.s.opts.FeedPage
	}
	return 200
}

// visible returns the number of the newest change not younger than a moment.
func (d *Drive) visible(at time.Time) int64 {
	i := sort.Search(len(d.log), func(i int) bool { return d.log[i].at.After(at) })
	if i == 0 {
		return 0
	}
	return d.log[i-1].seq
}

// changes collects the items of one page: those whose newest change lies behind the cursor. It
// returns them and where the next page begins.
func (d *Drive) changes(k *cursor, head int64) ([]*item, int64) {
	i := sort.Search(len(d.log), func(i int) bool { return d.log[i].seq > k.From })
	var out []*item
	for ; i < len(d.log) && d.log[i].seq <= head; i++ {
		e := d.log[i]
		switch {
		case e.it.seq != e.seq: // changed again later
			continue
		case d.hidden(e.it):
			continue
		case e.it.deleted && k.Full > 0 && e.seq < k.Full: // gone before the enumeration began
			continue
		case !e.it.under(k.Below, d), e.it.deleted && (d.s.quirks.LoseTombstones || d.s.odd(9)):
			continue
		}
		if len(out) == k.Top {
			return out, d.log[i].seq - 1
		}
		out = append(out, e.it)
	}
	return out, head
}

// under reports whether an item is a folder or lies below it.
func (it *item) under(id string, d *Drive) bool {
	if id == d.root.id {
		return true
	}
	for ; it != nil; it = it.parent {
		if it.id == id {
			return true
		}
	}
	return false
}

// feedItems builds the entries of a page: every changed item, and before it the folders above it.
func (c *call) feedItems(entries []*item, k cursor) []object {
	d := c.drive
	var fields []string
	if k.Select != "" {
		fields = append(strings.Split(k.Select, ","), "deleted", "root")
	}
	storage := c.storage
	if fields != nil {
		storage = "" // the address comes only without $select
	}
	bare := strings.Contains(strings.ToLower(c.r.Header.Get("Prefer")), "deltaexcludeparent") || c.r.Header.Get("deltaExcludeParent") != ""
	told := d.kind != Personal && (c.who.allows.full || !c.who.allows.limited) && c.prefers("deltashowsharingchanges") && c.prefers("deltashowremovedasdeleted") && c.prefers("deltatraversepermissiongaps")
	sent := map[*item]bool{}
	value := []object{}
	emit := func(it *item) {
		if sent[it] {
			return
		}
		sent[it] = true
		o := d.build(it, storage, true)
		if it.deleted {
			o = d.tombstone(it)
		} else if told && d.sharedAt[it.id] == it.seq && !it.folder {
			o["@microsoft.graph.sharedChanged"] = "True" // on files alone (issue msgraph-sdk-java 2548)
		}
		if !it.folder && !it.deleted && (c.s.quirks.DuplicateFeed || c.s.odd(11)) {
			value = append(value, selected(c.s.quirks.stale(o), fields))
		}
		value = append(value, selected(o, fields))
	}
	for _, it := range entries {
		var chain []*item
		for p := it.parent; p != nil && !it.deleted; p = p.parent {
			if !bare || p == d.root {
				chain = append(chain, p)
			}
		}
		for _, p := range slices.Backward(chain) {
			emit(p)
		}
		emit(it)
	}
	if len(entries) > 0 && !sent[d.root] && k.Below == d.root.id {
		emit(d.root)
	}
	if c.s.opts.ShuffleFeed {
		rng := rand.New(rand.NewPCG(c.s.opts.Seed, uint64(k.From)))
		rng.Shuffle(len(value), func(i, j int) { value[i], value[j] = value[j], value[i] })
	}
	if c.s.odds[10] != nil && c.s.odd(10) {
		value = atEnd(value)
	}
	return value
}

// prefers reports whether a Prefer header names something.
func (c *call) prefers(what string) bool {
	for _, h := range c.r.Header.Values("Prefer") {
		for p := range strings.SplitSeq(h, ",") {
			if strings.EqualFold(strings.TrimSpace(p), what) {
				return true
			}
		}
	}
	return false
}

func (c *call) page(value []object, next, delta string) *reply {
	if value == nil {
		value = []object{}
	}
	o := object{"@odata.context": "https://" + c.r.Host + "/v1.0/$metadata#Collection(driveItem)", "value": value}
	if next != "" {
		o["@odata.nextLink"] = next
	} else {
		o["@odata.deltaLink"] = delta
	}
	return jsonReply(http.StatusOK, o)
}

// feedLink builds the link for a cursor, always in the query form.
func (c *call) feedLink(k cursor) string {
	p := c.r.URL.Path
	if i := strings.LastIndex(p, "/delta"); i >= 0 {
		p = p[:i] + "/delta"
	}
	u := url.URL{Scheme: "https", Host: c.r.Host, Path: p}
	return u.String() + "?token=" + url.QueryEscape(k.String())
}

// world tells tokens of this service from those of another that had its address, and maybe its ids, before.
func (s *Server) world() string { return s.sign("feed")[:8] }

// gone answers 410: the token is from before the service forgot.
func (c *call) gone() error {
	e := &apiError{status: http.StatusGone, code: "resyncRequired", header: http.Header{},
		msg: "Resync required. Replace any local items with the server's version (including deletes) if you're sure that the service was up to date with your local changes when you last sync'd. Upload any local changes that the server doesn't know about."}
	e.inner = c.drive.resync
	p := c.r.URL.Path
	if i := strings.LastIndex(p, "/delta"); i >= 0 {
		p = p[:i] + "/delta"
	}
	u := url.URL{Scheme: "https", Host: c.r.Host, Path: p}
	e.header.Set("Location", u.String())
	return e
}

// ForgetFeed makes every token given so far answer 410. code is the inner code of that answer, such
// as "resyncChangesApplyDifferences"; empty sends none, as the real service often does.
func (d *Drive) ForgetFeed(code string) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.epoch++
	d.resync = code
}
