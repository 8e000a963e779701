package flush

import (
	"time"

	"github.com/duskfs/duskfs/flush/push"
)

// Meter tells how far something has come that sends like a flush, with rate and time left.
type Meter struct{ show display }

// NewMeter makes one for a drive of a name. tell is called by one goroutine at a time between Run and the func that it
// returns, and by who calls Phase and Step. pause says how long the service wants to be left alone; may be nil.
func NewMeter(name string, now func() time.Time, pause func() time.Duration, tell func(Progress)) *Meter {
	return &Meter{display{tell: tell, shown: func(Progress) {}, now: now, pause: pause, base: Progress{Name: name}}}
}

// Phase says what begins: "refresh", "plan", "send" or "done".
func (m *Meter) Phase(name string) { m.show.phase(name) }

// Step takes in how far the plan has been carried out.
func (m *Meter) Step(p push.Progress) { m.show.step(p) }

// Run shows every second how things stand, until the func that it returns is called.
func (m *Meter) Run() (stop func()) { return m.show.run() }

// Throttled returns for how long the service has asked for pauses.
func (m *Meter) Throttled() time.Duration { return m.show.throttled() }

// End returns when a flush that began at a time must stop, zero if never.
func (l Limits) End(began time.Time) time.Time {
	var until time.Time
	if l.Time > 0 {
		until = began.Add(l.Time)
	}
	if next := l.Until.Next(began); !next.IsZero() && (until.IsZero() || next.Before(until)) {
		until = next
	}
	return until
}
