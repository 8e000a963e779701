// Package cache owns the local truth of one account: the tree that people see, the remote state
// it was last agreed on (bases), what differs between them (the outbox), what the remote has said
// and is not applied yet (the inbox), and the reports of what happened. Rows live in badger, bodies
// in cache/content.
//
// There are three doors to it, each for one caller: [Tree] for the file system, [Outbox] for
// whoever sends, [Inbox] for whoever receives. All are safe for concurrent use. No method waits
// for the network.
package cache

import (
	"context"
	"log/slog"
	"time"

	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Options of a store. The zero value serves.
type Options struct {
	Now       func() time.Time // default time.Now
	Host      string           // for the names of conflict copies; default the host's name
	LocalOnly name.LocalOnly   // names that are never sent; default name.DefaultLocalOnly
	// CaseBlind lets Lookup find a name in another letter case (macOS).
	CaseBlind bool
	Logger    *slog.Logger // default discards
}

// Store is the local truth of one account. One process at a time has it open.
type Store struct{}

// Open opens the store in dir, making it if needed. A store that another process has open fails
// with *InUseError. After an unclean stop it first mends what a crash can leave behind.
func Open(dir string, o Options) (*Store, error) { panic("unbuilt") }

// InUseError says who has the store open.
type InUseError struct {
	Dir  string
	PID  int
	Note string // what the holder said of itself with Store.Note: its mountpoints
}

func (e *InUseError) Error() string { panic("unbuilt") }

// Note records a line about this process for whoever is refused the store.
func (s *Store) Note(text string) error { panic("unbuilt") }

// Close syncs and closes the store.
func (s *Store) Close() error { panic("unbuilt") }

// Sync makes every change so far survive a power cut.
func (s *Store) Sync() error { panic("unbuilt") }

// Check recomputes every invariant and returns what does not hold, nothing if all is well.
func (s *Store) Check(ctx context.Context) ([]string, error) { panic("unbuilt") }

// Content is where the bodies are.
func (s *Store) Content() *content.Store { panic("unbuilt") }

// Tree is the door of the file system.
func (s *Store) Tree() *Tree { panic("unbuilt") }

// DriveInfo is what the store knows about one of its drives.
type DriveInfo struct {
	Num   DriveNum
	Root  Ino
	Drive graph.Drive // as last seen, quota included
	// Enumerated: the whole drive has been read once and is followed since.
	Enumerated bool
}

// AddDrive makes a drive known, or brings what is known of it up to date.
func (s *Store) AddDrive(d graph.Drive, root graph.Item) (DriveInfo, error) { panic("unbuilt") }

// Drives lists the drives of the store.
func (s *Store) Drives() ([]DriveInfo, error) { panic("unbuilt") }

// Drive describes one drive.
func (s *Store) Drive(n DriveNum) (DriveInfo, error) { panic("unbuilt") }

// Outbox is the door for sending the changes of one drive.
func (s *Store) Outbox(n DriveNum) *Outbox { panic("unbuilt") }

// Inbox is the door for receiving the changes of one drive.
func (s *Store) Inbox(n DriveNum) *Inbox { panic("unbuilt") }

// Reports keeps receipts and reports of one drive.
func (s *Store) Reports(n DriveNum) *Reports { panic("unbuilt") }
