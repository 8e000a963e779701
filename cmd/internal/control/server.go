package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/graph"
)

// Server offers an API on a socket.
type Server struct {
	api      API
	log      *slog.Logger
	listener net.Listener
	http     *http.Server
	served   chan struct{} // closed when the accept loop has ended

	mu       sync.Mutex
	stopping bool
	requests sync.WaitGroup                // calls under way, those of unmount left out
	cancel   context.CancelFunc            // of the context of all calls
	under    map[string]context.CancelFunc // calls under way that their peers can stop, by the names they gave them

	ended  chan struct{} // closed by Close: whoever waits for the unmount is answered
	result error         // set before ended is closed
}

// Serve begins to offer api on a listener that only peers of the same person get through. The
// caller ends it with Stop and then Close.
func Serve(l net.Listener, api API, log *slog.Logger) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{api: api, log: log, listener: guarded{l}, served: make(chan struct{}), ended: make(chan struct{}), cancel: cancel, under: map[string]context.CancelFunc{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.call(func(ctx context.Context, w http.ResponseWriter, _ *http.Request) {
		answer(ctx, w, api.Status)
	}))
	mux.HandleFunc("POST /v1/refresh", s.call(func(ctx context.Context, w http.ResponseWriter, _ *http.Request) {
		answer(ctx, w, api.Refresh)
	}))
	mux.HandleFunc("POST /v1/flush", s.call(streamed(api.Flush)))
	mux.HandleFunc("POST /v1/upload", s.call(streamed(api.Upload)))
	mux.HandleFunc("POST /v1/diff", s.call(asked(api.Diff)))
	mux.HandleFunc("POST /v1/discard", s.call(streamed(func(ctx context.Context, r DiscardRequest, _ func(flush.Progress)) ([]Discarded, error) {
		return api.Discard(ctx, r)
	})))
	mux.HandleFunc("POST /v1/conflicts", s.call(asked(api.Conflicts)))
	mux.HandleFunc("POST /v1/resolve", s.call(asked(done(api.Resolve))))
	mux.HandleFunc("POST /v1/pause", s.call(asked(done(api.Pause))))
	mux.HandleFunc("POST /v1/doctor", s.call(asked(api.Doctor)))
	mux.HandleFunc("POST /v1/stop", s.call(asked(done(s.stopCall))))
	mux.HandleFunc("POST /v1/unmount", s.unmount)
	s.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			log.Error("control socket", "err", err)
		}
	}()
	return s
}

// call wraps a handler so that Stop can refuse new calls and wait for those under way.
func (s *Server) call(h func(context.Context, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.stopping {
			s.mu.Unlock()
			fail(w, fmt.Errorf("this mount is being unmounted: %w", ErrNoDaemon))
			return
		}
		s.requests.Add(1)
		s.mu.Unlock()
		defer s.requests.Done()
		ctx := r.Context()
		if name := r.Header.Get(callName); name != "" {
			var leave func()
			ctx, leave = s.enter(ctx, name)
			defer leave()
		}
		h(ctx, w, r)
	}
}

// callName is the header by which a peer names a call that it may want to stop. One that just goes is noticed as
// well, but does not hear how the call ended.
const callName = "Duskfs-Call"

func (s *Server) enter(ctx context.Context, name string) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under[name] = cancel
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.under, name)
	}
}

// stopCall ends a call under way, whose answer comes as soon as it has ended.
func (s *Server) stopCall(_ context.Context, name string) error {
	s.mu.Lock()
	cancel := s.under[name]
	s.mu.Unlock()
	if cancel == nil {
		return errors.New("there is no such call")
	}
	cancel()
	return nil
}

// Stop refuses new calls, cancels those under way and waits for them to end. Calls of Unmount stay
// until Close.
func (s *Server) Stop() {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.cancel()
	s.requests.Wait()
}

// Close answers those who wait for the unmount with result, and ends the server.
func (s *Server) Close(result error) {
	s.Stop()
	s.result = result
	close(s.ended)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close() // a peer that does not read its answer
	}
	<-s.served
}

func (s *Server) unmount(w http.ResponseWriter, r *http.Request) {
	// The call outlives the end of all other calls, so it has a context of its own: that of nobody.
	if err := s.api.Unmount(context.WithoutCancel(r.Context())); err != nil {
		fail(w, err)
		return
	}
	<-s.ended
	if s.result != nil {
		fail(w, s.result)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// line is one line of an answer that tells how far it has come.
type line[R any] struct {
	Progress *flush.Progress `json:"progress,omitempty"`
	Result   *R              `json:"result,omitempty"`
	Error    *Failure        `json:"error,omitempty"`
}

// streamed makes a handler of a call that tells how far it has come, or whose result counts also if there is an error.
func streamed[Q, R any](do func(context.Context, Q, func(flush.Progress)) (R, error)) func(context.Context, http.ResponseWriter, *http.Request) {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request) {
		req, err := read[Q](r)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.WriteHeader(http.StatusOK)
		out := json.NewEncoder(w)
		send := func(l line[R]) {
			_ = out.Encode(l) // a peer that has gone is noticed by ctx
			_ = http.NewResponseController(w).Flush()
		}
		res, err := do(ctx, req, func(p flush.Progress) { send(line[R]{Progress: &p}) })
		l := line[R]{Result: &res}
		if err != nil {
			l.Error = failure(err)
		}
		send(l)
	}
}

// read decodes what a peer asks for.
func read[T any](r *http.Request) (T, error) {
	var req T
	if err := json.NewDecoder(io.LimitReader(r.Body, 16<<20)).Decode(&req); err != nil {
		return req, fmt.Errorf("%s: bad request: %w", path.Base(r.URL.Path), err)
	}
	_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice a peer that goes
	return req, nil
}

// asked makes a handler of a call with one argument.
func asked[Q, A any](ask func(context.Context, Q) (A, error)) func(context.Context, http.ResponseWriter, *http.Request) {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request) {
		q, err := read[Q](r)
		if err != nil {
			fail(w, err)
			return
		}
		answer(ctx, w, func(ctx context.Context) (A, error) { return ask(ctx, q) })
	}
}

// done gives a call that returns nothing an empty answer.
func done[Q any](do func(context.Context, Q) error) func(context.Context, Q) (struct{}, error) {
	return func(ctx context.Context, q Q) (struct{}, error) { return struct{}{}, do(ctx, q) }
}

// answer writes what a call without arguments returns.
func answer[T any](ctx context.Context, w http.ResponseWriter, ask func(context.Context) (T, error)) {
	v, err := ask(ctx)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a peer that has gone needs no answer
}

func failure(err error) *Failure { return &Failure{Message: err.Error(), Kind: graph.KindOf(err)} }

func fail(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	_ = json.NewEncoder(w).Encode(failure(err)) // a peer that has gone needs no answer
}

// guarded lets through only peers who are the same person, or root.
type guarded struct{ net.Listener }

func (g guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if samePerson(c) {
			return c, nil
		}
		_ = c.Close() // a stranger gets no answer
	}
}
