package cache

import (
	"time"

	"github.com/duskfs/duskfs/graph"
)

// Case is one incoming item beside everything that bears on it. It is a value: merge.Decide needs
// nothing else.
type Case struct {
	Incoming graph.Item
	// Confirmed: Incoming was read by its id just now, not taken from the feed; for a tombstone,
	// the service said twice that the item is gone.
	Confirmed bool
	Now       time.Time
	Policy    Policy // what a change of bytes on both sides ends in

	// Node has this item, nil if none has. NodeDiff is in what it differs from its base.
	Node     *Node
	NodeDiff Diff
	// Gone: the item was removed here and that is pending, or sent and not echoed yet.
	Gone *Gone
	// Open: some handle holds Node. Sending: a step is under way for Node, or for Holder.
	Open, Sending bool
	// LocalHash is the hash of Node's (or, if that is nil, Holder's) bytes, empty if not computed.
	LocalHash graph.Hash
	LocalSize int64
	// Unlike: these bytes were compared with Incoming's, and are others though their hash is the same.
	Unlike bool

	// Parent is the node of the folder that Incoming names, nil if there is none.
	Parent *Node
	// Above are the folders, nearest first, that were removed here and lie between Incoming and
	// the nearest living folder. Empty if Parent is there. Orphan: even so no living folder was
	// found, and no folder on the way up waits in the inbox: the item is outside of what is known.
	Above  []Gone
	Orphan bool
	// Cycle: Incoming's parent, or the living folder in which the folders in Above were, is Node
	// itself or inside it.
	Cycle bool

	// Holder is another node that has the name which Incoming claims.
	Holder     *Node
	HolderDiff Diff
	HolderOpen bool
	// HolderLeaves: the inbox holds an item that moves the holder away or deletes it.
	HolderLeaves bool
	// HolderThere is the holder's item as it was read by its id just now, nil if it was not.
	HolderThere *graph.Item

	// DirtyBelow counts nodes with unsent work below Node, OpenBelow those held open.
	DirtyBelow, OpenBelow int
	// LeavesBelow: Incoming is a tombstone of a folder, and the inbox holds an item that moves something
	// out of that folder and is not applied yet.
	LeavesBelow bool
}

// Verb is what becomes of the node that has the incoming item, or of the item without one.
type Verb uint8

const (
	// Ignore drops the incoming item: an echo, or nothing that concerns us. A pending deletion that
	// stands takes its new place and tag over.
	Ignore Verb = iota
	// Wait leaves it in the inbox.
	Wait
	// NeedItem asks for the item to be read by its id, and the case decided again.
	NeedItem
	// NeedHash asks for LocalHash, and the case decided again.
	NeedHash
	// Add makes a clean node for it at its place. Side says what becomes of a holder.
	Add
	// Agree makes it the base of Node; Bytes, Place and ModTime say what Node takes from it. With
	// Place, Side says what becomes of a holder, and the folders in Above are restored first.
	Agree
	// Split makes Node a new item under the name of a conflict copy, in Node's own folder, and Adds
	// the incoming item at its place: Side and Above as for Agree.
	Split
	// Drop removes Node. Of a folder the clean rest goes; unsent work below stays, and it and the
	// folders above it lose their bases (they are new items now).
	Drop
	// Revive makes Node a new item: it keeps its place and its bytes and loses its base.
	Revive
	// Restore forgets the pending deletion, if there is one, and Adds the item, after the folders in
	// Above, whose deletions are forgotten too. Side says what becomes of a holder.
	Restore
	// Forget forgets the deletion: the remote has agreed.
	Forget
	// TakeBase makes the incoming item the base of Holder: the same file, or a folder to merge with.
	TakeBase
	// Undo is for a Cycle: the folders in Above come back, of the folders from Incoming's parent up
	// to Node those that were moved here go back to the places of their bases (or beside Node, if
	// these are not there any more), then Node takes the place of the incoming item as with Agree.
	// ErrStale if none was moved here: then another item of the inbox ends the cycle.
	Undo
)

// Bytes says whose bytes a node has after Agree or TakeBase.
type Bytes uint8

const (
	// KeepBytes: as they are; local work stays unsent.
	KeepBytes Bytes = iota
	// TheirBytes: the remote's; the local copy was clean and is dropped.
	TheirBytes
	// SameBytes: local work turned out to equal the remote's; it counts as sent.
	SameBytes
)

// Side says what becomes of a Holder so that the incoming item can have its name.
type Side uint8

const (
	// Stay: there is no holder, or it keeps its name since the incoming item does not take it.
	Stay Side = iota
	// Aside: the holder is renamed to a conflict copy.
	Aside
	// Park: the holder gets a temporary name; its own item in the inbox moves or deletes it next.
	Park
	// Beside: the holder keeps its name, and the incoming item is shown as its twin.
	Beside
	// Yield: the holder is shown as the twin of the incoming item.
	Yield
)

// Ruling is the answer to a Case.
type Ruling struct {
	Verb    Verb
	Bytes   Bytes
	Place   bool // with Agree and TakeBase: take the remote's folder and name
	ModTime bool // take the remote's time
	Holder  Side
	// Trash: before TheirBytes replace local work, its bytes go to the local trash.
	Trash bool
	// Report, if not empty, is recorded for people: "conflict" (ours became a copy), "revived" (deleted
	// there, kept here), "restored" (deleted here, kept there), "moved" (both moved it, ours counts),
	// "gone" (deleted there, moved here), "undone", "hidden" (a name that cannot be shown), "mine" and "theirs" (both
	// changed it, and the policy chose).
	Report string
}
