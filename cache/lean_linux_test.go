package cache_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/graph"
)

var copyRows = flag.Int("copyrows", 24_000, "rows of a lean store whose memory is measured")

const leanChild = "DUSKFS_TEST_LEAN"

// status reads a number of bytes that the kernel knows of this process.
func status(t *testing.T, what string) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, what+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("the kernel does not tell %s", what)
	return 0
}

// TestALeanStoreHoldsLittleOfItsRows runs in a process of its own, so that nothing else counts.
func TestALeanStoreHoldsLittleOfItsRows(t *testing.T) {
	cachetest.MeasuresMemory(t)
	if os.Getenv(leanChild) != "" {
		leanLife(t)
		return
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", fmt.Sprintf("-copyrows=%d", *copyRows))
	c.Env = append(os.Environ(), leanChild+"=1")
	out, err := c.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

func leanLife(t *testing.T) {
	debug.SetGCPercent(25)
	s, err := cache.Open(t.TempDir(), cache.Options{Lean: true})
	if err != nil {
		t.Fatal(err)
	}
	c := aCopy(t, s, "/up")
	before := status(t, "VmHWM")
	told := func(what string) {
		t.Helper()
		most := (status(t, "VmHWM") - before) >> 20
		t.Logf("%s: %d MiB of rows, at most %d MiB more in memory than at the beginning", what, rowBytes(t, s.Dir())>>20, most)
		if most > 36 {
			t.Errorf("%s: %d MiB", what, most)
		}
	}
	id := func(i int) graph.ItemID { return graph.ItemID(fmt.Sprintf("01%032X", uint32(i)*2_654_435_761)) }
	at := func(i int) string {
		return fmt.Sprintf("project %d/part %d/a document number %d.txt", i/1000, i/100, i)
	}
	for i := range *copyRows {
		step := cache.CopyStep{Path: at(i), Attempt: cache.Attempt{Op: "create", Session: strings.Repeat(string(id(i)), 40)}}
		if err := c.Begin(step); err != nil {
			t.Fatal(err)
		}
		tag := "\"{" + string(id(i)) + "},1\""
		item := graph.Item{ID: id(i), Parent: "01PARENTPARENTPARENTPARENTPARENT", Name: path.Base(at(i)), ETag: tag, CTag: tag, Hash: "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
		if _, err := c.Commit(step, item); err != nil {
			t.Fatal(err)
		}
	}
	told("written")
	for i := range *copyRows {
		if _, ok, err := c.Find(id(i)); !ok || err != nil {
			t.Fatalf("row %d: %v, %v", i, ok, err)
		}
	}
	told("read")
	size := rowBytes(t, s.Dir())
	s.Tidy()
	told("tidied")
	if after := rowBytes(t, s.Dir()); after > size/2 {
		t.Errorf("%d bytes of rows are %d after tidying", size, after)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	told("closed")
}

// rowBytes is the size of the rows of a store on the disk.
func rowBytes(t *testing.T, dir string) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir + "/rows")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if st, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".sst") {
			size += st.Size()
		}
	}
	return size
}
