package flush

import (
	"time"

	"github.com/duskfs/duskfs/cache"
)

// Conflict is a pair of files that both sides changed, or a file that could not be sent for days.
type Conflict struct {
	Drive cache.DriveNum `json:"drive"`
	// Kind is that of the report: "conflict" (ours is a copy), "overwritten" (theirs is a copy), "stuck" (could not be
	// sent for days).
	Kind string `json:"kind"`
	// Path is the copy, or what could not be sent; Other is the file that has the name, empty if there is none.
	Path  string    `json:"path"`
	Other string    `json:"other,omitempty"`
	Text  string    `json:"text"`
	At    time.Time `json:"at"`
	// Size and Time are those of Path, OtherSize and OtherTime of Other.
	Size      int64     `json:"size"`
	Time      time.Time `json:"time"`
	OtherSize int64     `json:"other_size"`
	OtherTime time.Time `json:"other_time"`

	report cache.Report
}

// Conflicts lists what waits for a decision, newest first in each drive. It asks the service nothing.
func (e *Engine) Conflicts() ([]Conflict, error) {
	all := []Conflict{}
	for _, k := range e.drives {
		list, err := k.conflicts()
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

func (k *keeper) conflicts() ([]Conflict, error) {
	reports, err := k.reports.Conflicts()
	if err != nil {
		return nil, err
	}
	t := k.o.Store.Tree()
	var list []Conflict
	for _, r := range reports {
		c := Conflict{Drive: k.d.Num, Kind: r.Kind, Path: r.Path, Text: r.Text, At: r.At, report: r}
		if n, err := t.Get(r.Ino); err == nil {
			c.Size, c.Time = n.Size, n.Mtime
		}
		if n, err := t.Get(r.Other); r.Other != 0 && err == nil {
			if p, err := t.Path(r.Other); err == nil {
				c.Other, c.OtherSize, c.OtherTime = p, n.Size, n.Mtime
			}
		}
		list = append(list, c)
	}
	return list, nil
}
