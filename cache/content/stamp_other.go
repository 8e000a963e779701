//go:build !linux && !darwin

package content

import "syscall"

func changeTime(*syscall.Stat_t) int64 { return 0 }
