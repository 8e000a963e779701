package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duskfs/duskfs/cmd/internal/control"
)

// holder is a process that uses a mount.
type holder struct {
	pid  int
	name string
	what string // a file that it has open, or that it works in the folder
}

func (h holder) String() string { return fmt.Sprintf("%s (process %d, %s)", h.name, h.pid, h.what) }

// holders finds the processes that have files of a mount open or work in it, as far as one may look
// into them. Elsewhere than on Linux it finds none.
func holders(proc, mount string) []holder {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var found []holder
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := filepath.Join(proc, e.Name())
		if what := uses(dir, mount); what != "" {
			name, _ := os.ReadFile(filepath.Join(dir, "comm"))
			found = append(found, holder{pid: pid, name: strings.TrimSpace(string(name)), what: what})
		}
	}
	slices.SortFunc(found, func(a, b holder) int { return a.pid - b.pid })
	return found
}

// uses says how a process uses a mount, empty if it does not. Links are read, never followed: a mount
// that hangs must not hang who looks.
func uses(dir, mount string) string {
	inside := func(link string) (string, bool) {
		to, err := os.Readlink(link)
		return to, err == nil && control.Inside(mount, strings.TrimSuffix(to, " (deleted)"))
	}
	if _, ok := inside(filepath.Join(dir, "cwd")); ok {
		return "works in it"
	}
	files, _ := os.ReadDir(filepath.Join(dir, "fd"))
	for _, f := range files {
		if to, ok := inside(filepath.Join(dir, "fd", f.Name())); ok {
			return "has " + to + " open"
		}
	}
	if to, ok := inside(filepath.Join(dir, "exe")); ok {
		return "runs " + to
	}
	return ""
}

const (
	// busyWait is how long programs that use a mount are waited for before it is detached from them.
	busyWait = 10 * time.Second
	busyLook = 250 * time.Millisecond
	// holdersNamed is how many are told by name.
	holdersNamed = 10
)

// awaitHolders names the programs that use a mount, waits for a while until none does, and reports whether
// there were any.
func (a *app) awaitHolders(ctx context.Context, mount string) bool {
	found := holders("/proc", mount)
	if len(found) == 0 {
		return false
	}
	for i, h := range found {
		if i == holdersNamed {
			fmt.Fprintf(a.Err, "  and %d more\n", len(found)-i)
			break
		}
		fmt.Fprintln(a.Err, visible(fmt.Sprintf("%s is in use by %s", mount, h)))
	}
	fmt.Fprintf(a.Err, "waiting up to %v for them; what they have written is safe\n", busyWait)
	end := time.NewTimer(busyWait)
	defer end.Stop()
	look := time.NewTicker(busyLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if len(holders("/proc", mount)) == 0 {
				return true
			}
		case <-end.C:
			fmt.Fprintf(a.Err, "%s is still in use, and is detached from them\n", mount)
			return true
		case <-ctx.Done():
			return true
		}
	}
}
