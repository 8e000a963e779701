package flush

import (
	"fmt"
	"sync"
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

// display tells how far a flush has come. Some of it comes from the run of the plan, some with time.
type display struct {
	tell  func(Progress)
	shown func(Progress)
	now   func() time.Time
	pause func() time.Duration // may be nil
	base  Progress

	mu      sync.Mutex // guards what follows; not held while anybody is told
	last    Progress
	samples []sample
	waited  time.Duration
}

// sample is how much had been sent at a time.
type sample struct {
	at   time.Time
	sent int64
}

// window is over how much time the rate is measured.
const window = 20 * time.Second

// mostLeft is how much time an estimate may say is left: a longer one comes of a rate that means nothing yet.
const mostLeft = 100 * time.Hour

func (d *display) phase(name string) {
	d.mu.Lock()
	p := d.last
	p.Drive, p.Name, p.Phase = d.base.Drive, d.base.Name, name
	p.Pause, p.Files = "", nil
	d.last = p
	d.mu.Unlock()
	d.out(p)
}

func (d *display) out(p Progress) {
	d.shown(p)
	d.tell(p)
}

// step takes in how far the plan has been carried out.
func (d *display) step(s push.Progress) {
	d.mu.Lock()
	d.last = Progress{
		Drive: d.base.Drive, Name: d.base.Name, Phase: "send", Steps: s.Steps, Done: s.Done, Bytes: s.Bytes, Sent: s.Sent,
		Op: string(s.Step.Op), Path: s.Step.Path, Files: s.Under,
	}
	p := d.timed()
	d.mu.Unlock()
	d.out(p)
}

// timed adds what time tells. The caller has mu.
func (d *display) timed() Progress {
	now := d.now()
	if n := len(d.samples); n == 0 || now.Sub(d.samples[n-1].at) >= time.Second {
		d.samples = append(d.samples, sample{now, d.last.Sent})
	}
	for len(d.samples) > 2 && now.Sub(d.samples[0].at) > window {
		d.samples = d.samples[1:]
	}
	p := d.last
	p.Rate, p.Left = 0, 0
	if first := d.samples[0]; now.Sub(first.at) >= time.Second && p.Sent > first.sent {
		p.Rate = int64(float64(p.Sent-first.sent) / now.Sub(first.at).Seconds())
		if p.Rate > 0 {
			if left := float64(p.Bytes-p.Sent) / float64(p.Rate); left < mostLeft.Seconds() {
				p.Left = time.Duration(left * float64(time.Second)).Round(time.Second)
			}
		}
	}
	if d.pause != nil {
		if left := d.pause(); left > 0 {
			p.Pause = fmt.Sprintf("the service asks for a pause of %v", left.Round(time.Second))
		}
	}
	d.last = p
	return p
}

// run shows every second how things stand, until the func that it returns is called.
func (d *display) run() (stop func()) {
	d.mu.Lock()
	d.samples = nil
	d.mu.Unlock()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
			}
			d.mu.Lock()
			started := d.last.Phase == "send"
			var p Progress
			if started {
				p = d.timed()
			}
			if p.Pause != "" {
				d.waited += time.Second
			}
			d.mu.Unlock()
			if started {
				d.out(p)
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// throttled returns for how long the service has asked for pauses.
func (d *display) throttled() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waited
}
