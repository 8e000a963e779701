package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/gen2brain/beeep"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/graph"
)

const (
	commandTime = time.Minute // for the command that is told of something
	desktopTime = 5 * time.Second
	newsWaiting = 64 // that wait to be told
)

// herald tells people what they should hear of while they do not look: by the desktop, and by a
// command. One goroutine does, so that nobody waits for either.
type herald struct {
	o     config.Notify
	mount string
	log   *slog.Logger
	show  func(title, text string) error // nil: there is no desktop

	news   chan flush.Notice
	marks  chan chan struct{} // to be closed when all news before has been told
	cancel context.CancelFunc
	ended  sync.WaitGroup
	shown  chan struct{} // holds one token while no desktop notification is under way
}

// told is what the command reads.
type told struct {
	Kind  flush.NoticeKind `json:"kind"`
	Text  string           `json:"text"`
	Mount string           `json:"mount"`
	Drive string           `json:"drive"`
	At    time.Time        `json:"at"`
}

// startHerald begins to tell; end ends it.
func startHerald(o config.Notify, mount string, log *slog.Logger) *herald {
	ctx, cancel := context.WithCancel(context.Background())
	h := &herald{o: o, mount: mount, log: log, news: make(chan flush.Notice, newsWaiting), marks: make(chan chan struct{}), cancel: cancel, shown: make(chan struct{}, 1)}
	h.shown <- struct{}{}
	if o.Desktop && hasDesktop(runtime.GOOS, os.Getenv) {
		h.show = onDesktop
	}
	h.ended.Go(func() { h.run(ctx) })
	return h
}

// tell takes a notice and returns at once.
func (h *herald) tell(n flush.Notice) {
	if n.Err != nil {
		n.Text += ": " + sentence(graph.KindOf(n.Err), n.Err.Error(), n.At, n.At)
	}
	h.log.Warn(n.Text, "notice", n.Kind, "drive", n.Name)
	select {
	case h.news <- n:
	default:
		h.log.Warn("so much happens that not everything is told")
	}
}

// settle waits until everything that was told so far has been, or ctx ends.
func (h *herald) settle(ctx context.Context) {
	done := make(chan struct{})
	select {
	case h.marks <- done:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// end breaks off the command that runs. What was not told by now is in the log.
func (h *herald) end() {
	h.cancel()
	h.ended.Wait()
}

func (h *herald) run(ctx context.Context) {
	for {
		select {
		case n := <-h.news:
			h.announce(ctx, n)
		case mark := <-h.marks:
			for waiting := true; waiting; {
				select {
				case n := <-h.news:
					h.announce(ctx, n)
				default:
					waiting = false
				}
			}
			close(mark)
		case <-ctx.Done():
			return
		}
	}
}

func (h *herald) announce(ctx context.Context, n flush.Notice) {
	h.desktop(ctx, n)
	h.command(ctx, n)
}

// desktop shows a notice. A session bus that does not answer is waited for a moment, and left alone
// until it does.
func (h *herald) desktop(ctx context.Context, n flush.Notice) {
	if h.show == nil {
		return
	}
	select {
	case <-h.shown:
	default:
		return // the one before hangs
	}
	done := make(chan struct{})
	go func() {
		if err := h.show("duskfs: "+n.Name, n.Text); err != nil {
			h.log.Debug("desktop notification", "err", err)
		}
		h.shown <- struct{}{}
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	case <-time.After(desktopTime):
	}
}

func (h *herald) command(ctx context.Context, n flush.Notice) {
	if h.o.Command == "" {
		return
	}
	in, err := json.Marshal(told{Kind: n.Kind, Text: n.Text, Mount: h.mount, Drive: n.Name, At: n.At.UTC()})
	if err != nil {
		h.log.Warn("notify.command", "err", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	c := exec.CommandContext(ctx, "/bin/sh", "-c", h.o.Command)
	c.Stdin, c.Dir, c.WaitDelay = bytes.NewReader(append(in, '\n')), "/", time.Second
	if out, err := c.CombinedOutput(); err != nil {
		h.log.Warn("notify.command failed", "err", err, "said", string(out[:min(len(out), 300)]))
	}
}

// hasDesktop reports whether there is somebody to show a notification: elsewhere the library would
// start a session bus of its own.
func hasDesktop(goos string, env func(string) string) bool {
	if goos == "darwin" {
		return env("SSH_CONNECTION") == ""
	}
	if env("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	dir := env("XDG_RUNTIME_DIR")
	if dir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "bus"))
	return err == nil
}

func onDesktop(title, text string) error {
	beeep.AppName = "duskfs"
	return beeep.Notify(title, text, "")
}
