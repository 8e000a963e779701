package push

import (
	"context"
	"io"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/duskfs/duskfs/flush/schedule"
)

// Throttle keeps uploads to a number of bytes a second, which may depend on the time of day.
type Throttle struct {
	rate    schedule.Rate
	now     func() time.Time
	limiter *rate.Limiter
}

// NewThrottle makes one, nil for a rate that is never a limit. now tells the time on the wall.
func NewThrottle(r schedule.Rate, now func() time.Time) *Throttle {
	if r.Zero() {
		return nil
	}
	return &Throttle{rate: r, now: now, limiter: rate.NewLimiter(rate.Inf, sip)}
}

// sip is how many bytes pass at once.
const sip = 32 << 10

// take waits until n bytes may pass.
func (t *Throttle) take(ctx context.Context, n int) error {
	for n > 0 {
		limit := rate.Inf
		if r := t.rate.At(t.now()); r > 0 {
			limit = rate.Limit(r)
		}
		if t.limiter.Limit() != limit {
			t.limiter.SetLimit(limit)
		}
		part := min(n, sip)
		if err := t.limiter.WaitN(ctx, part); err != nil {
			// What would end after the deadline of ctx is refused at once, with an error of the limiter's own.
			<-ctx.Done()
			return ctx.Err()
		}
		n -= part
	}
	return nil
}

// passing is the body of an upload as it passes: at the pace of a throttle, if there is one, and counted. Bytes that are
// read again, to be sent once more or to be summed, pass freely.
type passing struct {
	ctx  context.Context //nolint:containedctx // lives for one upload
	body io.ReaderAt
	t    *Throttle   // may be nil
	told func(int64) // how far it has come, now and then

	mu   sync.Mutex
	high int64 // up to here bytes have passed; guarded by mu

	telling sync.Mutex // held while somebody is told; guards what follows
	last    time.Time
	over    bool
}

// sayEvery is how often somebody is told at most.
const sayEvery = 250 * time.Millisecond

func (p *passing) ReadAt(b []byte, off int64) (int, error) {
	// A transport may still be reading a fragment that was given up, so there can be two readers.
	p.mu.Lock()
	end := off + int64(len(b))
	fresh := end - max(off, p.high)
	p.high = max(p.high, end)
	p.mu.Unlock()
	if fresh > 0 && p.t != nil {
		if err := p.t.take(p.ctx, int(fresh)); err != nil {
			return 0, err
		}
	}
	n, err := p.body.ReadAt(b, off)
	if fresh > 0 && n > 0 {
		p.tell(off + int64(n))
	}
	return n, err
}

func (p *passing) tell(n int64) {
	p.telling.Lock()
	defer p.telling.Unlock()
	if now := time.Now(); !p.over && now.Sub(p.last) >= sayEvery {
		p.last = now
		p.told(n)
	}
}

// end lets nobody be told any more.
func (p *passing) end() {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.over = true
}
