package cache

import "time"

// Tree is the file system's door: the nodes of all drives of the store. No call waits for the
// network. Changes are in the store's log when a call returns (they survive kill -9); Sync makes
// them survive a power cut.
type Tree struct{}

// Get returns a node, also a removed one that is still held. ErrNotExist otherwise.
func (t *Tree) Get(ino Ino) (Node, error) { panic("unbuilt") }

// Lookup finds a child by name: exactly as spelled, or in any letter case if the store is case
// blind. ErrNotExist, ErrNotFolder, ErrUnlisted.
func (t *Tree) Lookup(parent Ino, name string) (Node, error) { panic("unbuilt") }

// List returns up to max children with an ino greater than after, in ino order. Fewer than max
// means the end. ErrNotFolder, ErrUnlisted, ErrNotExist.
func (t *Tree) List(parent, after Ino, max int) ([]Node, error) { panic("unbuilt") }

// Path returns the path of a node from the root of its drive, "/" for the root itself.
func (t *Tree) Path(ino Ino) (string, error) { panic("unbuilt") }

// Resolve walks a slash-separated path from a node, as Lookup compares names.
func (t *Tree) Resolve(from Ino, path string) (Node, error) { panic("unbuilt") }

// New describes a node to create.
type New struct {
	Dir      bool
	Mode     uint32
	UID, GID uint32
}

// Create makes a file or a folder. A file that takes the place of one vacated less than a minute
// ago takes over its base (DESIGN: heirs); so does a folder. Files start Written and empty: the
// caller makes the body. ErrExist also for a name that differs only in letter case or Unicode
// form; ErrName, ErrNameTooLong, ErrPathTooLong, ErrNotFolder, ErrUnlisted, ErrNoSpace, ErrNotExist.
func (t *Tree) Create(parent Ino, name string, n New) (Node, error) { panic("unbuilt") }

// RenameFlags restrict or change what Rename does.
type RenameFlags uint

const (
	// NoReplace fails with ErrExist if the new name is taken.
	NoReplace RenameFlags = 1 << iota
	// Exchange swaps two nodes.
	Exchange
)

// Renamed says what a Rename did.
type Renamed struct {
	Moved Node
	// Replaced is the node that lost its name to Moved, or the partner of an Exchange; nil if none.
	// The caller drops its body when nothing holds it.
	Replaced *Node
}

// Rename moves a node, replacing what has the new name: a file by a file, an empty folder by a
// folder. A file without base that replaces one takes over its base at once. ErrOtherDrive,
// ErrInside, ErrNotEmpty, ErrIsFolder, ErrNotFolder, ErrRoot and those of Create. A case-only
// rename of the same node is allowed.
func (t *Tree) Rename(oldParent Ino, oldName string, newParent Ino, newName string, f RenameFlags) (Renamed, error) {
	panic("unbuilt")
}

// Remove takes a node out of the tree: a file, or with dir an empty folder. What has a base
// becomes a pending deletion. The node stays readable by its ino while it is held; after that its
// row and its body are dropped by the store.
func (t *Tree) Remove(parent Ino, name string, dir bool) (Node, error) { panic("unbuilt") }

// Mark says that the bytes of a file are about to change, before the first one does. It returns
// the sequence for content.File.Unseal. Call it whenever a write meets a sealed body.
func (t *Tree) Mark(ino Ino) (Seq, error) { panic("unbuilt") }

// Settle records the size and time that the body of a Written file has. It is no change of its
// own: the sequence stays.
func (t *Tree) Settle(ino Ino, size int64, mtime time.Time) (Node, error) { panic("unbuilt") }

// Attr is a change of attributes; nil fields stay.
type Attr struct {
	Mode     *uint32
	UID, GID *uint32
	Atime    *time.Time
	Mtime    *time.Time // makes a file dirty
}

// SetAttr changes attributes. Of these only the time of a file is ever sent.
func (t *Tree) SetAttr(ino Ino, a Attr) (Node, error) { panic("unbuilt") }

// Hold keeps a node and its body as they are for an open handle: remote bytes wait in the inbox,
// a removed node stays. Each Hold wants one Unhold. ErrNotExist if there is no such node.
func (t *Tree) Hold(ino Ino) (Node, error) { panic("unbuilt") }

// Unhold ends one Hold.
func (t *Tree) Unhold(ino Ino) { panic("unbuilt") }

// Held reports how many handles hold a node.
func (t *Tree) Held(ino Ino) int { panic("unbuilt") }

// Event tells of a change that did not come through this door, for the kernel's caches.
type Event struct {
	Ino Ino // node whose attributes or bytes changed, 0 if none
	// Bytes: the content changed too, not only the attributes.
	Bytes bool
	// Parent and Name: a name that appeared, went or now means another node. Parent 0 if none.
	Parent Ino
	Name   string
}

// Watch calls fn after every change made through an Inbox or Outbox, in commit order, with no
// lock held and never after cancel has returned. fn must not block for long.
func (t *Tree) Watch(fn func(Event)) (cancel func()) { panic("unbuilt") }
