package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/duskfs/duskfs/graph"
)

var (
	_ graph.CheckIner = (*Drive)(nil)
	_ graph.Pacer     = (*Drive)(nil)
)

// CheckedOut reports whether a file is checked out. The facet comes only when it is asked for
// (graph-facts §3.1), and not at all where files are not checked out.
func (d *Drive) CheckedOut(ctx context.Context, id graph.ItemID) (bool, error) {
	var w struct {
		Publication struct {
			Level string `json:"level"`
		} `json:"publication"`
	}
	err := d.c.get(ctx, call{op: "publication", item: string(id), missing: knownMissing,
		url: d.c.address(d.itemPath(id) + "?$select=id,publication")}, &w)
	return w.Publication.Level == "checkout", err
}

type checkIn struct {
	Comment string `json:"comment,omitempty"`
	As      string `json:"checkInAs"`
}

// CheckIn checks a file in (graph-facts §17). Twice does no harm, so an answer that was lost is no matter.
func (d *Drive) CheckIn(ctx context.Context, id graph.ItemID, comment string) error {
	_, err := d.c.do(ctx, call{op: "check in", item: string(id), method: http.MethodPost, missing: freshMissing,
		url: d.c.address(d.itemPath(id) + "/checkin"), json: checkIn{Comment: comment, As: "published"}})
	return err
}

// Pause returns how long the service still wants to be left alone.
func (d *Drive) Pause() time.Duration { return max(0, d.c.gate.left()) }
