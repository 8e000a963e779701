package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// difference is what a report has to tell of a path.
type difference struct {
	what    section
	content bool // the bytes are others
	perms   bool // the permissions are others
}

type section int

const (
	same section = iota - 1
	added
	modified
	permissionsOnly
	deleted
)

// differ compares what was told of a path with what is there. It is pure.
func differ(p place) difference {
	t, h := p.Told, p.Here
	if h != nil && h.Dir {
		h = nil
	}
	switch {
	case t == nil && h == nil:
		return difference{what: same}
	case t == nil:
		return difference{what: added, content: true, perms: true}
	case h == nil:
		return difference{what: deleted}
	}
	d := difference{what: same, content: !t.Ver.same(h.Ver) || t.Item == h.Item && t.Turn != h.Turn, perms: t.List != h.List}
	switch {
	case d.content:
		d.what = modified
	case d.perms:
		d.what = permissionsOnly
	}
	return d
}

// now is what a report tells of a place.
func (p place) now() *told {
	if h := p.Here; h != nil && !h.Dir {
		return &told{h.Item, h.Ver, h.List, h.Turn}
	}
	return nil
}

// unsaid reports whether a place has something that its row does not say was told, be it worth a report or not.
func unsaid(p place) bool {
	now := p.now()
	if now == nil || p.Told == nil {
		return now != nil || p.Told != nil
	}
	return p.Here.From != "" || *p.Told != *now
}

// retold is a place after the report that it waits for was published, or was not.
func retold(p place, published bool) place {
	n := p.Telling
	if p.Telling = nil; !published || n == nil {
		return p
	}
	p.Told = n.Told
	if h := p.Here; h != nil && h.From != "" && n.Told != nil && n.Told.Item == h.Item {
		moved := *h
		moved.From = ""
		p.Here = &moved
	}
	return p
}

// report writes who may see what, and then what changed, and only then remembers that this was told.
func (r *run) report(ctx context.Context) error {
	r.progress.begin("report")
	d, err := r.draft(ctx)
	defer d.drop()
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	s := d.summary
	r.count(func(x *Result) {
		x.Added, x.Modified, x.Deleted, x.PermissionsOnly, x.Total = s.Added, s.Modified, s.Deleted, s.PermissionsOnly, s.TotalFiles
		x.Restored = d.restored.n
		x.Partial = x.Partial || d.unknown || x.Failed > 0 || x.Held > 0
	})
	changes := s.Added+s.Modified+s.Deleted+s.PermissionsOnly+d.restored.n > 0
	if _, err := r.d.root.Lstat(permsFile); changes || errors.Is(err, fs.ErrNotExist) {
		if err := r.d.write(permsFile, r.writePermissions); err != nil {
			return fmt.Errorf("write %s: %w", permsFile, err)
		}
	}
	if d.unsaid {
		if err := r.announce(); err != nil {
			return err
		}
	}
	if !changes && !r.o.AlwaysReport {
		if !d.unsaid {
			return nil
		}
		return errors.Join(r.remember(true), r.s.set(row(tellingKey, nil)))
	}
	t, err := d.publish()
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	r.res.Report = filepath.Join(t.Logs, t.Name)
	return r.told(t)
}

// announce notes of every place what is about to be told of it.
func (r *run) announce() error {
	if err := r.s.set(row(tellingKey, telling{})); err != nil {
		return err
	}
	w := writer{s: r.s}
	for at, x := range rows[place](r.s, placeRows) {
		if x.err == nil && unsaid(x.v) {
			x.v.Telling = &word{x.v.now()}
			x.err = w.add(placeRow(at, x.v))
		}
		if x.err != nil {
			return x.err
		}
	}
	return w.flush()
}

// told remembers a report that was published.
func (r *run) told(t telling) error {
	if r.o.Deliver != nil {
		if err := r.s.set(row(owedRows+filepath.Join(t.Logs, t.Name), owed{t.Permissions})); err != nil {
			return err
		}
	}
	if err := r.remember(true); err != nil {
		return err
	}
	return r.s.set(row(tellingKey, nil))
}

// settle finds out what became of a report that an earlier run was cut short over.
func (r *run) settle(context.Context) error {
	t, ok, err := read[telling](r.s, tellingKey)
	if err != nil {
		return err
	}
	if !ok {
		return nil
	}
	// The temporary name goes when the other has come: whoever took the report away meanwhile has read it.
	tmp, terr := os.Lstat(filepath.Join(t.Logs, t.Temp))
	name, nerr := os.Lstat(filepath.Join(t.Logs, t.Name))
	if t.Name == "" || terr == nil && (nerr != nil || !os.SameFile(tmp, name)) {
		if err := r.remember(false); err != nil {
			return err
		}
		return r.s.set(row(tellingKey, nil))
	}
	return r.told(t)
}

// remember takes what was announced as told, or not.
func (r *run) remember(published bool) error {
	w := writer{s: r.s}
	for at, x := range rows[place](r.s, placeRows) {
		if x.err != nil {
			return x.err
		}
		if x.v.Telling == nil {
			continue
		}
		now := retold(x.v, published)
		if h := x.v.Here; h != nil && h.From != "" && now.Here.From == "" {
			i, ok, err := r.s.item(h.Item)
			if err != nil {
				return err
			}
			if i.From = ""; ok {
				if err := w.add(itemRow(h.Item, i)); err != nil {
					return err
				}
			}
		}
		if err := w.add(placeRow(at, now)); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil || !published {
		return err
	}
	return r.s.clear(eventRows)
}
