package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/duskfs/duskfs/cache"
)

// ProbeCommand is the hidden command with which the program looks at the rows of a store in a process
// of its own.
const ProbeCommand = "probe-rows"

// How that process ends: anything but these is damage, which can end a process in any way.
const (
	ProbeSound   = 0
	ProbeNothing = 4 // it could not look
)

// probe returns the Probe of a store: it starts this program once more.
func probe(ctx context.Context) func(dir string) error {
	return func(dir string) error {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the program itself: %w", err)
		}
		var said bytes.Buffer
		c := exec.CommandContext(ctx, self, ProbeCommand, dir)
		c.Stdout, c.Stderr = &said, &said
		err = c.Run()
		var ended *exec.ExitError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &ended):
			return fmt.Errorf("look at the rows of %s: %w", dir, err)
		}
		text := firstLine(said.String())
		status, ok := ended.Sys().(syscall.WaitStatus)
		switch {
		case ended.ExitCode() == ProbeNothing:
			return fmt.Errorf("look at the rows of %s: %s", dir, text)
		case ok && status.Signaled() && (status.Signal() == syscall.SIGKILL || status.Signal() == syscall.SIGTERM || status.Signal() == syscall.SIGINT):
			return fmt.Errorf("look at the rows of %s: the process that did was ended by %v", dir, status.Signal())
		}
		return fmt.Errorf("%w: %s", cache.ErrDamaged, strings.TrimPrefix(text, cache.ErrDamaged.Error()+": "))
	}
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return text
}
