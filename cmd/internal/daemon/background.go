package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/graph"
)

// readyFD is the file on which a daemon in the background tells its parent how the start went.
const readyFD = 3

// report is what a daemon in the background tells its parent, once.
type report struct {
	Ready *Ready           `json:"ready,omitempty"`
	Error *control.Failure `json:"error,omitempty"`
	Usage bool             `json:"usage,omitempty"` // the error is one of the configuration
}

// Background starts this program again with args, detached from terminal and session, and waits
// until its mount is ready. An error is the one that the daemon met; usage says that it was a
// mistake of the configuration. If ctx ends first, the daemon is told to stop and waited for.
func Background(ctx context.Context, args, environ []string, dir, logFile string) (r Ready, usage bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return Ready{}, false, fmt.Errorf("find the program itself: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(logFile), 0o700); err != nil {
		return Ready{}, false, fmt.Errorf("make the folder of logs: %w", err)
	}
	// What the runtime itself prints, such as the stack of a crash, goes to the log as well.
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return Ready{}, false, fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	in, tell, err := os.Pipe()
	if err != nil {
		return Ready{}, false, err
	}
	defer func() { _ = in.Close() }() // read only
	c := exec.Command(self, args...)
	c.Env, c.Dir, c.Stdout, c.Stderr, c.ExtraFiles = environ, dir, out, out, []*os.File{tell}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return Ready{}, false, errors.Join(fmt.Errorf("start the daemon: %w", err), tell.Close())
	}
	_ = tell.Close() // the child has it
	stop := context.AfterFunc(ctx, func() { _ = c.Process.Signal(syscall.SIGTERM) })
	defer stop()

	var got report
	err = json.NewDecoder(in).Decode(&got)
	if err == nil && got.Ready != nil && ctx.Err() == nil {
		return *got.Ready, false, c.Process.Release()
	}
	_ = c.Wait() // how it ended was said, or is in the log
	switch {
	case ctx.Err() != nil:
		return Ready{}, false, ctx.Err()
	case got.Error != nil:
		return Ready{}, got.Usage, got.Error
	}
	return Ready{}, false, fmt.Errorf("the daemon ended before its mount was ready; see %s", logFile)
}

// Reporter tells the parent of a daemon in the background how the start went. Only the first word
// counts.
type Reporter struct{ to io.WriteCloser }

// NewReporter returns the reporter of a process that Background started.
func NewReporter() *Reporter { return &Reporter{to: os.NewFile(readyFD, "ready")} }

// Ready says that the mount is up.
func (r *Reporter) Ready(ready Ready) { r.say(report{Ready: &ready}) }

// Failed says why there is no mount. usage marks a mistake of the configuration.
func (r *Reporter) Failed(err error, usage bool) {
	r.say(report{Error: &control.Failure{Message: err.Error(), Kind: graph.KindOf(err)}, Usage: usage})
}

func (r *Reporter) say(x report) {
	if r.to == nil {
		return
	}
	_ = json.NewEncoder(r.to).Encode(x) // a parent that has gone needs no word
	_ = r.to.Close()
	r.to = nil
}
