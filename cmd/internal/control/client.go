package control

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/upload"
)

// Client is a daemon at the other end of its socket.
type Client struct {
	mount string
	http  *http.Client
}

var _ API = (*Client)(nil)

// NewClient returns a client of the daemon that serves mount on a socket. It connects when asked
// for something.
func NewClient(mount, socket string) *Client {
	var d net.Dialer
	return &Client{mount: mount, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}}
}

// Mount is the mountpoint that the daemon serves.
func (c *Client) Mount() string { return c.mount }

// Status implements API.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, http.MethodGet, "status", nil)
}

// Refresh implements API.
func (c *Client) Refresh(ctx context.Context) (flush.RefreshResult, error) {
	return get[flush.RefreshResult](ctx, c, http.MethodPost, "refresh", nil)
}

// Diff implements API.
func (c *Client) Diff(ctx context.Context, paths []string) ([]Change, error) {
	return get[[]Change](ctx, c, http.MethodPost, "diff", paths)
}

// Discard implements API.
func (c *Client) Discard(ctx context.Context, r DiscardRequest) ([]Discarded, error) {
	return stream[[]Discarded](ctx, c, "discard", r, nil)
}

// Conflicts implements API.
func (c *Client) Conflicts(ctx context.Context, paths []string) ([]Pair, error) {
	return get[[]Pair](ctx, c, http.MethodPost, "conflicts", paths)
}

// Resolve implements API.
func (c *Client) Resolve(ctx context.Context, r ResolveRequest) error {
	_, err := get[struct{}](ctx, c, http.MethodPost, "resolve", r)
	return err
}

// Pause implements API.
func (c *Client) Pause(ctx context.Context, r PauseRequest) error {
	_, err := get[struct{}](ctx, c, http.MethodPost, "pause", r)
	return err
}

// Doctor implements API.
func (c *Client) Doctor(ctx context.Context, r DoctorRequest) ([]Finding, error) {
	return get[[]Finding](ctx, c, http.MethodPost, "doctor", r)
}

// Unmount implements API.
func (c *Client) Unmount(ctx context.Context) error {
	body, err := c.do(ctx, http.MethodPost, "unmount", nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// Flush implements API.
func (c *Client) Flush(ctx context.Context, r FlushRequest, progress func(flush.Progress)) (flush.Result, error) {
	return stream[flush.Result](ctx, c, "flush", r, progress)
}

// Upload implements API.
func (c *Client) Upload(ctx context.Context, r UploadRequest, progress func(flush.Progress)) (upload.Result, error) {
	return stream[upload.Result](ctx, c, "upload", r, progress)
}

// stopWait is how long a call that was stopped may take until it has ended.
const stopWait = 5 * time.Second

// stream makes a call that tells how far it has come. Where ctx ends first, the daemon is asked to stop, and how far it
// came by then is returned with the error of ctx.
func stream[R any](ctx context.Context, c *Client, what string, in any, progress func(flush.Progress)) (R, error) {
	var none R
	calling, cut := context.WithCancel(context.WithoutCancel(ctx))
	name, stopped := rand.Text(), make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(stopped)
		defer cut()
		wait, end := context.WithTimeout(calling, stopWait)
		defer end()
		if _, err := get[struct{}](wait, c, http.MethodPost, "stop", name); err == nil {
			<-wait.Done()
		}
	})
	defer func() {
		cut()
		if !forget() {
			<-stopped
		}
	}()
	body, err := c.doNamed(calling, name, http.MethodPost, what, in)
	if err != nil {
		return none, cmp.Or(ctx.Err(), err)
	}
	defer func() { _ = body.Close() }() // read only
	lines := json.NewDecoder(body)
	for {
		var l line[R]
		if err := lines.Decode(&l); err != nil {
			if ctx.Err() != nil {
				return none, ctx.Err()
			}
			return none, fmt.Errorf("the daemon of %s stopped in the midst of the %s; unsent changes are kept", c.mount, what)
		}
		if l.Progress != nil {
			if progress != nil {
				progress(*l.Progress)
			}
			continue
		}
		var res R
		if l.Result != nil { // an empty list comes as none
			res = *l.Result
		}
		switch {
		case l.Error == nil:
			return res, nil
		case ctx.Err() != nil:
			return res, ctx.Err()
		default:
			return res, l.Error
		}
	}
}

func get[T any](ctx context.Context, c *Client, method, what string, in any) (T, error) {
	var v T
	body, err := c.do(ctx, method, what, in)
	if err != nil {
		return v, err
	}
	defer func() { _ = body.Close() }() // read only
	if err := json.NewDecoder(body).Decode(&v); err != nil {
		return v, fmt.Errorf("%s: the daemon of %s gave an answer that cannot be read: %w", what, c.mount, err)
	}
	return v, nil
}

func (c *Client) do(ctx context.Context, method, what string, v any) (io.ReadCloser, error) {
	return c.doNamed(ctx, "", method, what, v)
}

// doNamed makes a call that can be stopped by its name.
func (c *Client) doNamed(ctx context.Context, name, method, what string, v any) (io.ReadCloser, error) {
	var in io.Reader
	if v != nil {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://duskfs/v1/"+what, in)
	if err != nil {
		return nil, err
	}
	if name != "" {
		req.Header.Set(callName, name)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if nobodyThere(err) {
			return nil, fmt.Errorf("%w at %s: start one with `duskfs mount`", ErrNoDaemon, c.mount)
		}
		return nil, fmt.Errorf("%s: the daemon of %s does not answer: %w", what, c.mount, errors.Unwrap(err))
	}
	if res.StatusCode < 300 {
		return res.Body, nil
	}
	defer func() { _ = res.Body.Close() }() // read only
	f := &Failure{}
	if err := json.NewDecoder(res.Body).Decode(f); err != nil || f.Message == "" {
		return nil, fmt.Errorf("%s: the daemon of %s answered %s", what, c.mount, res.Status)
	}
	return nil, f
}

// nobodyThere reports whether an error means that no daemon listens, or that it died before it
// answered.
func nobodyThere(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}
