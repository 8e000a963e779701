package mirror

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/duskfs/duskfs/graph"
)

// deliver hands on the reports that were not delivered yet.
func (r *run) deliver(ctx context.Context) error {
	if r.o.Deliver == nil {
		return r.s.clear(owedRows)
	}
	for report, x := range rows[owed](r.s, owedRows) {
		if x.err != nil {
			return x.err
		}
		if err := r.o.Deliver(ctx, Delivery{Report: report, Permissions: x.v.Permissions}); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.problem("", fmt.Errorf("hand on %s: %w", filepath.Base(report), err))
			continue
		}
		if err := r.s.set(row(owedRows+report, nil)); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what is known of items that are gone, once an enumeration has shown that nothing more of them will come,
// and what has been in the trash for long.
func (r *run) forget(context.Context) error {
	if r.compared && r.res.Held == 0 && r.res.Failed == 0 {
		// First everything below a folder that is gone, while that is known; then all of it.
		p, w := r.placer(), writer{s: r.s}
		for id, x := range rows[item](r.s, itemRows) {
			if x.err != nil {
				return x.err
			}
			s, err := p.of(x.v)
			if err == nil && s.is == gone && !x.v.Gone {
				x.v.Gone = true
				err = w.add(itemRow(graph.ItemID(id), x.v))
			}
			if err != nil {
				return err
			}
		}
		if err := w.flush(); err != nil {
			return err
		}
		for id, x := range rows[item](r.s, itemRows) {
			if x.err == nil && x.v.Gone {
				x.err = w.add(row(itemRows+id, nil))
			}
			if x.err != nil {
				return x.err
			}
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	if err := r.d.tidy(r.res.Failed == 0); err != nil {
		r.o.Logger.Warn("the trash could not be emptied", "err", err)
	}
	return nil
}
