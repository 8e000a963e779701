package upload

import (
	"syscall"
	"time"
)

// ctimeOf is when file, owner or mode last changed.
func ctimeOf(s *syscall.Stat_t) time.Time { return time.Unix(s.Ctimespec.Sec, s.Ctimespec.Nsec) }
