package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duskfs/duskfs/cmd/internal/cli"
)

var soak = flag.Duration("soak", 5*time.Second, "how long TestSoak works")

// TestSoak works on a mount for a while, flushes and refreshes now and then, and compares memory, descriptors
// and goroutines at the end with what they were after the first minute, or the first fifth if that is less. The
// daemon runs in this process and the emulator, which remembers every version of every file, in another.
// In the end the local state is thrown away, and what was written is read from the service.
func TestSoak(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse: nothing can be mounted here")
	}
	s := newSoaked(t)
	stop := s.mount()
	defer func() { stop() }()
	var workers []*worker
	for i := range 3 {
		workers = append(workers, newWorker(t, filepath.Join(s.point, fmt.Sprint("worker-", i)), byte(i)))
	}
	work := func(d time.Duration) {
		end := time.Now().Add(d)
		var all sync.WaitGroup
		for _, w := range workers {
			all.Go(func() {
				for time.Now().Before(end) && !t.Failed() {
					w.step()
				}
			})
		}
		all.Go(func() {
			every := min(20*time.Second, max(time.Second, *soak/50))
			for next := time.Now().Add(every); next.Before(end) && !t.Failed(); next = next.Add(every) {
				time.Sleep(time.Until(next))                                   // the pace of the test, not a wait for something
				s.run("flush", "--include-open", "--confirm-deletes", s.point) // in part, while files change
				s.run("refresh", s.point)
			}
		})
		all.Wait()
		if status := s.run("flush", "--confirm-deletes", s.point); status != 0 {
			t.Errorf("a flush at rest ended with %d", status)
		}
	}
	begin := min(time.Minute, *soak/5)
	work(begin)
	before := takes(t)
	work(*soak - begin)
	after := takes(t)
	t.Logf("after %v: %v; after %v: %v", begin, before, *soak, after)
	// Connections to the service come and go, each with two goroutines. Memory is what it is after a minute: the
	// store's tables must have been full once.
	if after.goroutines > before.goroutines+8 || after.descriptors > before.descriptors+8 ||
		begin == time.Minute && after.memory > before.memory*5/4+8<<20 {
		t.Errorf("it takes more and more: %v after %v, %v after %v", before, begin, after, *soak)
	}
	for _, w := range workers {
		w.check()
	}
	var both bytes.Buffer // nobody else works here: nothing can have changed on both sides
	if status := s.exec(context.Background(), &both, "conflicts", s.point); status != 0 || !strings.Contains(both.String(), "no conflicts") {
		t.Errorf("conflicts: status %d\n%s", status, both.String())
	}
	stop()
	if err := os.RemoveAll(s.state); err != nil {
		t.Fatal(err)
	}
	stop = s.mount()
	for _, w := range workers {
		w.check()
	}
}

// soaked is an emulator in another process and a daemon in this one.
type soaked struct {
	t            *testing.T
	state, point string
	environ      []string
}

func newSoaked(t *testing.T) *soaked {
	t.Helper()
	s := &soaked{t: t, state: filepath.Join(t.TempDir(), "state"), point: t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, "duskfs", "emulator", "--state", t.TempDir())
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		c.Wait()
	})
	s.environ = append(os.Environ(), "HOME="+t.TempDir())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		v, ok := strings.CutPrefix(lines.Text(), "export ")
		if !ok {
			t.Fatalf("the emulator says %q", lines.Text())
		}
		s.environ = append(s.environ, strings.ReplaceAll(v, "'", ""))
		if strings.HasPrefix(v, "USER_ID=") { // the last one
			return s
		}
	}
	t.Fatal("the emulator ended")
	return nil
}

// mount runs a daemon in this process, and returns when it has mounted. stop ends it.
func (s *soaked) mount() (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ready, ended := make(chan struct{}), make(chan int, 1)
	go func() {
		ended <- s.exec(ctx, w, "mount", "me", s.point)
		w.Close()
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if strings.Contains(lines.Text(), " mounted at ") {
				close(ready)
				continue
			}
			s.t.Log(lines.Text())
		}
	}()
	select {
	case <-ready:
	case status := <-ended:
		cancel()
		<-read
		s.t.Fatalf("mount ended with %d", status)
	}
	return sync.OnceFunc(func() {
		cancel()
		if status := <-ended; status != 0 {
			s.t.Errorf("the daemon ended with %d", status)
		}
		<-read
	})
}

// run runs a command in this process, which is done then, at least in part.
func (s *soaked) run(args ...string) (status int) {
	var out bytes.Buffer
	if status = s.exec(context.Background(), &out, args...); status != 0 && status != 3 {
		s.t.Errorf("%v ended with %d:\n%s", args, status, out.String())
	}
	return status
}

func (s *soaked) exec(ctx context.Context, out io.Writer, args ...string) int {
	return cli.Run(ctx, append(args, "--state-dir", s.state), cli.Streams{Out: out, Err: out, Environ: s.environ, Work: s.point + "/.."})
}

// taken is what a process takes of the machine when it rests.
type taken struct {
	memory                  int64 // bytes of its own, not of files
	descriptors, goroutines int
}

func (k taken) String() string {
	return fmt.Sprintf("%d MiB, %d descriptors, %d goroutines", k.memory>>20, k.descriptors, k.goroutines)
}

// takes looks at this process. Descriptors of the store's tables are not counted: how many there are depends on
// when they were last merged.
func takes(t *testing.T) taken {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	debug.FreeOSMemory()
	k := taken{goroutines: runtime.NumGoroutine()}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &k.memory); err == nil {
			k.memory <<= 10
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if ext := filepath.Ext(to); err == nil && ext != ".sst" && ext != ".vlog" && ext != ".mem" {
			k.descriptors++
		}
	}
	return k
}

// worker works in a folder of its own, and knows what must be in it.
type worker struct {
	t     *testing.T
	dir   string
	rnd   *rand.Rand
	bytes *rand.ChaCha8
	files map[string][]byte // by name in dir
	dirs  map[string]bool
}

func newWorker(t *testing.T, dir string, seed byte) *worker {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	bytes := rand.NewChaCha8([32]byte{seed})
	return &worker{t: t, dir: dir, rnd: rand.New(bytes), bytes: bytes, files: map[string][]byte{}, dirs: map[string]bool{".": true}}
}

func (w *worker) path(name string) string { return filepath.Join(w.dir, name) }

func (w *worker) must(what string, err error) {
	if err != nil {
		w.t.Errorf("%s: %v", what, err)
	}
}

func (w *worker) data(n int) []byte {
	b := make([]byte, w.rnd.IntN(n))
	w.bytes.Read(b)
	return b
}

// folder picks one of those that are there.
func (w *worker) folder() string {
	return slices.Sorted(maps.Keys(w.dirs))[w.rnd.IntN(len(w.dirs))]
}

func (w *worker) name() string {
	return filepath.Join(w.folder(), fmt.Sprintf("f%02d", w.rnd.IntN(25)))
}

// step does one thing of those that programs do.
func (w *worker) step() {
	name := w.name()
	p := w.path(name)
	_, there := w.files[name]
	switch w.rnd.IntN(14) {
	case 0, 1: // a program saves
		data := w.data(60_000)
		w.must("write", os.WriteFile(p+".tmp", data, 0o644))
		w.must("rename", os.Rename(p+".tmp", p))
		w.files[name] = data
	case 2: // another does in place
		data := w.data(20_000)
		w.must("write", os.WriteFile(p, data, 0o644))
		w.files[name] = data
	case 3: // a third keeps a backup
		if there {
			data := w.data(20_000)
			w.must("rename", os.Rename(p, p+"~"))
			w.must("write", os.WriteFile(p, data, 0o644))
			w.must("remove", os.Remove(p+"~"))
			w.files[name] = data
		}
	case 4, 5:
		w.read(name)
	case 6:
		if there {
			w.must("remove", os.Remove(p))
			delete(w.files, name)
		}
	case 7:
		if to := w.name(); there && to != name {
			w.must("rename", os.Rename(p, w.path(to)))
			w.files[to] = w.files[name]
			delete(w.files, name)
		}
	case 8:
		if there {
			w.must("setxattr", unix.Setxattr(p, "user.a", []byte(name), 0))
			w.must("chmod", os.Chmod(p, 0o640))
		}
	case 9:
		w.list()
	case 10:
		if there {
			f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
			w.must("open", err)
			line := w.data(500)
			_, err = f.Write(line)
			w.must("append", errors.Join(err, f.Close()))
			w.files[name] = append(bytes.Clone(w.files[name]), line...)
		}
	case 11:
		if to := w.name(); there && w.files[to] != nil && to != name {
			w.must("exchange", unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, w.path(to), unix.RENAME_EXCHANGE))
			w.files[to], w.files[name] = w.files[name], w.files[to]
		}
	case 12:
		if d := fmt.Sprintf("d%d", w.rnd.IntN(4)); !w.dirs[d] {
			w.must("mkdir", os.Mkdir(w.path(d), 0o755))
			w.dirs[d] = true
		}
	case 13:
		if d, to := w.folder(), fmt.Sprintf("d%d", w.rnd.IntN(4)); d != "." && !w.dirs[to] {
			w.must("rename", os.Rename(w.path(d), w.path(to)))
			delete(w.dirs, d)
			w.dirs[to] = true
			for name, data := range w.files {
				if filepath.Dir(name) == d {
					delete(w.files, name)
					w.files[filepath.Join(to, filepath.Base(name))] = data
				}
			}
		}
	}
}

func (w *worker) list() {
	dir := w.folder()
	list, err := os.ReadDir(w.path(dir))
	w.must("list", err)
	var got, want []string
	for _, e := range list {
		got = append(got, filepath.Join(dir, e.Name()))
	}
	for _, names := range []iter.Seq[string]{maps.Keys(w.files), maps.Keys(w.dirs)} {
		for name := range names {
			if filepath.Dir(name) == dir && name != "." {
				want = append(want, name)
			}
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("%s holds %v, want %v", w.path(dir), got, want)
	}
}

func (w *worker) read(name string) {
	data, err := os.ReadFile(w.path(name))
	switch want, there := w.files[name]; {
	case !there:
		if !errors.Is(err, os.ErrNotExist) {
			w.t.Errorf("read of %s: %v, want none", name, err)
		}
	case err != nil:
		w.t.Errorf("read: %v", err)
	case !bytes.Equal(data, want):
		w.t.Errorf("%s has other bytes: %d", name, len(data))
	}
}

// check reads everything.
func (w *worker) check() {
	for name := range w.files {
		w.read(name)
	}
	for range 20 {
		w.list()
	}
}
