package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cmd/internal/control"
)

func TestStatusSaysWhenChangesAreSent(t *testing.T) {
	at := time.Date(2026, 3, 4, 18, 0, 0, 0, time.Local)
	for _, c := range []struct {
		want string
		f    control.Flush
	}{
		{"only when asked", control.Flush{}},
		{"next Wed 18:00", control.Flush{Next: &at}},
		{"when nothing was changed for 15m", control.Flush{After: 15 * time.Minute}},
		{"next Wed 18:00, when nothing was changed for 2h, on `duskfs unmount`", control.Flush{Next: &at, After: 2 * time.Hour, OnUnmount: true}},
		{"paused until `duskfs resume`", control.Flush{Next: &at, After: 15 * time.Minute, Paused: true}},
	} {
		c.f.State = "idle"
		var b strings.Builder
		if err := writeStatus(&b, control.Status{Flush: c.f}); err != nil || !strings.Contains(b.String(), "  flush      idle, last never, "+c.want+"\n") {
			t.Errorf("want %q in:\n%s(%v)", c.want, b.String(), err)
		}
	}
}
