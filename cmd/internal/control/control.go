// Package control is the daemon's interface to the other commands: HTTP and JSON on a Unix socket
// that only the same person may use. A daemon serves one mount and has one socket; a registry
// folder in the state folder says which socket belongs to which mountpoint.
//
// [API] is what a daemon can be asked. The daemon implements it, a [Server] offers it, and a
// [Client] is the same interface at the other end of the socket.
package control

import (
	"context"
	"errors"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/upload"
	"github.com/duskfs/duskfs/graph"
)

// ErrNoDaemon: nothing answers. The message of whatever wraps it says what to do.
var ErrNoDaemon = errors.New("no duskfs mount is running")

// ErrWhich: several mounts are running and nothing says which one is meant.
var ErrWhich = errors.New("several mounts are running, say which one")

// API is what a daemon can be asked. All methods are safe for concurrent use.
type API interface {
	// Status tells how the mount stands. It costs no request to the service.
	Status(ctx context.Context) (Status, error)
	// Flush sends local changes. progress may be nil; it is called by one goroutine at a time and
	// never after Flush has returned. A drive that failed has its Error in the result, which is
	// then returned together with an error of that kind.
	Flush(ctx context.Context, r FlushRequest, progress func(flush.Progress)) (flush.Result, error)
	// Diff lists what a flush would have to send, of everything or of what is at or below some
	// absolute paths. It costs no request to the service.
	Diff(ctx context.Context, paths []string) ([]Change, error)
	// Discard gives up local changes. What exists only here is put into the local trash first. What was done by then is
	// returned together with an error.
	Discard(ctx context.Context, r DiscardRequest) ([]Discarded, error)
	// Conflicts lists what waits for a decision: all of it, or that of which one version is at or below some absolute paths.
	Conflicts(ctx context.Context, paths []string) ([]Pair, error)
	// Resolve ends a conflict.
	Resolve(ctx context.Context, r ResolveRequest) error
	// Pause stops cycles from starting by themselves, or lets them start again.
	Pause(ctx context.Context, r PauseRequest) error
	// Refresh looks for remote changes and applies them.
	Refresh(ctx context.Context) (flush.RefreshResult, error)
	// Upload brings a plain folder of this machine to a drive of the daemon's account, mounted or not. progress is
	// as with Flush. The result counts also if there is an error.
	Upload(ctx context.Context, r UploadRequest, progress func(flush.Progress)) (upload.Result, error)
	// Doctor looks for what is wrong with the state of the account. It costs no request to the service.
	Doctor(ctx context.Context, r DoctorRequest) ([]Finding, error)
	// Unmount asks the daemon to stop. It returns when the mount is gone and the state is closed,
	// or when ctx ends.
	Unmount(ctx context.Context) error
}

// FlushRequest says what shall be sent. Paths are absolute paths below the mountpoint; none means
// everything.
type FlushRequest struct {
	Paths  []string `json:"paths,omitempty"`
	DryRun bool     `json:"dry_run,omitempty"`
	// ConfirmDeletes lets pass what the guards would hold back.
	ConfirmDeletes bool `json:"confirm_deletes,omitempty"`
	IncludeOpen    bool `json:"include_open,omitempty"` // also what is being written to
}

// UploadRequest says what shall be brought where.
type UploadRequest struct {
	Folder string `json:"folder"` // absolute, free of links
	Drive  string `json:"drive"`  // as typed
	// Path is the folder of the drive below which it goes; Contents puts what is in Folder there, not Folder itself.
	Path     string `json:"path"`
	Contents bool   `json:"contents,omitempty"`
	// Include and Exclude are patterns as in a .gitignore.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Follow  bool     `json:"follow,omitempty"` // symbolic links
	Delete  bool     `json:"delete,omitempty"`
	// ConfirmDeletes lets pass what the guard would hold back.
	ConfirmDeletes bool `json:"confirm_deletes,omitempty"`
	AllowEmpty     bool `json:"allow_empty,omitempty"`
	DryRun         bool `json:"dry_run,omitempty"`
	Scheduled      bool `json:"scheduled,omitempty"`
	// Settings are keys of the configuration, with the values that they have for this upload.
	Settings map[string]string `json:"settings,omitempty"`
}

// Change is one operation that a flush would send, as `duskfs diff --json` prints it.
type Change struct {
	// Kind is "new", "modified", "renamed" (in its folder), "moved" (to another folder), "dated"
	// (another time alone) or "deleted".
	Kind    string     `json:"kind"`
	Path    string     `json:"path"`           // absolute
	From    string     `json:"from,omitempty"` // of what was renamed or moved: where the remote has it
	Dir     bool       `json:"dir,omitempty"`
	OldSize int64      `json:"old_size"` // bytes that the remote has, 0 for folders
	Size    int64      `json:"size"`
	Items   int        `json:"items,omitempty"` // that go with a deleted folder, itself included
	Since   *time.Time `json:"since"`
	Reason  string     `json:"reason,omitempty"` // why it could not be sent
}

// DiscardRequest says whose changes are given up: what is at or below absolute paths, at least one.
type DiscardRequest struct {
	Paths  []string `json:"paths"`
	DryRun bool     `json:"dry_run,omitempty"`
}

// Discarded is a change that was given up, or in a dry run would be.
type Discarded struct {
	Change
	Trash   string `json:"trash,omitempty"`   // file with the bytes that were given up
	Refused string `json:"refused,omitempty"` // why it was not given up
}

// Pair is a file that both sides changed, as `duskfs conflicts --json` prints it.
type Pair struct {
	// Kind is "conflict" (ours is the copy), "overwritten" (theirs is) or "stuck" (refused for days).
	Kind  string     `json:"kind"`
	Path  string     `json:"path"`            // of the copy, or of what is stuck; absolute
	Other string     `json:"other,omitempty"` // of the file that has the name; empty if that is gone
	Text  string     `json:"text"`
	At    time.Time  `json:"at"`
	Size  int64      `json:"size"` // of Path
	Time  *time.Time `json:"time"`

	OtherSize int64      `json:"other_size"`
	OtherTime *time.Time `json:"other_time"`
}

// ResolveRequest ends the conflict of which one version is at an absolute path. Keep is "keep-both", "mine" or
// "theirs".
type ResolveRequest struct {
	Path string `json:"path"`
	Keep string `json:"keep"`
}

// PauseRequest is the answer to whether cycles shall start by themselves.
type PauseRequest struct {
	Paused bool `json:"paused"`
}

// DoctorRequest says what to look at besides.
type DoctorRequest struct {
	Scrub bool `json:"scrub,omitempty"` // read all bytes of files that are here and compare them
}

// Finding is one thing that `duskfs doctor` found, as its --json prints it.
type Finding struct {
	// Level is "ok", "note" (to know, not to mend) or "problem".
	Level string `json:"level"`
	// Kind says what it is about: machine, state, space, mount, sign-in, rows, bodies, unsent, name.
	Kind   string `json:"kind"`
	Text   string `json:"text"`
	Path   string `json:"path,omitempty"`
	Remedy string `json:"remedy,omitempty"` // what to do
	Fixed  bool   `json:"fixed,omitempty"`  // it was mended just now
}

// Levels of a Finding.
const (
	FindingOK      = "ok"
	FindingNote    = "note"
	FindingProblem = "problem"
)

// Status is one mount, as `duskfs status --json` prints it. Times that do not apply are null.
type Status struct {
	Mount     string     `json:"mount"`
	Drives    []Drive    `json:"drives"`
	Pending   Pending    `json:"pending"`
	LocalOnly int        `json:"local_only"` // files and folders that are never sent
	Deferred  []Deferred `json:"deferred"`
	Conflicts []Conflict `json:"conflicts"`
	Cache     Cache      `json:"cache"`
	Auth      Auth       `json:"auth"`
	Refresh   Refresh    `json:"refresh"`
	Flush     Flush      `json:"flush"`
	Held      []Held     `json:"held"` // what waits to be confirmed
	Damaged   []Damaged  `json:"damaged"`
	// Doubt says why the state cannot be trusted: damage met while it is in use. Empty if nothing speaks against it.
	Doubt string `json:"doubt,omitempty"`
}

// Damaged is a state that was found damaged and moved aside, with unsent work in it that nobody has
// copied out yet.
type Damaged struct {
	Dir    string    `json:"dir"`
	At     time.Time `json:"at"`
	Why    string    `json:"why"`
	Unsent int       `json:"unsent"` // files
}

// Drive is one drive of a mount.
type Drive struct {
	Name       string `json:"name"`  // as people see it
	Drive      string `json:"drive"` // as named when it was mounted
	ID         string `json:"id"`
	Path       string `json:"path"` // where it is in the file system
	ReadOnly   bool   `json:"read_only"`
	Enumerated bool   `json:"enumerated"` // the whole drive is known
	Asleep     bool   `json:"asleep"`     // nobody has looked into it yet, so the service is not asked about it
	// Stale: the service cannot be asked, so that what is shown may be out of date since Refreshed.
	Stale     bool       `json:"stale"`
	Refreshed *time.Time `json:"refreshed"`
	Error     string     `json:"error,omitempty"`
}

// Pending is what a flush would send.
type Pending struct {
	Items     int        `json:"items"`
	Bytes     int64      `json:"bytes"`
	Oldest    *time.Time `json:"oldest"`         // oldest unsent change
	Deletions int        `json:"deletions"`      // included in Items
	Loss      string     `json:"loss,omitempty"` // what would be lost with this disk, a sentence
}

// Held is a change that is not sent before somebody confirms it: Kind is "deletion", one of very many,
// or "emptied", a file that became empty though nobody emptied it.
type Held struct {
	Path  string `json:"path"`
	Kind  string `json:"kind"`
	Items int    `json:"items"` // that it is about
}

// Deferred is a change that could not be sent, and why.
type Deferred struct {
	Path   string     `json:"path"`
	Kind   graph.Kind `json:"kind"`
	Reason string     `json:"reason"`
	At     time.Time  `json:"at"`
	Tries  int        `json:"tries"`
	Next   *time.Time `json:"next"`
}

// Conflict is a file that both sides changed; Path is where our version is now.
type Conflict struct {
	Path string    `json:"path"`
	Kind string    `json:"kind"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// Cache is what the mount keeps on this machine.
type Cache struct {
	Bytes int64  `json:"bytes"` // bytes of files on disk
	Dir   string `json:"dir"`   // state folder of the account
}

// Auth is how the sign-in stands: State is "ok", "needed", "offline" (not tried successfully yet
// because the service is out of reach) or "unknown" (not tried yet).
type Auth struct {
	State   string     `json:"state"`
	Account string     `json:"account"`
	Expires *time.Time `json:"expires"`
	Error   string     `json:"error,omitempty"`
}

// Refresh is how receiving stands: State is "idle", "running" or "failing".
type Refresh struct {
	State string     `json:"state"`
	Last  *time.Time `json:"last"`
	Error string     `json:"error,omitempty"`
}

// Flush is how sending stands: State is "idle", "running" or "failing".
type Flush struct {
	State string     `json:"state"`
	Last  *time.Time `json:"last"`
	Next  *time.Time `json:"next"`
	// Rule is the schedule in words; After that one starts when nothing was changed for so long, 0 that none does;
	// Paused that nothing starts by itself; OnUnmount that `duskfs unmount` sends first.
	Rule      string        `json:"rule"`
	Paused    bool          `json:"paused"`
	OnUnmount bool          `json:"on_unmount"`
	After     time.Duration `json:"after_ns"`
	// ReadOnly: every drive was mounted to refuse changes, so that nothing is ever sent.
	ReadOnly bool `json:"read_only"`
	// Interrupted: whoever asked for the last one broke it off, or the mount ended; that is no failure.
	Interrupted bool   `json:"interrupted"`
	Error       string `json:"error,omitempty"`
}

// Well reports whether nothing wants attention: nothing deferred or held back, no conflict, the service within
// reach, and the last cycles without error. Pending work is normal.
func (s Status) Well() bool {
	return len(s.Deferred)+len(s.Held)+len(s.Damaged) == 0 && s.Doubt == "" && len(s.Conflicts) == 0 && s.Auth.State != "needed" && s.Auth.State != "offline" &&
		s.Refresh.Error == "" && s.Flush.Error == ""
}

// Failure is an error as the daemon told it over the socket. Kind is that of package graph, empty
// for others; errors.Is finds it.
type Failure struct {
	Message string     `json:"message"`
	Kind    graph.Kind `json:"kind,omitempty"`
}

// Error is the daemon's message.
func (f *Failure) Error() string { return f.Message }

// Is matches the kind.
func (f *Failure) Is(target error) bool {
	k, ok := target.(graph.Kind)
	return ok && f.Kind != "" && k == f.Kind
}

// Unwrap gives the kind, so that graph.KindOf finds it too.
func (f *Failure) Unwrap() error {
	if f.Kind == "" {
		return nil
	}
	return f.Kind
}
