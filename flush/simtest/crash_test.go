package simtest_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph/graphtest"
)

var (
	everyStep = flag.Bool("crash", false, "die at every step, not at some")
	firstStep = flag.Int64("step", 0, "die at this step alone")
)

// dawn is what is there in the morning.
func dawn(d *graphtest.Drive) {
	for _, f := range [][2]string{
		{"/edit.txt", "before"}, {"/old/name.txt", "name"}, {"/x", "x"}, {"/y", "y"}, {"/one.txt", "1"}, {"/two.txt", "2"},
		{"/dir/a.txt", "a"}, {"/dir/b/c.txt", "c"}, {"/sub/a.txt", "a1"}, {"/sub/b.txt", "b"}, {"/theirs.txt", "1"},
		{"/go/away.txt", "away"},
	} {
		if _, err := d.Put(f[0], []byte(f[1])); err != nil {
			panic(err)
		}
	}
}

// day is a day's work here with every kind of step in it.
func day(w *simtest.World) error {
	return errors.Join(
		w.Write("/edit.txt", []byte("after")),
		w.Write("/fresh.bin", simtest.Data("fresh", 400<<10)),
		w.Mkdir("/new"),
		w.Write("/new/file.txt", []byte("deep")),
		w.Move("/old/name.txt", "/new/name.txt"),
		w.Exchange("/x", "/y"),
		w.Move("/one.txt", "/tmp"), w.Move("/two.txt", "/one.txt"), w.Move("/tmp", "/two.txt"),
		w.Remove("/dir"),
		w.Write("/sub/a.txt", []byte("a2")),
		w.Move("/sub", "/new/sub"),
		w.Write("/tmp.txt", []byte("saved by rename")), w.Move("/tmp.txt", "/new/name.txt"),
	)
}

// meanwhile is what the colleague does that day.
func meanwhile(w *simtest.World) error {
	_, err := w.Far.Put("/theirs.txt", []byte("2"))
	_, err2 := w.Far.Put("/more/theirs.txt", []byte("new"))
	_, err3 := w.Far.Move("/old", "/older")
	return errors.Join(err, err2, err3, w.Far.Delete("/go"))
}

// evening is what must be there in the end, whatever happened in between.
func evening() map[string]string {
	return map[string]string{
		"/edit.txt": "after", "/fresh.bin": string(simtest.Data("fresh", 400<<10)), "/new/": "", "/new/file.txt": "deep",
		"/older/": "", "/x": "y", "/y": "x", "/one.txt": "2", "/two.txt": "1", "/new/sub/": "", "/new/sub/a.txt": "a2",
		"/new/sub/b.txt": "b", "/theirs.txt": "2", "/more/": "", "/more/theirs.txt": "new", "/new/name.txt": "saved by rename",
	}
}

// steps counts the steps of a process: before every transaction of the store, before every request
// and after it. At one of them it dies.
type steps struct {
	now, at atomic.Int64
	die     func()
}

func (s *steps) step() {
	if s.now.Add(1) == s.at.Load() {
		s.die()
	}
}

func (s *steps) count(w *simtest.World) {
	w.Tick(s.step)
	w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		s.step()
		if s.died() {
			return nil, errDead
		}
		answer, err := under.RoundTrip(r)
		s.step()
		if err == nil && s.died() {
			answer.Body.Close()
			return nil, errDead
		}
		return answer, err
	})
}

func (s *steps) died() bool { return s.at.Load() > 0 && s.now.Load() >= s.at.Load() }

// finish goes on after a death, or a power cut, and compares the end with the model.
func finish(t *testing.T, w *simtest.World) {
	t.Helper()
	if r := w.Flush(); r.Deferred+r.Busy > 0 {
		t.Errorf("the flush after it: %+v", r)
	}
	got, want := w.There(), evening()
	for p, data := range want {
		if have, ok := got[p]; !ok || have != data {
			t.Errorf("%s: %.20q (there: %v), want %.20q", p, have, ok, data)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[p]; !ok {
			t.Errorf("%s is there as well", p)
		}
	}
	w.Equal()
	w.Quiet()
}

// worked is a world after the day's work, before anything of it is sent.
func worked(t *testing.T) *simtest.World {
	w := simtest.New(t, graphtest.Options{}, dawn)
	if err := errors.Join(day(w), meanwhile(w)); err != nil {
		t.Fatal(err)
	}
	w.Options.Parallel = 1
	w.Use(w.Near)
	return w
}

// dieAt refreshes and flushes, and keeps what a process that dies at a step leaves. It reports whether it came so far.
func dieAt(w *simtest.World, n int64, kept string) bool {
	s := &steps{die: func() { w.Keep(kept) }}
	s.at.Store(n)
	s.count(w)
	_, _ = w.Engine.Refresh(context.Background())
	if !s.died() {
		_, _ = w.Engine.Flush(context.Background(), everything)
	}
	w.Tick(nil)
	w.Between(nil)
	return s.died()
}

// everyDeath dies at one step after the other, or at one in a stride, until somebody lives to the end.
func everyDeath(t *testing.T, first, stride int64, die func(t *testing.T, n int64) (died bool)) {
	t.Helper()
	if *everyStep {
		stride = 1
	}
	deaths := int64(0)
	for n := max(first, *firstStep); ; n += stride {
		died := false
		t.Run(fmt.Sprint(n), func(t *testing.T) { died = die(t, n) })
		if !died || *firstStep > 0 {
			break
		}
		deaths++
	}
	t.Logf("died at %d steps, every %d", deaths, stride)
	if deaths*stride < 150 && *firstStep == 0 {
		t.Errorf("%d deaths, every %d steps: too few to prove anything", deaths, stride)
	}
}

// TestKilledAtEveryStep copies what a process that dies at a step leaves, and goes on with that.
func TestKilledAtEveryStep(t *testing.T) {
	everyDeath(t, 1, 11, func(t *testing.T, n int64) (died bool) {
		synctest.Test(t, func(t *testing.T) {
			w, kept := worked(t), filepath.Join(simtest.Folder(t), "kept")
			if died = dieAt(w, n, kept); died {
				w.Open(kept)
				finish(t, w)
			}
		})
		return died
	})
}

// TestKill9AtEveryStep lets a process of its own do the work and kills it.
func TestKill9AtEveryStep(t *testing.T) {
	if a, ok := simtest.AddressFromEnv(); ok {
		child(t, a)
		return
	}
	everyDeath(t, 7, 67, kill9)
}

const dieKey = "DUSKFS_SIMTEST_DIE"

// kill9 lets a child die at a step, and goes on with what it leaves. It returns false if the child
// came to its end before.
func kill9(t *testing.T, n int64) bool {
	w, a := simtest.Serve(t, dawn)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), exe, "-test.run", "^TestKill9AtEveryStep$")
	c.Env = append(os.Environ(), a.Env(), fmt.Sprintf("%s=%d\n%s", dieKey, n, w.Dir))
	tell, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(said)
	first, err := lines.ReadString('\n')
	done := err == nil && first == "worked\n"
	if done {
		if err := meanwhile(w); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tell, "go on\n"); err != nil {
			t.Fatal(err)
		}
	}
	rest, _ := io.ReadAll(lines)
	if err := c.Wait(); err == nil {
		return false
	}
	if s, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended by itself: %v\n%s%s", c.ProcessState, first, rest)
	}
	w.Open(w.Dir)
	if !done { // it died before
		w.Refresh()
		if err := errors.Join(day(w), meanwhile(w)); err != nil {
			t.Fatal(err)
		}
	}
	finish(t, w)
	return true
}

// child is the process that dies.
func child(t *testing.T, a simtest.Address) {
	at, dir, _ := strings.Cut(os.Getenv(dieKey), "\n")
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s := &steps{die: func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			panic(err)
		}
		select {} // no step further
	}}
	s.at.Store(n)
	w := simtest.Join(t, a, dir)
	s.count(w)
	w.Refresh()
	w.Tick(nil)
	if err := day(w); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Println("worked"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s.count(w)
	w.Refresh()
	w.Flush()
}

// TestPowerCut keeps of what was not synced only parts, and goes on with that.
func TestPowerCut(t *testing.T) {
	cuts := 12
	if *everyStep {
		cuts = 400
	}
	for seed := range uint64(cuts) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { powerCut(t, seed) })
		})
	}
}

func powerCut(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	w := worked(t)
	if err := w.Sync("/edit.txt", "/fresh.bin", "/new/file.txt", "/new/sub/a.txt", "/new/name.txt"); err != nil {
		t.Fatal(err)
	}
	synced := filepath.Join(simtest.Folder(t), "synced")
	w.Keep(synced)
	late := filepath.Join(simtest.Folder(t), "late")
	if !dieAt(w, 1+rnd.Int64N(350), late) {
		w.Keep(late)
	}
	torn := filepath.Join(simtest.Folder(t), "torn")
	if err := simtest.Tear(synced, late, torn, rnd); err != nil {
		t.Fatal(err)
	}
	w.Open(torn)
	finish(t, w)
}
