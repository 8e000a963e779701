package rest

import (
	"errors"
	"io"
	"sync"

	"github.com/duskfs/duskfs/graph"
)

// body is what an upload reads from. It remembers a failure to read, which a transport reports as
// a failure of the request: no network gets better by asking a broken file again.
type body struct {
	from io.ReaderAt

	mu  sync.Mutex
	err error // first failure; guarded by mu
}

func (b *body) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.from.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		b.mu.Lock()
		if b.err == nil {
			b.err = err
		}
		b.mu.Unlock()
	}
	return n, err
}

// failure returns how reading failed, nil if it did not.
func (b *body) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// broken returns the failure to read the bytes that are sent, nil if there was none. What was under
// way has not taken effect then: a request that is cut short stores nothing (graph-facts §6.2).
func (s *sending) broken() error {
	b, ok := s.u.Body.(*body)
	if !ok {
		return nil
	}
	err := b.failure()
	if err == nil {
		return nil
	}
	return &graph.Error{Op: "upload", Item: s.label, Kind: graph.Failed, Message: "the local bytes cannot be read", Err: err}
}
