package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// wideMin is how long a range must be to be fetched in pieces side by side. Storage hosts give a connection
	// a share of the link, so that several are faster; for less the requests would cost more than they gain.
	wideMin = 16 << 20
	// wideParts pieces of widePiece bytes each are under way at once, and in memory.
	widePiece = 4 << 20
	wideParts = 4
)

// wide reads a long range by several connections, and hands the bytes out in order. It is used by one goroutine, and ends its own
// when it is closed.
type wide struct {
	whole  *download // of the range: counts and checks what is handed out, and is never opened
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup
	parts  []*piece // under way, in order
	next   int64    // where the next piece begins
	err    error    // final
}

// piece is a part of the range on its way.
type piece struct {
	data []byte

	mu   sync.Mutex
	more sync.Cond
	have int
	err  error // final; io.EOF after the last byte
}

// newWide begins to read the range of r. The first piece is opened at once, so that what is wrong with the file is found here
// and the others need not ask where the bytes are.
func newWide(r *download) (*wide, error) {
	w := &wide{whole: r, next: r.pos}
	w.ctx, w.cancel = context.WithCancel(r.ctx)
	first := w.piece()
	if err := first.open(); err != nil {
		w.cancel()
		return nil, err
	}
	w.start(first)
	return w, nil
}

// piece makes the reader of the next piece.
func (w *wide) piece() *download {
	r := *w.whole
	r.ctx, r.sum, r.pos = w.ctx, nil, w.next
	r.end = min(w.next+widePiece, w.whole.end)
	w.next = r.end
	return &r
}

// start lets a piece come in.
func (w *wide) start(r *download) {
	p := &piece{data: make([]byte, r.end-r.pos)}
	p.more.L = &p.mu
	w.parts = append(w.parts, p)
	w.all.Go(func() {
		var err error
		for n := 0; err == nil; {
			var k int
			k, err = r.Read(p.data[n:min(n+64<<10, len(p.data))])
			n += k
			if err == nil && n == len(p.data) {
				err = io.EOF
			}
			p.mu.Lock()
			p.have, p.err = n, err
			p.mu.Unlock()
			p.more.Signal()
		}
		_ = r.Close() // all was read, or what is wrong is known
	})
}

// read copies what has come of a piece from an offset on, waiting for a byte or the end.
func (p *piece) read(into []byte, off int) (int, error) {
	p.mu.Lock()
	for p.have <= off && p.err == nil {
		p.more.Wait()
	}
	have, err := p.have, p.err
	p.mu.Unlock()
	if have <= off {
		return 0, err
	}
	return copy(into, p.data[off:have]), nil
}

// Read gives the bytes in order; io.EOF at the end of the range only.
func (w *wide) Read(into []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.whole.pos == w.whole.end {
		return 0, io.EOF
	}
	for {
		for len(w.parts) < wideParts && w.next < w.whole.end {
			w.start(w.piece())
		}
		p := w.parts[0]
		n, err := p.read(into, int(w.whole.pos-w.begin()))
		if errors.Is(err, io.EOF) {
			w.parts = w.parts[1:]
			continue
		}
		if w.err = err; err == nil {
			w.err = w.whole.arrived(into[:n])
		}
		if w.err != nil {
			if w.whole.ctx.Err() != nil {
				w.err = fmt.Errorf("read %s: %w", w.whole.id, w.whole.ctx.Err())
			}
			return 0, w.err
		}
		return n, nil
	}
}

// begin says where the piece in front begins.
func (w *wide) begin() int64 {
	at := w.next
	for _, p := range w.parts {
		at -= int64(len(p.data))
	}
	return at
}

// Close ends the transfers and waits until they have ended.
func (w *wide) Close() error {
	w.cancel()
	w.all.Wait()
	if w.err == nil {
		w.err = errClosedReader
	}
	return nil
}

var errClosedReader = errors.New("read after Close")
