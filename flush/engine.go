package flush

import (
	"context"

	"github.com/duskfs/duskfs/cache"
)

// Engine runs the cycles of some drives. All methods are safe for concurrent use.
type Engine struct{}

// New makes an engine. It does nothing before it is told to.
func New(o Options) *Engine { panic("unbuilt") }

// Run keeps the drives until ctx ends: it enumerates those that are written to, looks for remote
// changes, and flushes at the times of the schedule. When it returns, nothing of the engine is
// running any more and later calls fail with ErrStopped. Failed cycles are logged and shown by
// Status, never returned; Run returns nil when ctx ends. Call it once.
func (e *Engine) Run(ctx context.Context) error { panic("unbuilt") }

// Flush sends local changes and returns when that is done. It works beside Run and without. A drive
// whose flush ended early has its Error set in the Result; the error returned joins them
// (graph.Offline, graph.SignIn, …). Everything not sent is kept.
func (e *Engine) Flush(ctx context.Context, r Request) (Result, error) { panic("unbuilt") }

// Refresh looks for remote changes of some drives, of all if none is named, and applies them.
func (e *Engine) Refresh(ctx context.Context, drives ...cache.DriveNum) (RefreshResult, error) {
	panic("unbuilt")
}

// List fetches the children of a folder that is Unlisted, for whoever met cache.ErrUnlisted. It
// does not wait for a cycle under way.
func (e *Engine) List(ctx context.Context, folder cache.Ino) error { panic("unbuilt") }

// Want asks for a refresh of a drive soon, without waiting for it: a reader met bytes that the
// remote has no more. It does nothing unless Run is running.
func (e *Engine) Want(drive cache.DriveNum) { panic("unbuilt") }

// Pause stops cycles from starting by themselves until Resume; what is under way ends normally, and
// an explicit Flush or Refresh still works.
func (e *Engine) Pause() { panic("unbuilt") }

// Resume ends a Pause, and runs what was missed.
func (e *Engine) Resume() { panic("unbuilt") }

// Status tells how things stand.
func (e *Engine) Status() Status { panic("unbuilt") }
