package cache

import (
	"time"

	"github.com/duskfs/duskfs/graph"
)

// Ino names a node for ever. It is unique over all drives of a store and never used again.
// 0 is nobody and 1 is never given out: a mount uses it for its own root.
type Ino uint64

// Seq counts the local changes of a store. A larger one is later.
type Seq uint64

// DriveNum is the short number under which a store keeps a drive.
type DriveNum uint32

// Listing says how much of a folder's content is known.
type Listing uint8

const (
	// Unlisted: nothing is known yet; Lookup and List fail with ErrUnlisted.
	Unlisted Listing = iota
	// Listed: read once by its children.
	Listed
	// Followed: complete, and kept so by the change feed.
	Followed
)

// Node is what the tree shows: a file or a folder, with the remote state last agreed on.
// It is a value; changing it changes nothing in the store.
type Node struct {
	Ino    Ino
	Drive  DriveNum
	Parent Ino    // 0 for the root of a drive and for a removed node
	Name   string // as given by whoever named it
	Dir    bool

	// Local attributes; never sent.
	Mode     uint32 // permission bits, 07777
	UID, GID uint32
	Atime    time.Time
	Ctime    time.Time

	Size  int64 // bytes; for a Written file the body's own size counts while it is open
	Mtime time.Time

	// Listing of a folder.
	Listing Listing
	// LocalOnly: under a local-only name, or below such a folder; never sent.
	LocalOnly bool
	// Removed: taken out of the tree, kept while it is held open.
	Removed bool

	// Base is the remote state last agreed on, nil for what the remote has not. A removed or a
	// local-only node keeps it to know the version of its bytes; the item itself is then a Gone.
	Base *Base
	// Seq is the last local change of this node. Outbox.Commit compares it.
	Seq Seq
	// Written says that the bytes are local work. The body is complete, and its own size and
	// modification time are the truth.
	Written bool
	// Emptied: a program asked for the file to have no bytes, and it has not been sent since.
	Emptied bool
	// Marked is the sequence of the last Tree.Mark: a step begun at or after it has the last bytes.
	Marked Seq
	// Since is when the oldest unsent change was made; zero if the node is not dirty.
	Since time.Time
	// Deferred says why the last attempt to send this failed, nil if none did.
	Deferred *Deferral

	left   time.Time // when it last left the place of its base; for heirs
	parked string    // name that it had before the inbox parked it, empty if it is not parked
}

// Base is the remote state of a node last agreed on.
type Base struct {
	Item    graph.ItemID
	Parent  graph.ItemID // folder that held it; empty for the root
	Name    string
	Dir     bool
	ETag    string
	CTag    string
	Hash    graph.Hash
	Size    int64
	ModTime time.Time // as the service keeps it (often whole seconds), UTC
	// Past holds the eTags before ETag, newest first, at most 3: a feed item that carries one of
	// them is an echo of what is long agreed.
	Past []string
	// At is when this was agreed, UTC.
	At time.Time
}

// Version names the bytes of the base.
func (b *Base) Version() graph.Version {
	return graph.Version{ETag: b.ETag, CTag: b.CTag, Hash: b.Hash, Size: b.Size}
}

// Knows reports whether a feed item is an echo: its eTag is one that the base has or had.
func (b *Base) Knows(etag string) bool {
	if etag == "" {
		return false
	}
	if b.ETag == etag {
		return true
	}
	for _, p := range b.Past {
		if p == etag {
			return true
		}
	}
	return false
}

// Diff says in what a node differs from its base.
type Diff struct {
	New     bool // the remote has no such item
	Bytes   bool
	Name    bool // other spelling or other name
	Place   bool // other folder
	ModTime bool
}

// Any reports whether there is something to send.
func (d Diff) Any() bool { return d.New || d.Bytes || d.Name || d.Place || d.ModTime }

// Diff compares the node with its base. parent is the item of the folder that holds it now, empty
// if the remote does not have that folder yet. Roots, removed and local-only nodes differ in
// nothing. Times of folders are local. A time counts to the precision of the base.
func (n Node) Diff(parent graph.ItemID) Diff {
	if n.Parent == 0 || n.Removed || n.LocalOnly {
		return Diff{}
	}
	b := n.Base
	if b == nil {
		return Diff{New: true, Bytes: !n.Dir}
	}
	d := Diff{Bytes: n.Written && !n.Dir, Name: n.Name != b.Name, Place: parent != b.Parent}
	if !n.Dir && !b.ModTime.IsZero() {
		mt := n.Mtime
		if b.ModTime.Nanosecond() == 0 {
			mt = mt.Truncate(time.Second)
		} else {
			mt = mt.Truncate(time.Millisecond)
		}
		d.ModTime = !mt.Equal(b.ModTime.Truncate(precision(b.ModTime)))
	}
	return d
}

func precision(t time.Time) time.Duration {
	if t.Nanosecond() == 0 {
		return time.Second
	}
	return time.Millisecond
}

// Gone is an item that was removed here and not yet there, or whose deletion was sent and has not
// come back through the feed yet.
type Gone struct {
	Base Base
	Ino  Ino       // the node that it was
	Path string    // where it was, from the root of the drive, for people
	At   time.Time // when it was removed
	Sent time.Time // when the deletion was sent, zero before
	Seq  Seq
	// Deferred says why the last attempt to delete it failed.
	Deferred *Deferral

	left time.Time // when the place of its base was vacated; for heirs
}

// Deferral says why something could not be sent.
type Deferral struct {
	Kind   graph.Kind
	Reason string // the service's words and a sentence for people
	At     time.Time
	Tries  int
	Next   time.Time // when a scheduled cycle tries again
}
