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
	// Refresh looks for remote changes and applies them.
	Refresh(ctx context.Context) (flush.RefreshResult, error)
	// Unmount asks the daemon to stop. It returns when the mount is gone and the state is closed,
	// or when ctx ends.
	Unmount(ctx context.Context) error
}

// FlushRequest says what shall be sent. Paths are absolute paths below the mountpoint; none means
// everything.
type FlushRequest struct {
	Paths        []string `json:"paths,omitempty"`
	DryRun       bool     `json:"dry_run,omitempty"`
	AllowDeletes bool     `json:"allow_deletes,omitempty"`
}

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
}

// Drive is one drive of a mount.
type Drive struct {
	Name       string `json:"name"`  // as people see it
	Drive      string `json:"drive"` // as named when it was mounted
	ID         string `json:"id"`
	Path       string `json:"path"` // where it is in the file system
	ReadOnly   bool   `json:"read_only"`
	Enumerated bool   `json:"enumerated"` // the whole drive is known
	Error      string `json:"error,omitempty"`
}

// Pending is what a flush would send.
type Pending struct {
	Items  int        `json:"items"`
	Bytes  int64      `json:"bytes"`
	Oldest *time.Time `json:"oldest"` // oldest unsent change
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
	Error string     `json:"error,omitempty"`
}

// Well reports whether nothing wants attention: nothing deferred, no conflict, the service within
// reach, and the last cycles without error. Pending work is normal.
func (s Status) Well() bool {
	return len(s.Deferred) == 0 && len(s.Conflicts) == 0 && s.Auth.State != "needed" && s.Auth.State != "offline" &&
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
