package daemon

import (
	"context"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/duskfs/duskfs/flush"
)

// farewellTime is how long the end of a daemon waits until people have been told what is unsent.
const farewellTime = 3 * time.Second

// What the machine is about to do, as a sentence goes on.
const (
	sleeps       = "this machine goes to sleep"
	shutsDown    = "this machine shuts down"
	batteryIsLow = "the battery is low"
	isEnded      = "the mount was ended from outside, perhaps since somebody logs out"
)

// sayUnsent tells what is not sent yet at a moment after which it may stay so for long. It says nothing if
// nothing is.
func (m *mount) sayUnsent(why string) {
	m.countAll()
	var items int
	var bytes int64
	for _, d := range m.drives {
		if p, err := m.store.Outbox(d.info.Num).Pending(); err == nil {
			items, bytes = items+p.Items, bytes+p.Bytes
		}
	}
	if items > 0 && m.herald != nil {
		m.herald.tell(notSent(why, items, bytes, time.Now()))
	}
}

func notSent(why string, items int, bytes int64, at time.Time) flush.Notice {
	what := "1 change is"
	if items > 1 {
		what = humanize.Comma(int64(items)) + " changes are"
	}
	text := why + ", and " + what + " not sent"
	if bytes > 0 {
		text += " (" + humanize.Bytes(uint64(bytes)) + ")"
	}
	return flush.Notice{Kind: flush.NoticeUnsent, Name: "duskfs", Text: text + "; it is kept here", At: at}
}

// watchMachine tells of what the machine is about to do until ctx ends.
func (m *mount) watchMachine(ctx context.Context) {
	if err := hearMachine(ctx, systemBus, m.sayUnsent); err != nil && ctx.Err() == nil {
		m.log.Debug("sleep and battery are not heard of", "err", err)
	}
}
