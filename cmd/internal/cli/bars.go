package cli

import (
	"fmt"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
)

// bars shows the progress of a flush on a terminal, a line a drive; elsewhere it shows nothing.
type bars struct {
	all *mpb.Progress
	one map[cache.DriveNum]*bar
}

type bar struct {
	*mpb.Bar
	phase atomic.Value // string; read by whoever draws
}

func (a *app) newBars() *bars {
	if !a.onTerminal() {
		return &bars{}
	}
	return &bars{all: mpb.New(mpb.WithOutput(a.Err), mpb.WithWidth(40)), one: map[cache.DriveNum]*bar{}}
}

// show is told how far a drive has come.
func (b *bars) show(p flush.Progress) {
	if b.all == nil {
		return
	}
	d := b.one[p.Drive]
	if d == nil {
		d = &bar{}
		d.phase.Store(p.Phase)
		d.Bar = b.all.AddBar(0, // a total that is known at first could not be changed
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return p.Name + " " })),
			mpb.AppendDecorators(decor.Percentage(), decor.Any(func(decor.Statistics) string { return fmt.Sprint(" ", d.phase.Load()) })))
		b.one[p.Drive] = d
	}
	d.phase.Store(p.Phase)
	// A step counts like 16 KiB, so that many small changes move the bar as well.
	const step = 16 << 10
	d.SetTotal(max(p.Bytes+int64(p.Steps)*step, 1), false)
	d.SetCurrent(p.Sent + int64(p.Done)*step)
}

// end takes the bars away.
func (b *bars) end() {
	if b.all == nil {
		return
	}
	for _, d := range b.one {
		d.Abort(true)
	}
	b.all.Wait()
}
