package rest

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// errStalled is the cause of a context that a watch ended.
var errStalled = errors.New("no answer in time")

// watch ends a context when nothing moves for a while: one deadline for the head of an answer,
// another for every read of a body (Q21).
type watch struct {
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

// newWatch returns a watched context. The caller stops the watch, which ends the context too.
func newWatch(ctx context.Context, limit time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: cancel}
	w.timer = time.AfterFunc(limit, func() { cancel(errStalled) })
	return ctx, w
}

// moved starts the time anew.
func (w *watch) moved(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.timer.Reset(limit)
	}
}

// rest stops the clock until moved is called: nobody is waiting.
func (w *watch) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
}

// stop ends watch and context.
func (w *watch) stop() {
	w.mu.Lock()
	w.stopped = true
	w.timer.Stop()
	w.mu.Unlock()
	w.cancel(context.Canceled)
}

// watchedReader is a body whose every read must give something in time. Between reads the clock
// rests, as the reader may be slow for reasons of its own.
type watchedReader struct {
	io.ReadCloser
	w     *watch
	limit time.Duration
	after time.Duration // limit once the body has been read, 0 to rest
}

func (r *watchedReader) Read(p []byte) (int, error) {
	r.w.moved(r.limit)
	n, err := r.ReadCloser.Read(p)
	if r.after > 0 {
		r.w.moved(r.after)
	} else {
		r.w.rest()
	}
	return n, err
}
