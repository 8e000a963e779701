package flush

import (
	"fmt"
	"path"

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

// emptyTrash ends what the local trash has kept for long enough.
func (k *keeper) emptyTrash() error {
	return k.o.Store.EmptyTrash(k.o.Now().AddDate(0, 0, -TrashDays))
}

// TrashDays is for how many days the local trash keeps what was given up.
const TrashDays = 30
