package flush

import (
	"context"
	"fmt"
	"path"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
)

// DriveChanges are the differences between here and there in one drive.
type DriveChanges struct {
	Drive   cache.DriveNum `json:"drive"`
	Name    string         `json:"name"`
	Changes []plan.Change  `json:"changes"`
}

// Changes lists what a flush would have to send, of everything or of what is at or below some paths.
// It asks the service nothing.
func (e *Engine) Changes(paths ...Path) ([]DriveChanges, error) {
	jobs, err := e.jobs(Request{Paths: paths})
	if err != nil {
		return nil, err
	}
	list := []DriveChanges{}
	for _, j := range jobs {
		v, err := j.k.outbox.View()
		if err != nil {
			return nil, err
		}
		list = append(list, DriveChanges{
			Drive: j.k.d.Num, Name: j.k.d.Name, Changes: append([]plan.Change{}, plan.Changes(v, j.paths...)...),
		})
	}
	return list, nil
}

// Discarded is what a Discard gave up, or in a dry run would.
type Discarded struct {
	Drive   cache.DriveNum `json:"drive"`
	Change  plan.Change    `json:"change"`
	Trash   string         `json:"trash,omitempty"`   // file with the bytes that were given up
	Refused string         `json:"refused,omitempty"` // why this was not discarded
}

// Conflict is a pair of files that both sides changed, or a file that could not be sent for days.
type Conflict struct {
	Drive cache.DriveNum `json:"drive"`
	Kind  string         `json:"kind"` // "conflict", "stuck", "overwritten", …: that of the report
	// Path is where our version is now, Other where theirs is; empty if that is gone.
	Path  string    `json:"path"`
	Other string    `json:"other,omitempty"`
	Text  string    `json:"text"`
	At    time.Time `json:"at"`
	// Size and Time are those of our version, OtherSize and OtherTime of theirs.
	Size      int64     `json:"size"`
	Time      time.Time `json:"time"`
	OtherSize int64     `json:"other_size"`
	OtherTime time.Time `json:"other_time"`
}

// one finds the only drive that a path means.
func (e *Engine) one(p Path) (*keeper, string, error) {
	k := e.keeper(p.Drive)
	if k == nil {
		return nil, "", fmt.Errorf("%s: drive %d: %w", p.Path, p.Drive, ErrNoDrive)
	}
	if k.d.ReadOnly {
		return nil, "", fmt.Errorf("%s: %w", p.Path, ErrReadOnly)
	}
	return k, path.Join("/", p.Path), nil
}

// Discard gives up the local changes at and below some paths: what was changed is again as the remote
// has it, what was deleted is back, what is new goes. Bytes that exist only here are put into the
// local trash first, where they stay for TrashDays. What is open is refused. It looks for remote
// changes first, so the service must be in reach. With dry, nothing is done.
func (e *Engine) Discard(ctx context.Context, dry bool, paths ...Path) ([]Discarded, error) {
	return nil, errNotYet
}

// TrashDays is for how many days the local trash keeps what was given up.
const TrashDays = 30

// Conflicts lists what waits for a decision. It asks the service nothing.
func (e *Engine) Conflicts() ([]Conflict, error) { return nil, errNotYet }

// Resolve ends a conflict. The path is that of our version, or of the file that could not be sent.
//
//   - KeepBoth keeps the conflict copy and tells no more of it. Of what could not be sent it makes a conflict copy.
//   - Mine puts our bytes in the place of theirs, which stay among the versions of that file.
//   - Theirs puts our version into the local trash.
func (e *Engine) Resolve(ctx context.Context, p Path, with cache.Policy) error { return errNotYet }
