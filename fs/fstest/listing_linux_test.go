package fstest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
)

var entries = flag.Int("entries", 1000, "how many entries a folder has while it is changed and listed")

// TestAListingSkipsAndRepeatsNothing lists a folder piece by piece while as many entries are removed, those
// that came already and those to come, as others are created.
func TestAListingSkipsAndRepeatsNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		sys  func(*testing.T, *fstest.World) fstest.Sys
	}{
		{"direct", func(_ *testing.T, w *fstest.World) fstest.Sys { return fstest.Direct(w.FS, fs.Caller{}) }},
		{"mounted", func(t *testing.T, w *fstest.World) fstest.Sys { _, root := w.Mount(t); return fstest.Mounted(root) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) {
				for i := range *entries {
					w.Remote.Put(fmt.Sprintf("/d/old-%06d", i), []byte("x"))
				}
			})
			changeWhileListing(t, c.sys(t, w))
		})
	}
}

func changeWhileListing(t *testing.T, sys fstest.Sys) {
	rnd := rand.New(rand.NewPCG(1, uint64(*entries)))
	there := map[string]bool{} // what was there from the start and is still
	var all []string
	for i := range *entries {
		all = append(all, fmt.Sprintf("old-%06d", i))
		there[all[i]] = true
	}
	d, err := sys.OpenDir("/d")
	must(t, err)
	defer d.Close()
	seen := map[string]int{}
	made := 0
	for {
		some, err := d.Next()
		must(t, err)
		if len(some) == 0 {
			break
		}
		for _, name := range some {
			seen[name]++
			if made < *entries { // else the listing runs after what is made and never ends
				f, err := sys.Open(fmt.Sprintf("/d/new-%06d", made), syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o644)
				must(t, err)
				must(t, f.Close())
				made++
			}
			if gone := all[rnd.IntN(len(all))]; there[gone] {
				must(t, sys.Unlink("/d/"+gone))
				delete(there, gone)
			}
		}
	}
	for name := range there {
		if seen[name] == 0 {
			t.Errorf("%s was skipped", name)
		}
	}
	for name, n := range seen {
		if n > 1 {
			t.Errorf("%s came %d times", name, n)
		}
	}
	if gone := len(all) - len(there); gone < len(all)/3 || made < len(all)/2 {
		t.Errorf("only %d entries were removed and %d made", gone, made)
	}
}
