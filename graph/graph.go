// Package graph is the vocabulary of the remote side: what Microsoft Graph calls a drive and an
// item, the errors that its calls end in, and the small interfaces through which the rest of the
// program reads and writes one drive.
//
// It imports nothing of duskfs. graph/rest implements the interfaces over HTTP; graph/graphtest
// is a service to try it against.
package graph

import (
	"context"
	"io"
	"iter"
	"time"
)

// DriveID names a drive: a OneDrive or a SharePoint library. Opaque and case-sensitive; compare
// with [SameDrive], since personal drives are spelled in more than one way.
type DriveID string

// ItemID names an item inside its drive. It survives a rename and a move inside the drive.
type ItemID string

// Link is an opaque place in the change feed of a drive.
type Link string

const (
	// Start asks the feed for everything that exists.
	Start Link = ""
	// Latest asks the feed for nothing but a link from which later changes follow.
	Latest Link = "latest"
)

// MaxFile is the size of the largest file that the service takes, in bytes (graph-facts §6).
const MaxFile int64 = 250 << 30

// Type says what sort of item an item is.
type Type uint8

const (
	// File has bytes.
	File Type = iota + 1
	// Folder has children.
	Folder
	// Package is a thing such as a OneNote notebook: neither a file nor a folder. Hidden.
	Package
	// Shortcut stands for an item of another drive.
	Shortcut
)

// String returns the word used in logs and in JSON output.
func (t Type) String() string {
	switch t {
	case File:
		return "file"
	case Folder:
		return "folder"
	case Package:
		return "package"
	case Shortcut:
		return "shortcut"
	}
	return "unknown"
}

// Hash is a quickXorHash in standard base64 (28 characters). Empty means unknown, which is never
// equal to anything: compare with [Hash.Equal].
type Hash string

// Equal reports whether both hashes are known and the same.
func (h Hash) Equal(o Hash) bool { return h != "" && h == o }

// Item is the state of one item as the service last told it. From a feed it may be a tombstone:
// then ID and Deleted alone mean anything (graph-facts §4: metadata of tombstones is bogus).
type Item struct {
	ID      ItemID
	Parent  ItemID // empty for the root
	Name    string // as given by the service: hostile input
	Type    Type
	Root    bool
	Deleted bool
	Size    int64 // bytes; derived for folders
	ETag    string
	CTag    string // empty where the service leaves it out (folders, feeds of Business drives)
	Hash    Hash
	ModTime time.Time // fileSystemInfo, UTC; zero means unknown
	Created time.Time // fileSystemInfo, UTC; zero means unknown
	WebURL  string
	// TargetDrive and Target name what a Shortcut stands for.
	TargetDrive DriveID
	Target      ItemID
	// SharingChanged is set by a feed that was asked to tell of it, on items whose permissions changed. The service tells
	// so of files alone: of a folder the eTag that changed is all there is.
	SharingChanged bool
}

// Version names the bytes of a file at one moment.
func (i Item) Version() Version {
	return Version{ETag: i.ETag, CTag: i.CTag, Hash: i.Hash, Size: i.Size}
}

// SameSecond reports whether two times are the same to the second, which is all that business drives keep of the times
// they are given. An unknown time, which is zero, is the same as none.
func SameSecond(a, b time.Time) bool {
	return !a.IsZero() && a.Truncate(time.Second).Equal(b.Truncate(time.Second))
}

// Version names one state of the bytes of a file.
type Version struct {
	ETag string
	CTag string
	Hash Hash
	Size int64 // bytes
}

// Same reports whether two versions have the same bytes as far as the service tells: by hash where
// both are known, else by cTag where both are known, else by size and eTag. An eTag that differs
// alone says nothing (it also counts renames and shares), but without a hash and a cTag there is
// nothing better to go by.
func (v Version) Same(o Version) bool {
	switch {
	case v.Hash != "" && o.Hash != "":
		return v.Hash == o.Hash && v.Size == o.Size
	case v.CTag != "" && o.CTag != "":
		return v.CTag == o.CTag
	}
	return v.Size == o.Size && v.ETag == o.ETag
}

// Page is one page of a change feed.
type Page struct {
	Items []Item
	// Next is where to go on. It is never empty.
	Next Link
	// Done is true on the last page: Next then is the link from which later changes follow.
	Done bool
}

// Feed is the change feed of a drive.
type Feed interface {
	// Delta returns the page at a link. It fails with Restart when the service has forgotten the
	// link: the caller starts again from Start and treats the result as a full enumeration.
	// The same item may come several times, in any order; the last one counts.
	Delta(ctx context.Context, from Link) (Page, error)
}

// Reader reads items and their bytes.
type Reader interface {
	// Item returns an item by its id. NotExist after the service said so several times.
	Item(ctx context.Context, id ItemID) (Item, error)
	// Root returns the root folder.
	Root(ctx context.Context) (Item, error)
	// Child returns the child of a folder by name, as the service compares names.
	Child(ctx context.Context, parent ItemID, name string) (Item, error)
	// Children yields the items of a folder. It is no snapshot. An error ends the sequence.
	Children(ctx context.Context, id ItemID) iter.Seq2[Item, error]
	// Content opens n bytes from off of the bytes named by v. It fails with Changed when the item
	// has other bytes by now. The caller closes the reader; a short body is an error of Read,
	// never a silent EOF. n must be positive.
	Content(ctx context.Context, id ItemID, v Version, off, n int64) (io.ReadCloser, error)
}

// Writer changes items. No method repeats a call that may have taken effect: it then fails with
// Lost and the caller looks before it decides again. A stale ifMatch fails with Changed, a taken
// name with Exist.
type Writer interface {
	// Mkdir makes a folder. Exist if the name is taken by anything, a folder included.
	Mkdir(ctx context.Context, parent ItemID, name string) (Item, error)
	// Upload makes a file or replaces the bytes of one. Where ctx ends first, the session that Upload.Begun was told of stays,
	// to be gone on with later, unless the cause is Changed: then the bytes are no more what they were, and it is ended.
	// Lost with an item: it was made, and nobody could tell whether that overtook versions that Upload.Overtaken was to be
	// told of.
	Upload(ctx context.Context, u Upload) (Item, error)
	// Update moves, renames or dates an item in one call. An empty ifMatch is no condition.
	Update(ctx context.Context, id ItemID, c Change, ifMatch string) (Item, error)
	// Delete moves an item, and all below it, to the recycle bin. NotExist if it is gone.
	Delete(ctx context.Context, id ItemID, ifMatch string) error
}

// Upload describes one file to send. Either ID is set (replace the bytes of that item) or Parent
// and Name are (make a new one, failing with Exist if the name is taken).
type Upload struct {
	ID     ItemID
	Parent ItemID
	Name   string

	Size    int64     // bytes
	ModTime time.Time // UTC; sent with the bytes so that one upload is one version
	Created time.Time // UTC, of a new file that is not empty; kept to the second. Zero leaves it to the service.
	Body    io.ReaderAt

	// Base is the version that the replaced item is believed to have. It is compared by a read
	// of the item right before the last fragment is sent; a difference fails with Changed.
	Base Version

	// Session is the address of an upload session begun earlier, to go on with. It carries a
	// credential. Empty starts anew.
	Session string
	// Begun, if set, is called with the address of a new session before the first byte is sent,
	// and with "" when the session has ended. An error stops the upload.
	Begun func(session string) error
	// Sent, if set, is told how many bytes the service has.
	Sent func(n int64)
	// Overtaken, if set, is told after the commit of versions that somebody else made between the last look at
	// the replaced item and our bytes, oldest first: the service allows no condition that would have stopped us
	// (Q19). They are still there as old versions, to be read with [History].
	Overtaken func(between []Past)
}

// Change says what Update shall change. Zero fields stay as they are.
type Change struct {
	Parent  ItemID
	Name    string
	ModTime time.Time // UTC; sent along with a move too, since some drives reset it (Q30)
}

// Service is one drive, whole.
type Service interface {
	Feed
	Reader
	Writer
	// Drive describes the drive, with its quota as it is now.
	Drive(ctx context.Context) (Drive, error)
}

// Drive describes a drive.
type Drive struct {
	ID      DriveID
	Name    string // title; a library's own name
	Type    string // "personal", "business" or "documentLibrary"
	Owner   string // display name of the person or group
	Account string // sign-in name of the owner, if it is a person
	Site    string // display name of the site, if it belongs to one
	WebURL  string
	Quota   Quota
}

// Library reports whether the drive is a library of SharePoint.
func (d Drive) Library() bool { return d.Type == "documentLibrary" }

// Quota is the space of a drive in bytes. A zero Total means unknown (graph-facts §16).
type Quota struct {
	Total     int64
	Used      int64
	Remaining int64
	Deleted   int64
}
