package content

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// spaceTrust is how long a measurement of the free space is believed: others write to the disk too.
const spaceTrust = time.Second

// space keeps some of the disk free. Bytes asked for are taken off what was measured last, so that
// most writes cost no system call.
type space struct {
	dir   string
	floor int64

	left  atomic.Int64 // bytes above the floor that are not given out yet
	until atomic.Int64 // when the measurement grows old, in Unix nanoseconds

	mu sync.Mutex // one measures at a time
}

// take asks for n bytes of the disk: ErrNoSpace if they are not there above the floor.
func (s *space) take(n int64) error {
	if time.Now().UnixNano() < s.until.Load() && s.left.Add(-n) >= 0 {
		return nil
	}
	left, err := s.measure()
	if err != nil {
		return err
	}
	if left < n {
		return ErrNoSpace
	}
	s.left.Add(-n)
	return nil
}

// measure asks the disk how many bytes there are above the floor.
func (s *space) measure() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &st); err != nil {
		return 0, err
	}
	left := int64(st.Bavail)*int64(st.Bsize) - s.floor
	s.left.Store(left)
	s.until.Store(time.Now().Add(spaceTrust).UnixNano())
	return left, nil
}

// noSpace turns the disk's own refusal into ErrNoSpace.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return ErrNoSpace
	}
	return err
}
