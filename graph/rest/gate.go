package rest

import (
	"context"
	"net/http"
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

// enter waits until the gate is open, a place is free, and the units are there to pay for the
// request. It fails with Throttled at once if the context cannot last until the gate opens.
func (c *Client) enter(ctx context.Context, places *crowd, units int) (err error) {
	paid := false
	defer func() {
		if err != nil && paid {
			c.budget.answered(units) // it never will be
		}
	}()
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
			// Paying inside a place keeps the line short: who comes later waits for few before it.
			if !paid {
				paid = true
				if err := sleep(ctx, c.budget.pay(units)); err != nil {
					places.leave()
					return err
				}
			}
			if c.gate.left() <= 0 {
				return nil
			}
		}
		places.leave() // it closed while we stood in line
	}
}

// heard acts on what the head of an answer says about limits, before its body is read: everybody
// else is asked as well, however long the body takes.
func (c *Client) heard(k call, status int, h http.Header, began time.Time) {
	asked := retryAfter(h)
	if refusesForNow(status) && (asked > 0 || status != http.StatusServiceUnavailable) {
		for _, places := range []*crowd{c.calls, c.uploads, c.downloads} {
			places.halve(began)
		}
		c.budget.refused(asked)
		c.gate.close(asked)
		return
	}
	if wait := c.budget.told(h); !k.storage && wait > 0 {
		c.gate.close(wait)
	}
}
