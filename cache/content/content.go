// Package content keeps the bodies of files: each the bytes of exactly one remote version, perhaps
// not all of them yet, or local work, which is always complete. Never a mixture.
//
// A body is a sparse file named by its ino with a sidecar beside it that says what it is; the
// sidecar of local work also says whose it is (name, path, drive, item), so that unsent work can be
// found with nothing but this folder.
//
// A body is sealed while it is clean or while it is being sent. A write to a sealed body fails with
// ErrSealed; Unseal, with a sequence newer than the seal's, opens it.
package content

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// Errors.
var (
	// ErrSealed: mark the node, unseal the body, write again.
	ErrSealed = errors.New("body is sealed")
	// ErrMissing: some of the bytes asked for are not here; hydrate them.
	ErrMissing = errors.New("bytes not here yet")
	// ErrUnsealed: the bytes under a Snapshot changed.
	ErrUnsealed = errors.New("body was written to meanwhile")
	// ErrLocal: the body is local work and is not dropped for a remote version.
	ErrLocal = errors.New("body is unsent local work")
	// ErrNoSpace: the disk is nearly full.
	ErrNoSpace = errors.New("no space left on the disk that holds the state folder")
)

// Options of a store of bodies.
type Options struct {
	// FreeFloor is how many bytes of the disk stay free: writes beyond fail with ErrNoSpace.
	// Default 64 MiB.
	FreeFloor int64
}

// Store is a folder of bodies.
type Store struct{}

// Tag says whose bytes local work is. It is written to the sidecar.
type Tag struct {
	Drive graph.DriveID `json:"drive"`
	Path  string        `json:"path"` // from the root of the drive
	Item  graph.ItemID  `json:"item,omitempty"`
	ETag  string        `json:"etag,omitempty"`
}

// Open opens the folder of bodies, making it (0700) if needed.
func Open(dir string, o Options) (*Store, error) { panic("unbuilt") }

// Close closes the files that are open.
func (s *Store) Close() error { panic("unbuilt") }

// Create makes an empty body of local work, unsealed, at sequence seq. One that exists is an error.
func (s *Store) Create(ino, seq uint64, t Tag) (*File, error) { panic("unbuilt") }

// Version opens the body for a remote version, making one without bytes if there is none. A clean
// body of another version is dropped first. If the body is local work, ErrLocal.
func (s *Store) Version(ino uint64, v graph.Version, mtime time.Time) (*File, error) {
	panic("unbuilt")
}

// Local opens a body of local work. fs.ErrNotExist if there is no body or it is clean.
func (s *Store) Local(ino uint64) (*File, error) { panic("unbuilt") }

// Info describes a body without opening it. fs.ErrNotExist if there is none.
func (s *Store) Info(ino uint64) (Info, error) { panic("unbuilt") }

// Info describes a body.
type Info struct {
	Ino      uint64
	Local    bool
	Complete bool
	Size     int64
	ModTime  time.Time
	Hydrated int64 // bytes that are here
	Version  graph.Version
	Tag      Tag
}

// Remove drops a body, whatever it is. Open files go on. No error if there is none.
func (s *Store) Remove(ino uint64) error { panic("unbuilt") }

// Evict drops a clean body that nobody has open; others are left alone. It returns the bytes freed.
func (s *Store) Evict(ino uint64) (int64, error) { panic("unbuilt") }

// Locals yields the bodies of local work, for recovery.
func (s *Store) Locals(ctx context.Context, fn func(Info) error) error { panic("unbuilt") }

// Used returns the bytes that the bodies take on disk.
func (s *Store) Used() (int64, error) { panic("unbuilt") }

// File is an open body. Several opens of one ino share it; each wants a Close.
type File struct{}

// Source opens n bytes from off of the version that a body is of. It fails with graph.Changed when
// the service has another version by now.
type Source func(ctx context.Context, off, n int64) (io.ReadCloser, error)

// ReadAt reads like io.ReaderAt. ErrMissing if a byte of the range, within the size, is not here.
func (f *File) ReadAt(p []byte, off int64) (int, error) { panic("unbuilt") }

// WriteAt writes like io.WriterAt, growing the body as needed. ErrSealed; ErrNoSpace before
// anything is written.
func (f *File) WriteAt(p []byte, off int64) (int, error) { panic("unbuilt") }

// Append writes at the end, wherever that is at this moment, and returns where that was.
func (f *File) Append(p []byte) (off int64, err error) { panic("unbuilt") }

// Truncate sets the size. ErrSealed.
func (f *File) Truncate(size int64) error { panic("unbuilt") }

// Complete reports whether all bytes are here.
func (f *File) Complete() bool { panic("unbuilt") }

// Hydrate fetches what is missing of n bytes from off, and perhaps more for a reader that goes on.
// Equal fetches are shared: a caller whose context ends leaves, the others go on. graph.Changed if
// the service has another version: the body keeps what it has.
func (f *File) Hydrate(ctx context.Context, src Source, off, n int64) error { panic("unbuilt") }

// Seal closes the body to writers at sequence seq, waits for writes under way, and returns a view
// of the bytes as they are now. Of a body that is sealed already it takes over the seal.
func (f *File) Seal(seq uint64) (*Snapshot, error) { panic("unbuilt") }

// Unseal opens a body for writers: it turns into local work named by t. The body must be complete
// (ErrMissing), and seq newer than the seal's (else ErrSealed: mark once more).
func (f *File) Unseal(seq uint64, t Tag) error { panic("unbuilt") }

// UnsealEmpty is Unseal for somebody who wants none of the bytes: the body becomes empty.
func (f *File) UnsealEmpty(seq uint64, t Tag) error { panic("unbuilt") }

// Agreed records that the local bytes sealed at seq are the remote version v by now. It does
// nothing, and returns false, if the body was unsealed since.
func (f *File) Agreed(seq uint64, v graph.Version) (bool, error) { panic("unbuilt") }

// Size returns the size in bytes.
func (f *File) Size() int64 { panic("unbuilt") }

// ModTime returns when the bytes last changed, or what SetModTime said.
func (f *File) ModTime() time.Time { panic("unbuilt") }

// SetModTime sets the time of local work.
func (f *File) SetModTime(t time.Time) error { panic("unbuilt") }

// Blocks returns the space that the body takes, in units of 512 bytes.
func (f *File) Blocks() int64 { panic("unbuilt") }

// Sync makes the bytes survive a power cut.
func (f *File) Sync() error { panic("unbuilt") }

// Fd returns the descriptor of the sparse file, valid until Close.
func (f *File) Fd() uintptr { panic("unbuilt") }

// Close ends this use of the body.
func (f *File) Close() error { panic("unbuilt") }

// Snapshot is a sealed body to be read by whoever sends it.
type Snapshot struct{}

// ReadAt reads the sealed bytes; ErrUnsealed once somebody has written.
func (s *Snapshot) ReadAt(p []byte, off int64) (int, error) { panic("unbuilt") }

// Size returns the size in bytes at the seal.
func (s *Snapshot) Size() int64 { panic("unbuilt") }

// ModTime returns the modification time at the seal.
func (s *Snapshot) ModTime() time.Time { panic("unbuilt") }

// Broken is closed when somebody has unsealed the body.
func (s *Snapshot) Broken() <-chan struct{} { panic("unbuilt") }

// Release ends the reading. The seal stays as it is.
func (s *Snapshot) Release() { panic("unbuilt") }
