package fusemount_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph"
)

// hanging starts a program that reads a file whose bytes do not come, and returns when it asks.
func hanging(t *testing.T, w *fstest.World, root string) (c *exec.Cmd, ended chan error) {
	t.Helper()
	t.Cleanup(w.Remote.Hang())
	before, _ := w.Remote.Reads()
	c = exec.Command("cat", filepath.Join(root, "f"))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() { _ = c.Process.Kill() })
	fstest.Await(t, "the read asks the remote", func() bool { n, _ := w.Remote.Reads(); return n > before })
	return c, ended
}

func within(t *testing.T, what string, ended chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal(what + " still hangs")
		return nil
	}
}

func slowFile(w *fstest.World, _ *fs.Options) { w.Remote.Put("/f", []byte("slow")) }

func TestAKilledReaderIsGoneAtOnce(t *testing.T) {
	w := fstest.NewWorld(t, slowFile)
	_, root := w.Mount(t)
	c, ended := hanging(t, w, root)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := within(t, "the killed program", ended); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", err)
	}
}

func TestUnmountWorksWhileReadsHang(t *testing.T) {
	w := fstest.NewWorld(t, slowFile)
	m, root := w.Mount(t)
	_, ended := hanging(t, w, root)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := m.Unmount(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("unmount: %v", err)
	}
	if err := within(t, "the reader", ended); err == nil {
		t.Error("the reader read something")
	}
}

func TestADeadNetworkEndsAReadInTime(t *testing.T) {
	w := fstest.NewWorld(t, func(w *fstest.World, o *fs.Options) {
		slowFile(w, o)
		o.Timeout = 100 * time.Millisecond
	})
	_, root := w.Mount(t)
	defer w.Remote.Hang()()
	if _, err := os.ReadFile(filepath.Join(root, "f")); !errors.Is(err, syscall.EIO) {
		t.Errorf("read: %v, want EIO", err)
	}
	// The kernel asks twice, and is not made to wait twice.
	if calls, _ := w.Remote.Reads(); calls != 1 {
		t.Errorf("the bytes were waited for %d times", calls)
	}
}

// logBuffer takes log lines from several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAPanicIsOneErrorAndALineInTheLog(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse: nothing can be mounted here")
	}
	var wild atomic.Bool
	w := fstest.NewWorld(t, func(_ *fstest.World, o *fs.Options) {
		o.Drives[0].Space = func() (graph.Quota, int64) {
			if wild.Swap(false) {
				panic("space is curved")
			}
			return graph.Quota{Total: 1 << 40, Remaining: 1 << 39}, 0
		}
	})
	var lines logBuffer
	m, err := fusemount.New(context.Background(), fusemount.Options{
		FS: w.FS, Mountpoint: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&lines, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(context.Background()); err != nil {
			t.Error(err)
		}
	})
	wild.Store(true)
	var st unix.Statfs_t
	if err := unix.Statfs(m.Mountpoint(), &st); !errors.Is(err, syscall.EIO) {
		t.Errorf("statfs: %v, want EIO", err)
	}
	if err := unix.Statfs(m.Mountpoint(), &st); err != nil {
		t.Errorf("the next one: %v", err)
	}
	if s := lines.String(); !strings.Contains(s, "space is curved") || !strings.Contains(s, "hang_linux_test.go") {
		t.Errorf("the log says %q", s)
	}
}

func TestHolesAreRightUnderMaps(t *testing.T) {
	w := fstest.NewWorld(t, nil)
	_, root := w.Mount(t)
	path := filepath.Join(root, "f")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	end := writeMapped(t, path)
	// What the child wrote is in its map alone as yet.
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if at, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA); err != nil || at != 0 {
		t.Errorf("data begins at %d, %v", at, err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// One download that does not come holds up nobody but its reader.
func TestAReadThatHangsHoldsUpNobodyElse(t *testing.T) {
	w := fstest.NewWorld(t, func(w *fstest.World, o *fs.Options) {
		slowFile(w, o)
		w.Remote.Put("/d/here", []byte("here"))
	})
	_, root := w.Mount(t)
	if _, err := os.ReadFile(filepath.Join(root, "d", "here")); err != nil {
		t.Fatal(err)
	}
	c, ended := hanging(t, w, root)
	done := make(chan error, 1)
	go func() {
		done <- errors.Join(
			os.WriteFile(filepath.Join(root, "new"), []byte("new"), 0o644),
			os.Rename(filepath.Join(root, "new"), filepath.Join(root, "d", "newer")),
			os.Rename(filepath.Join(root, "f"), filepath.Join(root, "g")),
			os.Mkdir(filepath.Join(root, "e"), 0o755),
			os.Remove(filepath.Join(root, "d", "newer")),
			os.Chmod(filepath.Join(root, "g"), 0o600),
		)
		b, err := os.ReadFile(filepath.Join(root, "d", "here"))
		if err == nil && string(b) != "here" {
			err = errors.New("other bytes")
		}
		_, lerr := os.ReadDir(root)
		done <- errors.Join(err, lerr)
	}()
	for range 2 {
		if err := within(t, "somebody else", done); err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the reader ended: %v", err)
	default:
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "the reader", ended); err == nil {
		t.Error("the reader read something")
	}
}
