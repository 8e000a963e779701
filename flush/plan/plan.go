// Package plan turns a view of what is pending into an ordered list of remote calls. It is pure:
// the same view gives the same plan, and nothing is asked or changed.
//
// A plan can be stopped after any step without losing anything, and no step of it claims a name
// that another item still has.
package plan

import (
	"fmt"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// Guard says how many deletions are too many to send without being asked. The zero value means
// the default: more than 100, or at least 20 that are more than 10 percent of what is known.
type Guard struct {
	Max     int // more than this; negative: any number passes
	Min     int // at least this many …
	Percent int // … that are more than this share of the known items
}

// Holds reports whether deletions of so many items are to wait until somebody confirms them. known counts
// the items that there are in all, the deleted ones included; negative if that is not known, and then
// only Max counts.
func (g Guard) Holds(deletions, known int) bool {
	if g == (Guard{}) {
		g = Guard{Max: 100, Min: 20, Percent: 10}
	}
	switch {
	case g.Max < 0:
		return false
	case deletions > g.Max:
		return true
	}
	return known >= 0 && deletions >= g.Min && deletions*100 > known*g.Percent
}

// Options of Make. The zero value plans everything.
type Options struct {
	Guard Guard
	// AllowDeletes lets deletions pass that the guard would hold back.
	AllowDeletes bool
	// Paths, if any, limits the plan to what is at or below them (and to what that needs: folders
	// above, names to be freed). They start at the root of the drive.
	Paths []string
	// Due, if not zero, leaves alone what is deferred until later than this; Since what was deferred at this time
	// or later.
	Due, Since time.Time
	// Order is what comes first of steps that do not wait for each other.
	Order Order
	// NoDeletes plans no deletion at all, but for what makes room for another of its name.
	NoDeletes bool
	// Partial says that View.Known does not count the whole drive yet: shares of it mean nothing.
	Partial bool
}

// Order is what a plan sends first. Folders always come before files, and deletions last.
type Order string

// The orders. The zero Order is Small.
const (
	Small  Order = "small"  // small files, then large ones
	Large  Order = "large"  // large files, then small ones
	Oldest Order = "oldest" // in the order in which the changes were made
)

// ParseOrder reads an Order.
func ParseOrder(s string) (Order, error) {
	switch o := Order(s); o {
	case Small, Large, Oldest:
		return o, nil
	}
	return "", fmt.Errorf("want small, large or oldest, not %q", s)
}

// Op is what a step does.
type Op string

// The operations. Their order here is no order of execution.
const (
	Mkdir   Op = "mkdir"   // make a folder
	Create  Op = "create"  // make a file with its bytes
	Replace Op = "replace" // replace the bytes of an item
	Move    Op = "move"    // give an item its name, folder and time
	Park    Op = "park"    // give an item a temporary name to free the one it has
	Touch   Op = "touch"   // give an item its time
	Delete  Op = "delete"  // delete an item, and all below it
)

// Step is one remote call.
type Step struct {
	Op   Op
	Ino  cache.Ino    // node that is sent; for a Delete the one that the item was
	Item graph.ItemID // item that is changed; empty for Mkdir, Create, and the Move of a file just created
	Seq  cache.Seq    // sequence of the node, for cache.Outbox.Begin

	// Folder is the folder that the item goes into: its item if the remote has it, else empty and
	// FolderIno is the node that an earlier Mkdir makes. Set for Mkdir, Create, Move and Park.
	Folder    graph.ItemID
	FolderIno cache.Ino
	Name      string // name that the item gets; for Replace and Touch the one it has

	Dir  bool   // it is a folder
	Size int64  // bytes to send
	Path string // where it is, or was, from the root of the drive; for people
	From string // where a Move takes it from; for people

	// Tries counts how often this was refused before.
	Tries int

	// After lists the steps, by index, that must have succeeded before this one begins. Steps of
	// the same Ino run one after another in any case, whatever became of the first.
	After []int
	// Base is what the remote is believed to have of an item that is deleted, for a last look.
	Base cache.Base
	// Known holds every item that is believed to be below a folder that is deleted, with the
	// version of its bytes (zero for folders). A folder that has more, or other bytes, must not be
	// deleted.
	Known map[graph.ItemID]graph.Version
	// Keep lists the nodes whose bytes go with a deletion and may still be wanted here, since they
	// are open or were moved to where nothing is sent from: their bodies have to be complete.
	Keep []cache.Ino
}

// Plan is an ordered list of steps. Carried out one after another, or in parallel subject to
// After, they make the remote equal to the local tree.
type Plan struct {
	Steps []Step
	// Guarded are the deletions that the guard holds back. What needs the name of one waits too.
	Guarded []Step
	// Emptied are the files held back since they became empty and nobody emptied them.
	Emptied []Step
	// Kept are the deletions held back by Options.NoDeletes.
	Kept []Step
	// Waiting counts changes left alone since they, or what they need, are deferred until later.
	Waiting int
}
