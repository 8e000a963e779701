package graphtest_test

import (
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// TestAMillionItemsFitInAGigabyte takes half a minute and is skipped unless it is asked for.
func TestAMillionItemsFitInAGigabyte(t *testing.T) {
	if os.Getenv("DUSKFS_MILLION") == "" {
		t.Skip("DUSKFS_MILLION is not set: a tree of a million items takes time and memory")
	}
	c := start(t, graphtest.Options{Seed: 1})
	if err := c.s.Me().Drive().Generate(1_000_000, 1); err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc >> 20
	}
	t.Logf("%d MiB with a million items", heap())
	items, pages := 0, 0
	most := uint64(0)
	for next := "/me/drive/root/delta?$top=1000"; next != ""; pages++ {
		a := c.want(200, "GET", next, nil)
		items += len(a.list())
		if pages%100 == 0 {
			most = max(most, heap())
		}
		next = a.at("@odata.nextLink")
	}
	most = max(most, heap())
	t.Logf("%d entries in %d pages; at most %d MiB", items, pages, most)
	if items < 1_000_000 {
		t.Errorf("%d entries", items)
	}
	if most >= 1024 {
		t.Errorf("%d MiB, want less than 1024", most)
	}
}

func TestHugeBodiesCostNothing(t *testing.T) {
	dir := t.TempDir()
	c := start(t, graphtest.Options{Dir: dir})
	const size = 100 << 30
	if _, err := c.s.Drive("").PutSeeded("/huge.bin", size, 7); err != nil {
		t.Fatal(err)
	}
	at := c.want(302, "GET", "/me/drive/root:/huge.bin:/content", nil).header.Get("Location")
	a := c.want(206, "GET", at, nil, "Range: bytes=107374182390-")
	equal(t, "the last ten bytes", a.header.Get("Content-Range"), "bytes 107374182390-107374182399/107374182400")
	b := c.want(206, "GET", at, nil, "Range: bytes=107374182380-107374182399")
	equal(t, "the same bytes", string(b.raw[10:]), string(a.raw))
	files, err := os.ReadDir(dir + "/bodies")
	if err != nil || len(files) != 0 {
		t.Errorf("%d files on disk, %v", len(files), err)
	}
	r, err := c.s.Drive("").Open("/huge.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.CopyN(io.Discard, r, 1<<20); err != nil || n != 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
