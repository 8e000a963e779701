package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// maxAnswer bounds the body of an answer that is read into memory. A page of a thousand items
// takes some 2 MiB.
const maxAnswer = 64 << 20

// slowFactor is how much longer than the head of any answer that of a slow call may take.
const slowFactor = 5

// call is one thing asked of the service, before it is known how many requests it takes.
type call struct {
	op   string // for errors: "delta", "upload", …
	item string // for errors: what it is about

	method string
	url    string // absolute, escaped
	header map[string]string
	json   any              // body to encode, or nil
	stream func() io.Reader // body to send as it is, opened anew for every request, or nil
	length int64            // bytes of stream

	storage bool // to a pre-authenticated address: no token, and the address is a secret
	read    bool // changes nothing, so it may be repeated
	missing int  // how often "not found" is not believed
	broken  int  // how many requests may fail or break, of a read; 0 is maxBroken
	open    bool // leave the body of a good answer open, and the place taken, until it is closed
	slow    bool // the answer may take much longer than others

	price price // what it costs
	units int   // where the price is stated
}

// reply is an answer worth having: its status is 2xx or 3xx.
type reply struct {
	status int
	header http.Header
	body   []byte
	open   io.ReadCloser // instead of body, where the call said so
}

// decode reads the body as JSON. It returns false without one, since the service now and then
// answers 204, or nothing at all, where a body is documented (Q5, Q22).
func (r reply) decode(into any) bool {
	return len(bytes.TrimSpace(r.body)) > 0 && json.Unmarshal(r.body, into) == nil
}

// outcome is how one request ended: with a status, or with an error.
type outcome struct {
	reply
	err    error
	unsent bool   // with err: certainly nothing reached the service
	token  string // what the request carried
}

// do makes a call: as many requests as it takes, waiting where the service asks to. Errors are
// *graph.Error, or the context's.
func (c *Client) do(ctx context.Context, k call) (reply, error) {
	t := newTries(c.opts.Patience)
	for {
		began := time.Now()
		o := c.once(ctx, k)
		c.log(ctx, k, o, began)
		if k.method != http.MethodGet {
			graph.NoteRequests(ctx, o.header.Get("Request-Id"))
		}
		if o.err != nil && ctx.Err() != nil {
			return reply{}, fmt.Errorf("%s %s: %w", k.op, k.item, ctx.Err())
		}
		v := t.judge(k, o)
		switch v.what {
		case accept:
			return o.reply, nil
		case refresh:
			if _, err := c.opts.Tokens.Refresh(ctx, o.token, challenge(o.header)); err != nil {
				return reply{}, aboutToken(ctx, k, err)
			}
		case pause:
			c.gate.close(v.wait) // also where the service did not say for how long
		case again:
			if err := sleep(ctx, v.wait); err != nil {
				return reply{}, fmt.Errorf("%s %s: %w", k.op, k.item, err)
			}
		default:
			return reply{}, v.err
		}
	}
}

// once makes one request and reads the answer.
func (c *Client) once(ctx context.Context, k call) (o outcome) {
	places := c.calls
	switch {
	case k.open:
		places = c.downloads
	case k.storage:
		places = c.uploads
	}
	cost := c.units.of(k)
	if err := c.enter(ctx, places, cost); err != nil {
		return outcome{err: err, unsent: true}
	}
	left := false
	leave := func() {
		if !left {
			left = true
			places.leave()
		}
	}
	defer func() {
		if o.open == nil {
			leave()
		}
	}()
	answered := false
	answer := func() {
		if !answered {
			answered = true
			c.budget.answered(cost)
		}
	}
	defer answer()

	limit := c.opts.HeaderTimeout
	if k.slow {
		limit *= slowFactor
	}
	ctx, w := newWatch(ctx, limit)
	req, err := c.request(ctx, k, w, limit)
	if err != nil {
		w.stop()
		return outcome{err: err, unsent: true}
	}
	transport := c.opts.StorageTransport
	if !k.storage {
		transport = c.opts.Transport
		w.rest() // a sign-in has its own limits
		if o.token, err = c.opts.Tokens.Token(ctx); err != nil {
			w.stop()
			return outcome{err: err, unsent: true}
		}
		w.moved(limit)
		req.Header.Set("Authorization", "Bearer "+o.token)
	}
	began := time.Now()
	resp, err := transport.RoundTrip(req)
	answer()
	if err != nil {
		err = reason(ctx, err)
		w.stop()
		return outcome{err: err, unsent: unsent(err), token: o.token}
	}
	o.status, o.header = resp.StatusCode, resp.Header
	c.heard(k, o.status, o.header, began)
	if o.status < 500 && !refusesForNow(o.status) {
		places.answered(time.Since(began))
	}
	body := &watchedReader{ReadCloser: resp.Body, w: w, limit: c.opts.StallTimeout}
	if k.open && resp.StatusCode/100 == 2 {
		w.rest()
		o.open = &openBody{watchedReader: body, leave: leave}
		return o
	}
	o.body, err = io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err == nil && int64(len(o.body)) > maxAnswer {
		err = errors.New("the answer is too long")
	}
	if err != nil {
		o.err = reason(ctx, err)
	}
	_ = resp.Body.Close() // read to its end or broken; nothing to learn
	w.stop()
	return o
}

// request makes the request of a call, without token.
func (c *Client) request(ctx context.Context, k call, w *watch, limit time.Duration) (*http.Request, error) {
	u, err := url.Parse(k.url)
	switch {
	case err != nil:
		return nil, &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Message: "the service gave an address that is none"}
	case k.storage && (u.Scheme != "https" || u.Host == ""):
		return nil, &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Message: "the service gave an address that is not https"}
	case !k.storage && !c.ours(u):
		return nil, &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Message: "the service gave an address at another host than Graph's: " + shownHost(u)}
	}
	var body io.Reader
	switch {
	case k.json != nil:
		data, err := json.Marshal(k.json)
		if err != nil {
			return nil, &graph.Error{Op: k.op, Item: k.item, Kind: graph.Invalid, Err: err}
		}
		body = bytes.NewReader(data)
	case k.stream != nil && k.length == 0:
		body = http.NoBody
	case k.stream != nil:
		body = &watchedReader{ReadCloser: io.NopCloser(k.stream()), w: w, limit: limit, after: limit}
	}
	req, err := http.NewRequestWithContext(ctx, k.method, k.url, body)
	if err != nil {
		return nil, &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Message: "the service gave an address that is none"}
	}
	req.URL = u
	if k.stream != nil {
		req.ContentLength = k.length
	}
	if k.json != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !k.storage {
		req.Header.Set("Accept", "application/json")
	}
	req.Header.Set("User-Agent", c.userAgent)
	for name, value := range k.header {
		req.Header.Set(name, value)
	}
	return req, nil
}

// openBody is the body of an answer in the caller's hands.
type openBody struct {
	*watchedReader
	leave func()
}

// Close ends the request and gives its place back.
func (b *openBody) Close() error {
	err := b.ReadCloser.Close()
	b.w.stop()
	b.leave()
	return err
}

// log tells of one request, without what is secret: the query of an address, and all of a
// pre-authenticated one.
func (c *Client) log(ctx context.Context, k call, o outcome, began time.Time) {
	where := "storage"
	if !k.storage {
		where, _, _ = strings.Cut(strings.TrimPrefix(k.url, c.root), "?")
	}
	args := []any{"op", k.op, "method", k.method, "where", where, "status", o.status, "took", time.Since(began).Round(time.Millisecond)}
	if o.err != nil {
		args = append(args, "error", redact(o.err.Error()))
	}
	if id := o.header.Get("Request-Id"); id != "" {
		args = append(args, "request", id)
	}
	c.opts.Logger.DebugContext(ctx, "graph", args...)
}

// aboutToken places an error of the token source.
func aboutToken(ctx context.Context, k call, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", k.op, k.item, ctx.Err())
	}
	var e *graph.Error
	if errors.As(err, &e) {
		return e
	}
	return &graph.Error{Op: k.op, Item: k.item, Kind: graph.SignIn, Err: err}
}
