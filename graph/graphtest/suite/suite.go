package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// T is what a behaviour reports to. Fatalf and Skipf do not return.
type T interface {
	// Run runs a part under a name and reports whether it held.
	Run(name string, f func(T)) bool
	// Context ends when the whole run is given up.
	Context() context.Context
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Options say what to run on, and how far to go. Service and Folder are needed.
type Options struct {
	Service graph.Service
	// Folder is a folder to work in. What else lies in it is left alone.
	Folder graph.ItemID
	// Name is that of the folder made in Folder; empty is "duskfs selftest" and the time.
	Name string
	// Large is the size of the large file in bytes; 0 is 25 MiB, which takes several fragments.
	Large int64
	// Many is how many items the long listing has; 0 is 25.
	Many int
	// FeedWait is how long the feed may lag behind the items (Q8); 0 is 3 minutes.
	FeedWait time.Duration
	// Enumerate also reads the feed of the whole drive from its start. Costly on a big one.
	Enumerate bool
	// Only runs the behaviours of these names; empty runs all.
	Only []string
}

// behaviour is one thing a service does. It gets a fresh folder of its own.
type behaviour struct {
	name string
	test func(*place)
}

// behaviours in the order they run: what later ones rely on comes first.
func behaviours() []behaviour {
	return []behaviour{
		{"drive and root are described", described},
		{"a folder is made once", folderMade},
		{"a small file keeps its bytes and its time", smallFile},
		{"an empty file is a file", emptyFile},
		{"a large file goes up in pieces and comes down whole", largeFile},
		{"any range of a file can be read", ranges},
		{"new bytes keep the item", replaced},
		{"a stale base is refused", staleBase},
		{"old bytes are not passed off as new", oldVersion},
		{"a new file does not take a name", nameTaken},
		{"the time of a file can be set", timeSet},
		{"a rename keeps the item", renamed},
		{"a rename may change the case alone", caseChanged},
		{"a move keeps the item and what is below it", moved},
		{"a move does not take a name", moveTaken},
		{"a folder does not go into itself", intoItself},
		{"a stale condition is refused", staleMatch},
		{"what is deleted is gone", deleted},
		{"names are one in either case", caseFolded},
		{"names are one in either Unicode form", formFolded},
		{"unusual names are kept", oddNames},
		{"names that no drive can hold are refused", badNames},
		{"a long listing has each item once", longListing},
		{"what is not there is not found", missing},
		{"nothing is made in a deleted folder", deletedParent},
		{"an upload that breaks leaves the old bytes", brokenUpload},
		{"an upload can be given up", givenUp},
		{"several uploads at once keep apart", parallel},
		{"a batch does what its calls do", batches},
		{"old versions are kept", history},
		{"permissions are told", sharing},
		{"changes are called out", notices},
		{"the feed tells of changes", feedChanges},
		{"the feed enumerates the drive", feedWhole},
	}
}

// Names returns the names of the behaviours in order, for [Options].Only.
func Names() []string {
	var out []string
	for _, b := range behaviours() {
		out = append(out, b.name)
	}
	return out
}

// Run makes a folder, runs the behaviours in it one after the other, and deletes it.
func Run(t T, o Options) {
	if o.Large == 0 {
		o.Large = 25 << 20
	}
	if o.Many == 0 {
		o.Many = 25
	}
	if o.FeedWait == 0 {
		o.FeedWait = 3 * time.Minute
	}
	if o.Name == "" {
		o.Name = "duskfs selftest " + time.Now().UTC().Format("2006-01-02 15.04.05")
	}
	top, err := o.Service.Mkdir(t.Context(), o.Folder, o.Name)
	if err != nil {
		t.Fatalf("make the folder %q: %s", o.Name, tell(err))
	}
	defer func() {
		// Given up or not, the scratch folder goes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
		defer cancel()
		if err := o.Service.Delete(ctx, top.ID, ""); err != nil {
			t.Errorf("delete the folder %q: %s", o.Name, tell(err))
		}
	}()
	for n, b := range behaviours() {
		if !wanted(o.Only, b.name) {
			continue
		}
		t.Run(b.name, func(t T) {
			dir, err := o.Service.Mkdir(t.Context(), top.ID, fmt.Sprintf("part %02d", n+1))
			if err != nil {
				t.Fatalf("make a folder: %s", tell(err))
			}
			b.test(&place{T: t, Service: o.Service, o: o, dir: dir})
		})
	}
}

func wanted(only []string, name string) bool {
	for _, n := range only {
		if n == name {
			return true
		}
	}
	return len(only) == 0
}
