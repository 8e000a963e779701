package rest

import (
	"context"
	"sync"
	"time"
)

// quick is how soon the head of an answer comes from a service that has room for more.
const quick = 2 * time.Second

// crowd bounds how many things are under way at once. The bound starts in the middle, grows by one
// while as many answers as it allows come quickly in a row, up to most, and halves, down to one,
// when the service refuses (graph-facts §9).
type crowd struct {
	most int

	mu     sync.Mutex
	bound  int
	in     int
	good   int       // quick answers since the bound last changed
	halved time.Time // when the bound was last halved
	line   []chan struct{}
}

func newCrowd(most int) *crowd { return &crowd{most: most, bound: (most + 1) / 2} }

// enter waits for a place, first come first served.
func (c *crowd) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	if c.in < c.bound && len(c.line) == 0 {
		c.in++
		c.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	c.line = append(c.line, mine)
	c.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, other := range c.line {
		if other == mine {
			c.line = append(c.line[:i], c.line[i+1:]...)
			return ctx.Err()
		}
	}
	c.in-- // the place was given at the same moment
	c.admit()
	return ctx.Err()
}

// leave gives a place back.
func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in--
	c.admit()
}

// admit lets those in line in. The caller holds the lock.
func (c *crowd) admit() {
	for c.in < c.bound && len(c.line) > 0 {
		c.in++
		close(c.line[0])
		c.line = c.line[1:]
	}
}

// answered learns how long the head of a good answer took.
func (c *crowd) answered(took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if took > quick {
		c.good = 0
		return
	}
	if c.good++; c.good >= c.bound && c.bound < c.most {
		c.bound, c.good = c.bound+1, 0
		c.admit()
	}
}

// halve learns that a request that began at a moment was refused. Of the requests that were under
// way together one counts.
func (c *crowd) halve(began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if began.Before(c.halved) {
		return
	}
	c.bound, c.good, c.halved = max(1, c.bound/2), 0, time.Now()
}
