package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
)

// watch shows the progress of a flush: as a bar a drive on a terminal, as a line now and then
// elsewhere, or as JSON.
type watch interface {
	show(flush.Progress) // by one goroutine at a time
	// err is where other things are said meanwhile.
	err() io.Writer
	end()
}

// plainEvery is how often progress is told where nobody watches a terminal.
const plainEvery = 10 * time.Second

func (a *app) newWatch() watch {
	switch {
	case a.json:
		return &events{print: a.printJSON, last: map[cache.DriveNum]event{}, w: a.Err}
	case a.onScreen():
		all := mpb.New(mpb.WithOutput(a.Err), mpb.WithWidth(24))
		return &bars{all: all, one: map[cache.DriveNum]*bar{}, above: &above{bars: all, then: a.Err}}
	}
	return startLines(a.Err, plainEvery)
}

// progress tells in words how far a drive has come.
func progress(p flush.Progress) string {
	if p.Phase == "wait" {
		what := p.Pause
		if p.Steps == 0 {
			return what
		}
		p.Phase, p.Pause = "send", ""
		return what + ": " + progress(p)
	}
	if p.Pause != "" {
		return fmt.Sprintf("%d of %s; %s", p.Done, count(p.Steps, "change"), p.Pause)
	}
	switch p.Phase {
	case "refresh":
		return "looking for remote changes"
	case "plan":
		return "planning"
	case "done":
		return "done"
	}
	text := fmt.Sprintf("%d of %s, %s of %s", p.Done, count(p.Steps, "change"), size(p.Sent), size(p.Bytes))
	if p.Rate > 0 {
		text += ", " + size(p.Rate) + "/s"
	}
	if p.Left > 0 {
		text += ", " + p.Left.Round(time.Second).String() + " left"
	}
	files := p.Files
	if len(files) == 0 && p.Path != "" {
		files = []string{p.Path}
	}
	if len(files) == 0 {
		return text
	}
	text += ": " + visible(path.Base(files[0]))
	if len(files) > 1 {
		text += fmt.Sprintf(" and %d more", len(files)-1)
	}
	return text
}

// bars are for a terminal, one a drive.
type bars struct {
	all   *mpb.Progress
	one   map[cache.DriveNum]*bar
	above *above
}

// above writes lines above bars, whole ones, so that neither breaks into the other. Once the bars are gone it writes to
// where they were.
type above struct {
	bars *mpb.Progress
	then io.Writer

	mu   sync.Mutex // guards part
	part []byte     // of a line
}

// Write implements io.Writer.
func (w *above) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.part = append(w.part, b...)
	end := bytes.LastIndexByte(w.part, '\n') + 1
	if end == 0 {
		return len(b), nil
	}
	lines := w.part[:end]
	w.part = bytes.Clone(w.part[end:])
	if _, err := w.bars.Write(lines); !errors.Is(err, mpb.ErrDone) {
		return len(b), err
	}
	_, err := w.then.Write(lines)
	return len(b), err
}

// endLine writes what is no whole line yet.
func (w *above) endLine() {
	w.mu.Lock()
	open := len(w.part) > 0
	w.mu.Unlock()
	if open {
		_, _ = w.Write([]byte("\n")) // nobody could be told
	}
}

type bar struct {
	*mpb.Bar
	words atomic.Value // string; read by whoever draws
}

func (b *bars) show(p flush.Progress) {
	d := b.one[p.Drive]
	if d == nil {
		d = &bar{}
		d.words.Store("")
		d.Bar = b.all.AddBar(0, // a total that is known at first could not be changed
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return p.Name + " " })),
			mpb.AppendDecorators(decor.Percentage(), decor.Any(func(decor.Statistics) string { return fmt.Sprint(" ", d.words.Load()) })))
		b.one[p.Drive] = d
	}
	d.words.Store(progress(p))
	// A step counts like 16 KiB, so that many small changes move the bar as well.
	const step = 16 << 10
	d.SetTotal(max(p.Bytes+int64(p.Steps)*step, 1), false)
	d.SetCurrent(p.Sent + int64(p.Done)*step)
}

func (b *bars) err() io.Writer { return b.above }

// end takes the bars away.
func (b *bars) end() {
	for _, d := range b.one {
		d.Abort(true)
	}
	b.above.endLine()
	b.all.Wait()
}

// lines tells now and then how far a long flush has come, and at once that it waits for another. A short one is over before
// the first.
type lines struct {
	w    io.Writer
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex // guards last, and w
	last []flush.Progress
}

func startLines(w io.Writer, every time.Duration) *lines {
	l := &lines{w: w, stop: make(chan struct{})}
	l.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.tell()
			case <-l.stop:
				return
			}
		}
	})
	return l
}

func (l *lines) show(p flush.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.last {
		if l.last[i].Drive == p.Drive {
			l.last[i] = p
			return
		}
	}
	l.last = append(l.last, p)
	if p.Phase == "wait" {
		fmt.Fprintf(l.w, "%s: %s\n", p.Name, progress(p))
	}
}

func (l *lines) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, p := range l.last {
		if p.Phase != "done" {
			fmt.Fprintf(&b, "%s: %s\n", p.Name, progress(p))
		}
	}
	fmt.Fprint(l.w, b.String())
}

func (l *lines) err() io.Writer { return l.w }

func (l *lines) end() {
	close(l.stop)
	l.done.Wait()
}

// event is one line of `duskfs flush --json` before the last.
type event struct {
	Event string `json:"event"` // "progress"
	flush.Progress
}

// events are for programs: a line when a step or a phase ends, a pause begins or half a second has
// passed, once there is something to send or another flush to wait for.
type events struct {
	print func(any) error
	last  map[cache.DriveNum]event
	at    time.Time
	w     io.Writer // for people
}

func (e *events) show(p flush.Progress) {
	was, known := e.last[p.Drive]
	if p.Phase != "send" && p.Phase != "wait" && !known {
		return
	}
	now := event{Event: "progress", Progress: p}
	news := !known || was.Phase != p.Phase || was.Done != p.Done || was.Pause != p.Pause || !slices.Equal(was.Files, p.Files)
	if !news && time.Since(e.at) < 500*time.Millisecond {
		return
	}
	e.last[p.Drive], e.at = now, time.Now()
	_ = e.print(now) // a reader that has gone is noticed with the result
}

func (e *events) err() io.Writer { return e.w }

func (e *events) end() {}
