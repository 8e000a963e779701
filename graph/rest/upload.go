package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Upload sends a file. Every one that is not empty goes by an upload session, since only a session
// carries the time along: a PUT and a PATCH would be two versions, and twice the quota
// (graph-facts §6.1).
func (d *Drive) Upload(ctx context.Context, u graph.Upload) (graph.Item, error) {
	s := newSending(d, u)
	if u.ID != "" {
		defer d.c.urls.drop(place{d.id, u.ID})
	}
	switch {
	case !s.sensible(), u.Size > 0 && u.Body == nil:
		return graph.Item{}, s.fault(graph.Invalid, "the upload says not what goes where")
	case u.Size == 0:
		return s.put(ctx)
	}
	return s.run(ctx)
}

// sending is one upload under way.
type sending struct {
	d     *Drive
	u     graph.Upload
	label string // for errors
}

func newSending(d *Drive, u graph.Upload) *sending {
	if u.Body != nil {
		u.Body = &body{from: u.Body}
	}
	s := &sending{d: d, u: u, label: u.Name}
	if u.ID != "" {
		s.label = string(u.ID)
	}
	return s
}

// sensible reports whether the upload says where the bytes go.
func (s *sending) sensible() bool {
	return s.u.Size >= 0 && (s.u.ID != "" || s.u.Parent != "" && addressable(s.u.Name))
}

func (s *sending) fault(kind graph.Kind, message string) error {
	return &graph.Error{Op: "upload", Item: s.label, Kind: kind, Message: message}
}

// put makes a file, or replaces the bytes of one, in one request. Empty files go no other way: no
// session can make them (graph-facts §6.2). For others it is the way around a session that nobody
// can end (Q20); the time then is a version of its own.
func (s *sending) put(ctx context.Context) (graph.Item, error) {
	k := call{op: "upload", item: s.label, method: http.MethodPut, stream: nothing,
		header: map[string]string{"Content-Type": "application/octet-stream"}}
	if s.u.Size > 0 {
		k.stream = func() io.Reader { return io.NewSectionReader(s.u.Body, 0, s.u.Size) }
		k.length = s.u.Size
		k.slow = true // the service stores it all before it answers
	}
	if s.u.ID != "" {
		now, err := s.unchanged(ctx)
		if err != nil {
			return graph.Item{}, err
		}
		k.url = s.d.c.address(s.d.itemPath(s.u.ID) + "/content")
		if now.ETag != "" {
			k.header["If-Match"] = now.ETag
		}
	} else {
		k.url = s.d.c.address(s.d.childPath(s.u.Parent, s.u.Name) + ":/content?@microsoft.graph.conflictBehavior=" + failIfTaken)
		k.missing = freshMissing // a parent made a moment ago (Q24)
	}
	r, err := s.d.c.do(ctx, k)
	if err != nil {
		if own := s.broken(); own != nil {
			return graph.Item{}, own
		}
		return graph.Item{}, s.whyMissing(ctx, err)
	}
	w, ok := made(r)
	if !ok {
		if w, err = s.look(ctx, freshMissing); err != nil {
			return graph.Item{}, s.fault(graph.Lost, "it was sent, and cannot be looked at: "+err.Error())
		}
	}
	if s.u.Size > 0 {
		if s.u.Sent != nil {
			s.u.Sent(s.u.Size)
		}
		sum := graph.NewQuickXor()
		if _, err := io.Copy(sum, io.NewSectionReader(s.u.Body, 0, s.u.Size)); err != nil {
			return graph.Item{}, &graph.Error{Op: "upload", Item: s.label, Kind: graph.Failed, Message: "the local bytes cannot be read", Err: err}
		}
		if _, err := s.confirm(ctx, w.item(), graph.HashOf(sum)); err != nil {
			return graph.Item{}, err
		}
	}
	return s.d.date(ctx, w.item(), s.u.ModTime)
}

// whyMissing finds out what a refused PUT of a new file means. Where one may not write, the service says "not found" to
// a PUT and the truth to a session (Q23).
func (s *sending) whyMissing(ctx context.Context, err error) error {
	if s.u.ID != "" {
		return err
	}
	if err = s.d.whyMissing(ctx, s.u.Parent, s.u.Name, err); statusOf(err) != http.StatusNotFound || !errors.Is(err, graph.Failed) {
		return err
	}
	r, ask := s.d.c.do(ctx, s.beginCall())
	if ask != nil {
		if errors.Is(ask, graph.Denied) {
			return ask
		}
		return err
	}
	if address, ask := s.begun(r); ask == nil {
		(&session{sending: s, url: address}).cancel(ctx)
	}
	return err
}

func nothing() io.Reader { return http.NoBody }

// unchanged reads the item to be replaced and fails with Changed if it is not what it is believed
// to be. Sessions take no condition that would hold (Q19), so this is done right before the bytes
// that commit.
func (s *sending) unchanged(ctx context.Context) (wireItem, error) {
	w, err := s.d.wireItem(ctx, "upload", s.u.ID)
	if err != nil {
		return wireItem{}, err
	}
	if s.u.Base != (graph.Version{}) && !w.item().Version().Same(s.u.Base) {
		return wireItem{}, s.fault(graph.Changed, "the file has other content by now")
	}
	return w, nil
}

// look reads the item that the upload makes or replaces.
func (s *sending) look(ctx context.Context, missing int) (wireItem, error) {
	if s.u.ID != "" {
		return s.d.wireItem(ctx, "upload", s.u.ID)
	}
	return s.d.child(ctx, s.u.Parent, s.u.Name, missing)
}

// rewritten tells files that a library changes by itself as they arrive (Q14, graph-facts §14).
func rewritten(file string) bool {
	switch extension(file) {
	case "doc", "docx", "docm", "dot", "dotx", "dotm", "xls", "xlsx", "xlsm", "xlsb", "xlt", "xltx", "xltm",
		"ppt", "pptx", "pptm", "pps", "ppsx", "pot", "potx", "vsd", "vsdx", "one", "onetoc2", "mpp", "pub",
		"pdf", "htm", "html", "aspx", "heic":
		return true
	}
	return false
}

func extension(file string) string {
	for i := len(file) - 1; i >= 0; i-- {
		if file[i] == '.' {
			return name.Fold(file[i+1:])
		}
	}
	return ""
}

// confirm judges the item that the service says it made of the bytes with a hash. Files that the
// service rewrites are what it says they are; any other must be what was sent. Lost if that cannot be told just now.
func (s *sending) confirm(ctx context.Context, i graph.Item, sent graph.Hash) (graph.Item, error) {
	same := i.Size == s.u.Size && (i.Hash == "" || i.Hash == sent)
	if same || rewritten(i.Name) {
		return i, nil
	}
	library, err := s.d.library(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return graph.Item{}, err
	case err != nil:
		return graph.Item{}, s.fault(graph.Lost, "it is there, and not as it was sent; whether the service rewrites such files cannot be told yet: "+err.Error())
	case library:
		return i, nil
	}
	return graph.Item{}, s.fault(graph.Failed, fmt.Sprintf("the service stored %d bytes with hash %s instead of %d with %s", i.Size, i.Hash, s.u.Size, sent))
}

// ended reports whether an error of a session's address says that the session is no more.
func ended(err error) bool {
	switch statusOf(err) {
	case http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// stale reports whether the credential inside a session's address has run out: it lives for a day,
// whatever the session does (graph-facts §6.2).
func stale(err error) bool {
	switch statusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return false
}

// hazy reports whether an error leaves open what the service did.
func hazy(err error) bool {
	return errors.Is(err, graph.Lost) || errors.Is(err, graph.Offline)
}
