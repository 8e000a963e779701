package rest

import (
	"context"
	"sync"
	"time"
)

// gate is closed while the service asks to wait. Everybody passes through the same one, since the
// service counts requests made meanwhile against the account (graph-facts §9).
type gate struct {
	mu    sync.Mutex
	until time.Time
}

// close keeps everybody out for a while from now; a longer wait stands.
func (g *gate) close(wait time.Duration) {
	until := time.Now().Add(wait)
	g.mu.Lock()
	defer g.mu.Unlock()
	if until.After(g.until) {
		g.until = until
	}
}

// left says for how long the gate stays closed.
func (g *gate) left() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(g.until)
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
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

// limiter bounds how many things are under way at once.
type limiter chan struct{}

func newLimiter(n int) limiter { return make(limiter, n) }

func (l limiter) enter(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l limiter) leave() { <-l }

// enter waits until the gate is open and a place is free. It fails with Throttled at once if the
// context cannot last that long.
func (c *Client) enter(ctx context.Context, places limiter) error {
	for {
		if wait := c.gate.left(); wait > 0 {
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
				return throttled(wait)
			}
			if err := sleep(ctx, wait); err != nil {
				return err
			}
			continue
		}
		if err := places.enter(ctx); err != nil {
			return err
		}
		if c.gate.left() <= 0 {
			return nil
		}
		places.leave() // it closed while we stood in line
	}
}
