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
	var parts []*part
	for i, c := range calls {
		p := &part{c: c, result: &results[i], tries: newTries(d.c.opts.Patience)}
		if p.result.Err = p.prepare(d); p.result.Err == nil {
			parts = append(parts, p)
		}
	}
	size := maxBatch
	for todo := parts; len(todo) > 0; {
		n := min(size, len(todo))
		left, wait, refused := d.round(ctx, todo[:n])
		if refused {
			size = max(1, n/2)
			continue
		}
		todo = slices.Concat(left, todo[n:])
		if err := sleep(ctx, wait); err != nil {
			for _, p := range todo {
				p.result.Err = fmt.Errorf("%s %s: %w", p.k.op, p.k.item, err)
			}
			break
		}
	}
	for _, p := range parts {
		p.finish(ctx, d)
	}
	return results
}

// part is one call of a batch.
type part struct {
	c      graph.Call
	k      call
	s      *sending // of DoBegin
	tries  *tries
	reply  reply // unless it failed
	result *graph.Result
}

// prepare finds out which request a call is.
func (p *part) prepare(d *Drive) error {
	switch c := p.c; c.Do {
	case graph.DoMkdir:
		p.k = d.mkdirCall(c.Parent, c.Name)
	case graph.DoUpdate:
		p.k = d.updateCall(c.ID, c.Change, c.IfMatch)
	case graph.DoDelete:
		p.k = d.deleteCall(c.ID, c.IfMatch)
	case graph.DoBegin:
		p.s = newSending(d, c.Upload)
		if !p.s.sensible() || c.Upload.Size == 0 {
			return p.s.fault(graph.Invalid, "the upload says not what goes where")
		}
		p.k = p.s.beginCall()
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
func (d *Drive) round(ctx context.Context, parts []*part) (left []*part, wait time.Duration, refused bool) {
	if len(parts) == 1 { // would gain nothing by a batch
		p := parts[0]
		p.reply, p.result.Err = d.c.do(ctx, p.k)
		return nil, 0, false
	}
	token, err := d.c.opts.Tokens.Token(ctx)
	var r reply
	if err == nil {
		r, err = d.c.do(ctx, d.batchCall(parts))
	}
	if err != nil {
		if tooMany(err) {
			return nil, 0, true
		}
		for _, p := range parts {
			p.result.Err = p.outer(err)
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
		a, ok := answers[strconv.Itoa(i+1)]
		if !ok {
			p.result.Err = &graph.Error{Op: p.k.op, Item: p.k.item, Kind: graph.Lost, Status: r.status, Message: "the service answered a batch without saying how this ended"}
			continue
		}
		o := outcome{reply: a.reply()}
		switch v := p.tries.judge(p.k, o); v.what {
		case accept:
			p.reply = o.reply
			continue
		case fail:
			p.result.Err = v.err
			continue
		case refresh:
			if !renewed {
				if _, err := d.c.opts.Tokens.Refresh(ctx, token, challenge(o.header)); err != nil {
					p.result.Err = aboutToken(ctx, p.k, err)
					continue
				}
				renewed = true
			}
		case pause:
			d.c.heard(p.k, o.status, o.header, time.Now())
			d.c.gate.close(v.wait)
		case again:
			wait = max(wait, v.wait)
		}
		left = append(left, p)
	}
	return left, wait, false
}

// batchCall makes the request that holds those of some parts.
func (d *Drive) batchCall(parts []*part) call {
	k := call{op: "batch", item: fmt.Sprintf("of %d", len(parts)), method: http.MethodPost, url: d.c.address("/$batch"),
		price: stated, slow: true}
	requests := make([]batchRequest, len(parts))
	for i, p := range parts {
		headers := map[string]string{}
		for name, value := range p.k.header {
			headers[name] = value
		}
		if p.k.json != nil {
			headers["Content-Type"] = "application/json"
		}
		requests[i] = batchRequest{ID: strconv.Itoa(i + 1), Method: p.k.method, URL: strings.TrimPrefix(p.k.url, d.c.address("")),
			Headers: headers, Body: p.k.json}
		k.units += d.c.units.of(p.k) // batching saves round trips, no units
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
func (p *part) finish(ctx context.Context, d *Drive) {
	c, r := p.c, p.result
	switch {
	case c.Do == graph.DoDelete:
		r.Err = d.deleteDone(ctx, c.ID, r.Err)
	case r.Err != nil && c.Do == graph.DoMkdir:
		r.Err = d.whyMissing(ctx, c.Parent, c.Name, r.Err)
	case r.Err != nil && c.Do == graph.DoBegin:
		r.Err = p.s.taken(ctx, r.Err)
	case r.Err != nil:
	case c.Do == graph.DoMkdir:
		r.Item, r.Err = d.mkdirDone(ctx, p.k, c.Parent, p.reply)
	case c.Do == graph.DoUpdate:
		r.Item, r.Err = d.patchDone(ctx, p.k, c.ID, p.reply)
	case c.Do == graph.DoBegin:
		r.Session, r.Err = p.s.begun(p.reply)
	}
}
