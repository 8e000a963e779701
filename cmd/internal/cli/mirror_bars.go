package cli

import (
	"fmt"
	"io"
	"path"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/duskfs/duskfs/cache/mirror"
)

// watchMirror shows how far the mirroring of a drive has come: as a bar on a terminal, as a line now and then elsewhere,
// and not at all where programs read. out is where other things are said meanwhile.
func (a *app) watchMirror(name string) (show func(mirror.Progress), out io.Writer, end func()) {
	var mu sync.Mutex
	var last mirror.Progress
	look := func() mirror.Progress { mu.Lock(); defer mu.Unlock(); return last }
	show = func(p mirror.Progress) { mu.Lock(); defer mu.Unlock(); last = p }
	switch {
	case a.json:
		return nil, a.Err, func() {}
	case a.onScreen():
		return a.mirrorBar(name, show, look)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(plainEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(a.Err, "%s: %s\n", name, mirrorWords(look()))
			case <-stop:
				return
			}
		}
	}()
	return show, a.Err, func() { close(stop); <-done }
}

// mirrorBar draws a bar. It counts bytes, and a little for each file, so that many small ones move it as well.
func (a *app) mirrorBar(name string, show func(mirror.Progress), look func() mirror.Progress) (func(mirror.Progress), io.Writer, func()) {
	all := mpb.New(mpb.WithOutput(a.Err), mpb.WithWidth(24))
	bar := all.AddBar(0, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name+" ")),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
			p := look()
			if p.Phase != "fetch" || p.Total == 0 || s.Total <= 0 { // of the rest nobody knows how much there is
				return mirrorWords(p)
			}
			return fmt.Sprintf("%d %% %s", 100*s.Current/s.Total, mirrorWords(p))
		})))
	const file = 16 << 10
	return func(p mirror.Progress) {
			show(p)
			if p.Phase == "fetch" && p.Total > 0 {
				bar.SetTotal(p.Size+p.Total*file, false)
				bar.SetCurrent(p.Bytes + p.Items*file)
			}
		}, &above{bars: all, then: a.Err}, func() {
			bar.Abort(true)
			all.Wait()
		}
}

// mirrorWords tells in words how far a run has come.
func mirrorWords(p mirror.Progress) string {
	switch p.Phase {
	case "feed":
		return fmt.Sprintf("the drive has told of %s", count(int(p.Items), "item"))
	case "look":
		return fmt.Sprintf("%s here looked at", count(int(p.Items), "file"))
	case "fetch":
		if p.Total == 0 {
			return "comparing the drive with what is here"
		}
		text := fmt.Sprintf("%d of %s, %s of %s", p.Items, count(int(p.Total), "file"), size(p.Bytes), size(p.Size))
		if p.Path != "" {
			text += ": " + path.Base(p.Path)
		}
		return text
	case "permissions":
		return fmt.Sprintf("permissions of %s read", count(int(p.Items), "file"))
	case "report":
		return "writing the report"
	}
	return "beginning"
}
