package graphtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// reply is an answer as a value: the same for a socket and for the in-memory transport.
type reply struct {
	status int
	header http.Header
	body   []byte
	stream io.ReadCloser // instead of body
	size   int64         // of stream

	upgrade func(http.ResponseWriter, *http.Request) // takes the connection over

	reset bool          // no answer: the connection breaks
	cut   int64         // if not negative, the connection breaks after so many bytes of the body
	stall time.Duration // before the first byte of the body
}

func newReply(status int) *reply { return &reply{status: status, header: http.Header{}, cut: -1} }

// resetReply breaks the connection.
func resetReply() *reply { r := newReply(0); r.reset = true; return r }

// jsonReply answers with a value.
func jsonReply(status int, v any) *reply {
	r := newReply(status)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return textReply(http.StatusInternalServerError, err.Error())
	}
	r.body = b.Bytes()
	r.header.Set("Content-Type", "application/json; odata.metadata=minimal; odata.streaming=true; IEEE754Compatible=false; charset=utf-8")
	return r
}

// textReply answers with plain text, as the storage hosts do.
func textReply(status int, text string) *reply {
	r := newReply(status)
	r.body = []byte(text)
	r.header.Set("Content-Type", "text/plain; charset=utf-8")
	return r
}

// errorReply answers with an error of Graph.
func (s *Server) errorReply(r *http.Request, err error) *reply {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{status: http.StatusInternalServerError, code: "generalException", msg: err.Error()}
	}
	id := s.requestID()
	out := jsonReply(e.status, e.body(id, r.Header.Get("client-request-id"), s.now()))
	out.header.Set("request-id", id)
	for k, v := range e.header {
		out.header[k] = v
	}
	return out
}

func (r *reply) length() int64 {
	if r.stream != nil {
		return r.size
	}
	return int64(len(r.body))
}

func (r *reply) reader() io.ReadCloser {
	if r.stream != nil {
		return r.stream
	}
	return io.NopCloser(bytes.NewReader(r.body))
}

func (r *reply) close() {
	if r.stream != nil {
		r.stream.Close()
	}
}

// bodiless reports whether HTTP forbids a body here.
func (r *reply) bodiless(method string) bool {
	return method == http.MethodHead || r.status == http.StatusNoContent || r.status == http.StatusNotModified
}

// pause waits, or until the client has gone.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serveHTTP answers over a socket.
func (s *Server) serveHTTP(h hostKind, w http.ResponseWriter, r *http.Request) {
	out := s.serve(h, r)
	defer out.close()
	if out.reset {
		breakConn(w)
		return
	}
	if out.upgrade != nil {
		out.upgrade(w, r)
		return
	}
	for k, v := range out.header {
		w.Header()[k] = v
	}
	if !out.bodiless(r.Method) {
		w.Header().Set("Content-Length", strconv.FormatInt(out.length(), 10))
	}
	w.WriteHeader(out.status)
	if out.bodiless(r.Method) {
		return
	}
	if out.stall > 0 {
		_ = http.NewResponseController(w).Flush()
		if pause(r.Context(), out.stall) != nil {
			return
		}
	}
	body := io.Reader(out.reader())
	if out.cut >= 0 {
		body = io.LimitReader(body, out.cut)
	}
	if _, err := io.Copy(w, body); err != nil {
		return // the client has gone, or a short body breaks the connection by its length
	}
	if out.cut >= 0 && out.cut < out.length() {
		_ = http.NewResponseController(w).Flush()
		breakConn(w)
	}
}

// breakConn resets the connection under a request.
func breakConn(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if t, ok := conn.(*tls.Conn); ok {
		if tcp, ok := t.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not a polite end
			tcp.Close()
			return
		}
	}
	conn.Close()
}

// Transport reaches the service without sockets. It starts no goroutine, but for a notification
// connection: the request is worked on by the caller's own, so it may be used inside a
// testing/synctest bubble. Hosts are those of
// GraphURL, LoginURL and StorageURL, before or after Listen.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	h, ok := t.s.hostOf(req.URL.Host)
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: req.URL.Host, IsNotFound: true}}
	}
	if req.URL.Scheme != "https" && req.URL.Host != imdsHost {
		return nil, fmt.Errorf("scheme %q: the service speaks https only", req.URL.Scheme)
	}
	in := req.Clone(req.Context())
	if in.Host == "" {
		in.Host = in.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if in.URL.Path == "" {
		in.URL.Path = "/"
	}
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	in.RequestURI = in.URL.RequestURI()
	out := t.s.serve(h, in)
	if err := req.Context().Err(); err != nil {
		out.close()
		return nil, err
	}
	if out.reset {
		out.close()
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	if out.upgrade != nil {
		return upgraded(in, out.upgrade)
	}
	res := &http.Response{Status: fmt.Sprintf("%d %s", out.status, http.StatusText(out.status)), StatusCode: out.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: out.header, Request: req}
	if out.bodiless(req.Method) {
		out.close()
		res.Body, res.ContentLength = http.NoBody, 0
		return res, nil
	}
	res.ContentLength = out.length()
	res.Header.Set("Content-Length", strconv.FormatInt(out.length(), 10))
	res.Body = &wire{ctx: req.Context(), r: out.reader(), left: out.cut, cut: out.cut >= 0 && out.cut < out.length(), stall: out.stall}
	return res, nil
}

// wire is the body of an answer on its way through Transport.
type wire struct {
	ctx   context.Context // of the request, as in net/http
	r     io.ReadCloser
	cut   bool
	left  int64
	stall time.Duration
}

func (w *wire) Read(p []byte) (int, error) {
	if err := pause(w.ctx, w.stall); err != nil {
		return 0, err
	}
	w.stall = 0
	if !w.cut {
		return w.r.Read(p)
	}
	if w.left == 0 {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	n, err := w.r.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	return n, err
}

func (w *wire) Close() error { return w.r.Close() }

// hostKind says which of the three hosts a request reached.
type hostKind int

const (
	hostGraph hostKind = iota + 1
	hostLogin
	hostStorage
)

// hostOf finds the host behind an authority.
func (s *Server) hostOf(authority string) (hostKind, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch "https://" + authority {
	case s.graphURL, "https://" + memGraph:
		return hostGraph, true
	case s.loginURL, "https://" + memLogin, "https://" + imdsHost:
		return hostLogin, true
	case s.storageURL, "https://" + memStorage:
		return hostStorage, true
	}
	return 0, false
}

// storageFor returns the root of the storage host as the client of a request can reach it.
func (s *Server) storageFor(r *http.Request) string {
	if r.Host == memGraph || r.Host == memStorage {
		return "https://" + memStorage
	}
	return s.storageURL
}

// readAll reads the body of a small request.
func readAll(r *http.Request) ([]byte, error) { return io.ReadAll(io.LimitReader(r.Body, 8<<20)) }
