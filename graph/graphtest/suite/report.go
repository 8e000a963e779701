package suite

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// Test is *testing.T, said without importing package testing.
type Test[P any] interface {
	Helper()
	Context() context.Context
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Run(name string, f func(P)) bool
}

// Under makes a T of a *testing.T.
func Under[P Test[P]](t P) T { return under[P]{t} }

type under[P Test[P]] struct{ Test[P] }

func (u under[P]) Run(name string, f func(T)) bool {
	return u.Test.Run(name, func(t P) { f(under[P]{t}) })
}

// Outcome says how a behaviour went.
type Outcome string

// The outcomes.
const (
	Held    Outcome = "held"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is how one behaviour went.
type Result struct {
	Name    string        `json:"name"`
	Outcome Outcome       `json:"outcome"`
	Took    time.Duration `json:"took"` // nanoseconds in JSON
	Notes   []string      `json:"notes,omitempty"`
}

// Collect runs f without package testing and returns the results of its parts, in order. What f
// reports outside of a part becomes a result without a name. told, if set, hears each result when
// its part has ended.
func Collect(ctx context.Context, told func(Result), f func(T)) []Result {
	c := &collector{ctx: ctx, told: told}
	whole := c.part("", f)
	if whole.Outcome != Held || len(whole.Notes) > 0 {
		c.add(whole)
	}
	return c.all
}

// collector gathers results. Parts run one after the other, so it needs no lock.
type collector struct {
	ctx  context.Context
	told func(Result)
	all  []Result
}

func (c *collector) add(r Result) {
	c.all = append(c.all, r)
	if c.told != nil {
		c.told(r)
	}
}

// part runs f in a goroutine of its own, which Fatalf and Skipf can end, and waits for it.
func (c *collector) part(name string, f func(T)) Result {
	r := Result{Name: name, Outcome: Held}
	began, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		f(&part{c: c, r: &r})
	}()
	<-done
	r.Took = time.Since(began)
	return r
}

// part is the T of a program. A behaviour reports from one goroutine only.
type part struct {
	c *collector
	r *Result
}

func (p *part) Run(name string, f func(T)) bool {
	if p.r.Name != "" {
		name = p.r.Name + ": " + name
	}
	r := p.c.part(name, f)
	p.c.add(r)
	if r.Outcome == Failed && p.r.Name != "" {
		p.r.Outcome = Failed
	}
	return r.Outcome != Failed
}

func (p *part) Context() context.Context { return p.c.ctx }

func (p *part) Logf(format string, args ...any) {
	p.r.Notes = append(p.r.Notes, fmt.Sprintf(format, args...))
}

func (p *part) Errorf(format string, args ...any) {
	p.r.Outcome = Failed
	p.Logf(format, args...)
}

func (p *part) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	runtime.Goexit()
}

func (p *part) Skipf(format string, args ...any) {
	if p.r.Outcome == Held {
		p.r.Outcome = Skipped
	}
	p.Logf(format, args...)
	runtime.Goexit()
}
