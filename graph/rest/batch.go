package rest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// maxBatch is how many requests the service takes in one batch (graph-facts §8).
const maxBatch = 20

var _ graph.Batcher = (*Drive)(nil)

// Batch makes calls, up to twenty in one request. Each is judged by itself: one that was throttled, or whose
// parent is not seen yet, is asked for again without those that are done. Where the service takes fewer in a batch, batches
// become smaller, and in the end plain calls.
func (d *Drive) Batch(ctx context.Context, calls []graph.Call) []graph.Result {
	results := make([]graph.Result, len(calls))
	var changes []*change
	var parts []*part
	for i, c := range calls {
		m := &change{c: c, result: &results[i]}
		if m.result.Err = m.prepare(d); m.result.Err == nil {
			changes, parts = append(changes, m), append(parts, &m.part)
		}
	}
	d.c.together(ctx, parts)
	for _, m := range changes {
		m.finish(ctx, d)
	}
	return results
}

// part is one request of a batch: k before, reply or err after.
type part struct {
	k     call
	tries *tries
	reply reply
	err   error
}

// together makes the requests of all parts, in batches.
func (c *Client) together(ctx context.Context, parts []*part) {
	for _, p := range parts {
		p.tries = newTries(c.opts.Patience)
	}
	size := maxBatch
	for todo := parts; len(todo) > 0; {
		n := min(size, len(todo))
		left, wait, refused := c.round(ctx, todo[:n])
		if refused {
			size = max(1, n/2)
			continue
		}
		todo = slices.Concat(left, todo[n:])
		if err := sleep(ctx, wait); err != nil {
			for _, p := range todo {
				p.err = fmt.Errorf("%s %s: %w", p.k.op, p.k.item, err)
			}
			return
		}
	}
}

// change is one call of Drive.Batch.
type change struct {
	part
	c      graph.Call
	s      *sending // of DoBegin
	result *graph.Result
}

// prepare finds out which request a call is.
func (m *change) prepare(d *Drive) error {
	switch c := m.c; c.Do {
	case graph.DoMkdir:
		m.k = d.mkdirCall(c.Parent, c.Name)
	case graph.DoUpdate:
		m.k = d.updateCall(c.ID, c.Change, c.IfMatch)
	case graph.DoDelete:
		m.k = d.deleteCall(c.ID, c.IfMatch)
	case graph.DoBegin:
		m.s = newSending(d, c.Upload)
		if !m.s.sensible() || c.Upload.Size == 0 {
			return m.s.fault(graph.Invalid, "the upload says not what goes where")
		}
		m.k = m.s.beginCall()
	default:
		return &graph.Error{Op: "batch", Kind: graph.Invalid, Message: "the call says not what to do"}
	}
	return nil
}

// batchRequest is a request inside a batch.
type batchRequest struct {
	ID      string            `json:"id"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    any               `json:"body,omitempty"`
}

// batchReply is an answer inside the answer to a batch.
type batchReply struct {
	ID      string                `json:"id"`
	Status  int                   `json:"status"`
	Headers map[string]flexString `json:"headers"`
	Body    json.RawMessage       `json:"body"`
}

// flexString is a text that may come as something else.
type flexString string

func (s *flexString) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		text = strings.Trim(string(b), `"[]`)
	}
	*s = flexString(text)
	return nil
}

// round makes one request of some parts and judges what came back. It returns the parts to ask for again, and
// how long to wait before. refused says that the service does not take that many at once: nothing was done.
func (c *Client) round(ctx context.Context, parts []*part) (left []*part, wait time.Duration, refused bool) {
	if len(parts) == 1 { // would gain nothing by a batch
		p := parts[0]
		p.reply, p.err = c.do(ctx, p.k)
		return nil, 0, false
	}
	token, err := c.opts.Tokens.Token(ctx)
	var r reply
	if err == nil {
		r, err = c.do(ctx, c.batchCall(parts))
	}
	if err != nil {
		if tooMany(err) {
			return nil, 0, true
		}
		for _, p := range parts {
			p.err = p.outer(err)
		}
		return nil, 0, false
	}
	var body struct {
		Responses []batchReply `json:"responses"`
	}
	r.decode(&body) // whatever is missing is lost
	answers := map[string]batchReply{}
	for _, a := range body.Responses {
		answers[a.ID] = a
	}
	renewed := false
	for i, p := range parts {
		o := outcome{err: errors.New("the service answered a batch without saying how this ended")}
		if a, ok := answers[strconv.Itoa(i+1)]; ok {
			o = outcome{reply: a.reply()}
		}
		switch v := p.tries.judge(p.k, o); v.what {
		case accept:
			p.reply = o.reply
			continue
		case fail:
			p.err = v.err
			continue
		case refresh:
			if !renewed {
				if _, err := c.opts.Tokens.Refresh(ctx, token, challenge(o.header)); err != nil {
					p.err = aboutToken(ctx, p.k, err)
					continue
				}
				renewed = true
			}
		case pause:
			c.heard(p.k, o.status, o.header, time.Now())
			c.gate.close(v.wait)
		case again:
			wait = max(wait, v.wait)
		}
		left = append(left, p)
	}
	return left, wait, false
}

// batchCall makes the request that holds those of some parts. It reads if they all do.
func (c *Client) batchCall(parts []*part) call {
	k := call{op: "batch", item: fmt.Sprintf("of %d", len(parts)), method: http.MethodPost, url: c.address("/$batch"),
		price: stated, slow: true, read: true}
	requests := make([]batchRequest, len(parts))
	for i, p := range parts {
		headers := map[string]string{}
		for name, value := range p.k.header {
			headers[name] = value
		}
		if p.k.json != nil {
			headers["Content-Type"] = "application/json"
		}
		requests[i] = batchRequest{ID: strconv.Itoa(i + 1), Method: p.k.method, URL: strings.TrimPrefix(p.k.url, c.address("")),
			Headers: headers, Body: p.k.json}
		k.units += c.units.of(p.k) // batching saves round trips, no units
		k.read = k.read && p.k.read
	}
	k.json = map[string]any{"requests": requests}
	return k
}

// reply makes an inner answer look like one that came alone. A body that is no JSON comes as base64.
func (a batchReply) reply() reply {
	r := reply{status: a.Status, header: http.Header{}, body: a.Body}
	for name, value := range a.Headers {
		r.header.Set(name, string(value))
	}
	var text string
	if json.Unmarshal(a.Body, &text) == nil {
		r.body = []byte(text)
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			r.body = raw
		}
	}
	return r
}

// tooMany reports whether a whole batch was refused: for what it holds, or since there are no batches here. The
// text is not asked: smaller batches find out.
func tooMany(err error) bool {
	switch statusOf(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusNotImplemented:
		return true
	}
	return false
}

// outer says in the terms of a part what became of the whole batch.
func (p *part) outer(err error) error {
	var e *graph.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s %s: %w", p.k.op, p.k.item, err)
	}
	mine := *e
	if mine.Op == "batch" {
		mine.Op, mine.Item = p.k.op, p.k.item
	}
	return &mine
}

// finish turns the answer into a result, where need be with a look at what was made.
func (m *change) finish(ctx context.Context, d *Drive) {
	c, r := m.c, m.result
	r.Err = m.err
	switch {
	case c.Do == graph.DoDelete:
		r.Err = d.deleteDone(ctx, c.ID, r.Err)
	case r.Err != nil && c.Do == graph.DoMkdir:
		r.Err = d.whyMissing(ctx, c.Parent, c.Name, r.Err)
	case r.Err != nil && c.Do == graph.DoBegin:
		r.Err = m.s.taken(ctx, r.Err)
	case r.Err != nil:
	case c.Do == graph.DoMkdir:
		r.Item, r.Err = d.mkdirDone(ctx, m.k, c.Parent, m.reply)
	case c.Do == graph.DoUpdate:
		r.Item, r.Err = d.patchDone(ctx, m.k, c.ID, m.reply)
	case c.Do == graph.DoBegin:
		r.Session, r.Err = m.s.begun(m.reply)
	}
}
