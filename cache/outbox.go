package cache

import (
	"time"

	"github.com/duskfs/duskfs/graph"
)

// Outbox is the door for sending: what differs from its base, and what became of it.
type Outbox struct{}

// Place is a name in a remote folder: Key is the folded name.
type Place struct {
	Folder graph.ItemID
	Key    string
}

// View is everything that a flush would send, as of one moment. It is a value: plan.Make needs
// nothing else.
type View struct {
	Drive DriveNum
	Root  Ino
	At    time.Time
	// Dirty are the nodes that differ from their bases, oldest change first.
	Dirty []Ino
	// Nodes holds every dirty node, every folder above one, and every node named in Items.
	Nodes map[Ino]Node
	// Gone are the pending deletions, by item, those already sent left out.
	Gone map[graph.ItemID]Gone
	// Items holds the base of every item below a Gone folder (however deep) and of every Holder,
	// with the node that has it, 0 if that node is gone.
	Items map[graph.ItemID]Held
	// Below lists the items whose base place is in a Gone folder, or in a folder below one.
	Below map[graph.ItemID][]graph.ItemID
	// Holders names the item whose base place is a place that a dirty node wants.
	Holders map[Place]graph.ItemID
	// Known counts the items with a base in this drive.
	Known int
}

// Held is an item as last agreed on, and the node that has it.
type Held struct {
	Base Base
	Ino  Ino // 0: removed here
}

// View returns what there is to send.
func (o *Outbox) View() (View, error) { panic("unbuilt") }

// Attempt is a step under way. It is in the store from Begin until Commit, Forget or Fail, so that
// after a crash whoever comes next knows what may have happened on the remote.
type Attempt struct {
	Op     string       // as the plan calls it
	Ino    Ino          // node that is sent; 0 for a deletion
	Item   graph.ItemID // item that is changed; empty for something new
	Seq    Seq          // sequence of the node when the step was planned
	Parent graph.ItemID // folder it goes into
	Name   string
	// Size, Hash and ModTime say what is being sent, so that a look can tell whether it arrived.
	Size    int64
	Hash    graph.Hash
	ModTime time.Time
	Session string // upload session: a credential
	Started time.Time
}

// Begin records that a step starts. ErrStale if the node's sequence is not a.Seq any more or the
// node is gone: then the plan is old. The node returned is as of that moment.
func (o *Outbox) Begin(a Attempt) (Node, error) { panic("unbuilt") }

// Intend updates the record of a step under way (its session, its hash).
func (o *Outbox) Intend(a Attempt) error { panic("unbuilt") }

// Commit records that the remote now has what the step sent, as item. The node becomes clean, or,
// if it was changed meanwhile, stays dirty against the new base. A node that is gone by now leaves
// the new base as a pending deletion. The body is marked as being this version if it is unchanged.
func (o *Outbox) Commit(a Attempt, item graph.Item) (Node, error) { panic("unbuilt") }

// Deleted records that a deletion was sent for an item and all below it that was known.
func (o *Outbox) Deleted(a Attempt) error { panic("unbuilt") }

// Forget records that a step did nothing.
func (o *Outbox) Forget(a Attempt) error { panic("unbuilt") }

// Fail records that a step did nothing and why. The change stays pending.
func (o *Outbox) Fail(a Attempt, d Deferral) error { panic("unbuilt") }

// Adopt records that a node whose bytes were compared equals its base after all: it was not sent.
// ErrStale if it was changed after seq.
func (o *Outbox) Adopt(ino Ino, seq Seq) error { panic("unbuilt") }

// Attempts returns the steps that were under way when the last process stopped, or are now.
func (o *Outbox) Attempts() ([]Attempt, error) { panic("unbuilt") }

// Pending sums up what a flush would send.
type Pending struct {
	Items     int
	Bytes     int64     // bytes of the files whose content would be sent
	Deletions int       // included in Items
	Oldest    time.Time // oldest unsent change, zero if none
	LocalOnly int       // nodes that are never sent
	Deferred  []Deferred
}

// Deferred is one change that could not be sent.
type Deferred struct {
	Path string
	Deferral
}

// Pending counts. It does not walk the tree.
func (o *Outbox) Pending() (Pending, error) { panic("unbuilt") }
