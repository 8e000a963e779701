package fs

import (
	"sync/atomic"
	"syscall"
	"time"
)

// roomTrust is how long what is left of a drive is believed without counting again: that looks at all
// that waits to be sent.
const roomTrust = time.Second

// room keeps what is left of a drive. Bytes that are written are taken off what was counted last,
// so that most writes count nothing.
type room struct {
	left  atomic.Int64
	until atomic.Int64 // when the count grows old, in Unix nanoseconds; 0 if it was never made

	told atomic.Pointer[told] // what statfs said last; nil if it was never asked
}

type told struct {
	space Space
	at    time.Time
}

// told is what statfs says of a drive: what was counted, at most roomTrust ago. Finder asks ten times a
// second.
func (f *FS) told(d *Drive) Space {
	now := f.now()
	t := d.room.told.Load()
	if t == nil || now.Sub(t.at) >= roomTrust || now.Before(t.at) {
		t = &told{d.space(), now}
		d.room.told.Store(t)
	}
	return t.space
}

// room takes what a file that becomes size bytes long needs more than it has. EDQUOT if the drive
// would not take it: the program is told while it writes, not the person when it is sent.
func (f *FS) room(b *body, size int64) error {
	more := size - b.file.Size()
	if more <= 0 {
		return nil
	}
	d := b.drive
	now := f.now().UnixNano()
	if now < d.room.until.Load() && d.room.left.Add(-more) >= 0 {
		return nil
	}
	if err := f.record(b); err != nil { // for what waits to be sent
		return err
	}
	left := d.space().Free
	d.room.left.Store(left)
	d.room.until.Store(now + int64(roomTrust))
	if left < more {
		return syscall.EDQUOT
	}
	d.room.left.Add(-more)
	return nil
}
