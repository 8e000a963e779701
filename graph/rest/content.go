package rest

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
)

const (
	maxAddressTries = 3 // addresses that one opening uses up
	maxHops         = 3 // redirects that a storage host may answer in a row
	maxResumes      = 4 // breaks in a row without a byte between them
)

// Content opens n bytes from off. The bytes are of version v: it is compared when the address is
// fetched, the storage host's tag with every further piece, and the hash where all is read. A long range comes by
// several connections at once.
func (d *Drive) Content(ctx context.Context, id graph.ItemID, v graph.Version, off, n int64) (io.ReadCloser, error) {
	if n <= 0 || off < 0 {
		return nil, &graph.Error{Op: "read", Item: string(id), Kind: graph.Invalid, Message: fmt.Sprintf("no such range: %d bytes from %d", n, off)}
	}
	r := &download{ctx: ctx, d: d, id: id, version: v, pos: off, end: off + n}
	if off == 0 && n == v.Size && v.Hash != "" {
		r.sum = graph.NewQuickXor()
	}
	if n >= wideMin {
		return newWide(r)
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

// download reads a range and goes on where a connection broke. It is used by one goroutine.
type download struct {
	ctx      context.Context // of Content: io.Reader has no place for one
	d        *Drive
	id       graph.ItemID
	version  graph.Version
	pos, end int64
	body     io.ReadCloser
	past     string    // path of an old version's bytes, if one is read
	sum      hash.Hash // of all bytes so far, where the whole file is read
	breaks   int
	err      error // final
}

// Read gives bytes of the version asked for, or an error; io.EOF at the end of the range only.
func (r *download) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.pos == r.end {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if r.body == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.pos)])
		if n > 0 {
			r.breaks = 0
			if r.err = r.arrived(p[:n]); r.err != nil {
				return 0, r.err
			}
			return n, nil
		}
		if err == nil {
			continue
		}
		_ = r.body.Close()
		r.body = nil
		if r.ctx.Err() != nil {
			return 0, fmt.Errorf("read %s: %w", r.id, r.ctx.Err())
		}
		if r.breaks++; r.breaks > maxResumes {
			message := "the bytes end too early"
			if !errors.Is(err, io.EOF) {
				message = redact(err.Error())
			}
			return 0, &graph.Error{Op: "read", Item: string(r.id), Kind: graph.Offline, Message: message}
		}
		if err := sleep(r.ctx, missingFirst<<r.breaks); err != nil {
			return 0, fmt.Errorf("read %s: %w", r.id, err)
		}
	}
}

// arrived counts bytes. The last ones of a whole file are handed out only if the hash is right,
// or if the service says that the version stands: it serves some types with other bytes than it
// lists (Q14, Q15).
func (r *download) arrived(p []byte) error {
	r.pos += int64(len(p))
	if r.sum == nil {
		return nil
	}
	r.sum.Write(p)
	if r.pos < r.end || graph.HashOf(r.sum) == r.version.Hash {
		return nil
	}
	r.d.c.urls.drop(place{r.d.id, r.id})
	_, _, err := r.address()
	return err
}

// Close ends the transfer.
func (r *download) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}

// address returns where the bytes are, asking the service unless it was asked a moment ago. It
// fails with Changed if the item has another version by now.
func (r *download) address() (h held, fresh bool, err error) {
	if r.past != "" {
		at, err := r.d.pastAddress(r.ctx, r.id, r.past)
		return held{url: at, version: r.version}, true, err
	}
	here := place{r.d.id, r.id}
	anyVersion := r.version == graph.Version{}
	if h, ok := r.d.c.urls.get(here); ok && (anyVersion || h.version.Same(r.version)) {
		return h, false, nil
	}
	// The item was seen somewhere, so that it is not there by its id is not believed for long (Q2).
	w, err := r.d.getItem(r.ctx, call{op: "read", item: string(r.id), url: r.d.c.address(r.d.itemPath(r.id)), missing: freshMissing})
	if err != nil {
		return held{}, false, err
	}
	i := w.item()
	switch {
	case i.Type != graph.File:
		return held{}, false, &graph.Error{Op: "read", Item: string(r.id), Kind: graph.Invalid, Message: "a " + i.Type.String() + " has no bytes"}
	case !anyVersion && !i.Version().Same(r.version):
		return held{}, false, &graph.Error{Op: "read", Item: string(r.id), Kind: graph.Changed, Message: "the file has other content by now"}
	}
	if w.Download == "" { // some answers leave it out; asking for the bytes redirects to it
		k := call{op: "read", item: string(r.id), method: http.MethodGet, url: r.d.c.address(r.d.itemPath(r.id) + "/content"), read: true, missing: knownMissing}
		if w.Download, err = r.d.redirect(r.ctx, k); err != nil {
			return held{}, false, err
		}
	}
	h = held{url: w.Download, version: i.Version(), until: time.Now().Add(addressLife)}
	r.d.c.urls.put(here, h)
	return h, true, nil
}

// redirect asks for bytes and returns the address it is sent to.
func (d *Drive) redirect(ctx context.Context, k call) (string, error) {
	a, err := d.c.do(ctx, k)
	if err != nil {
		return "", err
	}
	if to := a.header.Get("Location"); to != "" {
		return to, nil
	}
	return "", &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Status: a.status, Message: "the service does not say where the bytes are"}
}

// open opens the bytes from pos to end. An address that is used up, or an answer that does not fit
// the version, is followed by a new address, which compares the version again.
func (r *download) open() error {
	here := place{r.d.id, r.id}
	for left := maxAddressTries - 1; ; left-- {
		h, fresh, err := r.address()
		if err != nil {
			return err
		}
		a, err := r.d.c.fetch(r.ctx, string(r.id), h.url, r.pos, r.end)
		if err == nil {
			if err = r.fits(&h, a); err == nil || left == 0 && errors.Is(err, errOtherTag) {
				r.keep(here, h)
				r.body, err = position(a, r.pos)
				return err
			}
			_ = a.open.Close()
		}
		r.d.c.urls.drop(here)
		if left == 0 || !another(err, fresh, left < maxAddressTries-1) {
			return r.oddSize(err)
		}
	}
}

// errOtherTag says that the storage host has another tag than before.
var errOtherTag = errors.New("the storage host has another tag")

// fits finds out whether an answer is of the version asked for, as far as its head tells.
func (r *download) fits(h *held, a reply) error {
	if actual, ok := length(a); ok && r.version != (graph.Version{}) && actual != r.version.Size {
		return &SizeError{Actual: actual}
	}
	if !h.believes(a.header) {
		return errOtherTag
	}
	return nil
}

// keep keeps an address for the next piece. Without a tag that piece could be of another version
// without a sign of it.
func (r *download) keep(here place, h held) {
	if h.tag == "" || r.past != "" {
		r.d.c.urls.drop(here)
		return
	}
	r.d.c.urls.put(here, h)
}

// another reports whether a new address may help. Of the sizes the service was asked twice before it
// is believed to be at odds with itself; a refusal of a fresh address is meant (Q3).
func another(err error, fresh, repeated bool) bool {
	var size *SizeError
	switch {
	case errors.As(err, &size):
		return !fresh || !repeated
	case errors.Is(err, errOtherTag):
		return true
	case statusOf(err) == http.StatusForbidden:
		return !fresh
	case statusOf(err)/100 == 3: // sent nowhere (Q22)
		return true
	}
	return expired(err)
}

// oddSize completes the error for a file that is listed with a wrong size.
func (r *download) oddSize(err error) error {
	var size *SizeError
	if !errors.As(err, &size) {
		return err
	}
	return &graph.Error{Op: "read", Item: string(r.id), Kind: graph.Failed, Err: &SizeError{Listed: r.version.Size, Actual: size.Actual}}
}

// believes reports whether an answer of the storage host is still of the version that the address
// was given for. The host's ETag is the item's; where it has another form it stays what it was.
func (h *held) believes(header http.Header) bool {
	tag := header.Get("ETag")
	if tag == "" || tag == h.tag {
		return true
	}
	first := h.tag == ""
	h.tag = tag
	comparable := strings.HasPrefix(tag, `"{`) && strings.HasPrefix(h.version.ETag, `"{`)
	return first && (!comparable || tag == h.version.ETag)
}

// SizeError is the cause of a Failed download whose file is listed with another size than its bytes
// have, as happens to Office files and live photos (Q14, Q15). Handing out the listed number of
// bytes would cut the file short, or wait for bytes that there are not.
type SizeError struct {
	Listed, Actual int64 // bytes
}

// Error says both sizes.
func (e *SizeError) Error() string {
	return fmt.Sprintf("the service lists %d bytes and has %d", e.Listed, e.Actual)
}

// length returns how long the whole file is by an answer of the storage host, if that says so.
func length(a reply) (int64, bool) {
	text := a.header.Get("Content-Length")
	if a.status == http.StatusPartialContent || a.status == http.StatusRequestedRangeNotSatisfiable {
		_, text, _ = strings.Cut(a.header.Get("Content-Range"), "/")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

// expired tells the answers to an address that is used up.
func expired(err error) bool {
	switch statusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone, http.StatusRequestedRangeNotSatisfiable:
		return true
	}
	return false
}

func statusOf(err error) int {
	var e *graph.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// fetch asks a storage host for the bytes from off to end, which is behind the last.
func (c *Client) fetch(ctx context.Context, item, from string, off, end int64) (reply, error) {
	for hop := 0; ; hop++ {
		a, err := c.do(ctx, call{op: "read", item: item, method: http.MethodGet, url: from, storage: true, read: true, open: true,
			header: map[string]string{
				"Range":           "bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(end-1, 10),
				"Accept-Encoding": "identity",
			}})
		if err != nil || a.open != nil {
			return a, err
		}
		to, ok := a.elsewhere(from)
		if !ok || hop == maxHops {
			return a, &graph.Error{Op: "read", Item: item, Kind: graph.Failed, Status: a.status, Message: "the storage host sends nowhere"}
		}
		from = to
	}
}

// position returns the body of an answer from a byte on, whether the host heeded the range or not.
func position(a reply, off int64) (io.ReadCloser, error) {
	at := int64(0)
	if a.status == http.StatusPartialContent {
		text, _ := strings.CutPrefix(a.header.Get("Content-Range"), "bytes ")
		text, _, _ = strings.Cut(text, "-")
		var err error
		if at, err = strconv.ParseInt(text, 10, 64); err != nil {
			at = off // a host that does not say is believed
		}
	}
	if at > off {
		_ = a.open.Close()
		return nil, &graph.Error{Op: "read", Kind: graph.Failed, Status: a.status, Message: "the storage host sends other bytes than it was asked for"}
	}
	if _, err := io.CopyN(io.Discard, a.open, off-at); err != nil {
		_ = a.open.Close()
		return nil, &graph.Error{Op: "read", Kind: graph.Offline, Status: a.status, Message: "the bytes end too early"}
	}
	return a.open, nil
}
