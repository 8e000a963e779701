package daemon

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/plan"
)

// errNothing is a path of which there is nothing here, and was nothing: most likely a slip.
var errNothing = errors.New("nothing here has that name, and no unsent change is about it; `duskfs diff` lists what there is")

// everywhere finds drive and path of several absolute paths; none stays none. A path that means nothing
// is an error: who mistypes a name must not take it for sent.
func (m *mount) everywhere(paths []string) ([]flush.Path, error) {
	var all []flush.Path
	for _, p := range paths {
		found, err := m.locate(p)
		if err != nil {
			return nil, err
		}
		if len(found) > 1 { // of drives side by side those that can be changed are meant
			found = slices.DeleteFunc(found, func(f flush.Path) bool { return m.readOnly(m.drive(f.Drive)) })
		}
		if len(found) == 0 { // none would mean all
			return nil, fmt.Errorf("%s: %w", p, flush.ErrReadOnly)
		}
		for i := range found {
			if found[i], err = m.meant(found[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
		}
		all = append(all, found...)
	}
	return all, nil
}

// meant gives a path the letter case and Unicode form of what it names, here or in an unsent change.
func (m *mount) meant(p flush.Path) (flush.Path, error) {
	d := m.drive(p.Drive)
	n, err := m.store.Tree().Resolve(d.info.Root, p.Path)
	switch {
	case err == nil:
		p.Path, err = m.store.Tree().Path(n.Ino)
		return p, err
	case errors.Is(err, cache.ErrUnlisted):
		return p, nil // nobody knows yet
	case !errors.Is(err, cache.ErrNotExist) && !errors.Is(err, cache.ErrNotFolder):
		return p, err
	}
	drives, err := m.engine.Changes(p)
	if err != nil {
		return p, err
	}
	for _, d := range drives {
		if len(d.Changes) > 0 {
			return p, nil
		}
	}
	return p, errNothing
}

// drive finds a drive of the mount by its number.
func (m *mount) drive(n cache.DriveNum) drive {
	for _, d := range m.drives {
		if d.info.Num == n {
			return d
		}
	}
	return drive{}
}

// writable refuses what makes no sense where nothing can be changed.
func (m *mount) writable() error {
	if m.reads {
		return fmt.Errorf("%s: %w: %s", m.point, flush.ErrReadOnly, agreedToRead)
	}
	if m.cfg.ReadOnly {
		return fmt.Errorf("%s: %w: there is nothing to send", m.point, flush.ErrReadOnly)
	}
	return nil
}

// Diff implements control.API.
func (a *answers) Diff(_ context.Context, paths []string) ([]control.Change, error) {
	list := []control.Change{}
	if a.m.cfg.ReadOnly {
		return list, nil
	}
	in, err := a.m.everywhere(paths)
	if err != nil {
		return nil, err
	}
	a.m.countAll()
	drives, err := a.m.engine.Changes(in...)
	if err != nil {
		return nil, err
	}
	for _, d := range drives {
		for _, c := range d.Changes {
			list = append(list, a.m.shown(d.Drive, c))
		}
	}
	return list, nil
}

// shown is a change as people see it.
func (m *mount) shown(n cache.DriveNum, c plan.Change) control.Change {
	d := m.drive(n)
	s := control.Change{
		Kind: string(c.Kind), Path: m.outside(d, c.Path), Dir: c.Dir, OldSize: c.OldSize, Size: c.Size, Items: c.Items, Since: moment(c.Since),
	}
	if c.Kind == plan.Renamed && path.Dir(c.From) != path.Dir(c.Path) {
		s.Kind = "moved"
	}
	if c.From != "" {
		s.From = m.outside(d, c.From)
	}
	if c.Deferred != nil {
		s.Reason = c.Deferred.Reason
	}
	return s
}

// Discard implements control.API.
func (a *answers) Discard(ctx context.Context, r control.DiscardRequest) ([]control.Discarded, error) {
	if err := a.m.writable(); err != nil {
		return nil, err
	}
	in, err := a.m.everywhere(r.Paths)
	if err != nil {
		return nil, err
	}
	if len(in) == 0 {
		return nil, errors.New("discard: no path is named")
	}
	defer a.m.shownToAll(ctx)
	done, err := a.m.engine.Discard(ctx, r.DryRun, in...)
	list := []control.Discarded{}
	for _, d := range done {
		if !r.DryRun {
			a.m.changed(flush.Path{Drive: d.Drive, Path: d.Change.Path})
		}
		list = append(list, control.Discarded{Change: a.m.shown(d.Drive, d.Change), Trash: d.Trash, Refused: d.Refused})
	}
	return list, err
}

// Conflicts implements control.API.
func (a *answers) Conflicts(_ context.Context, paths []string) ([]control.Pair, error) {
	all, err := a.m.engine.Conflicts()
	if err != nil {
		return nil, err
	}
	asked := make([]bool, len(all))
	for _, p := range paths {
		if err := a.m.askFor(p, all, asked); err != nil {
			return nil, err
		}
	}
	list := []control.Pair{}
	for i, c := range all {
		if len(paths) > 0 && !asked[i] {
			continue
		}
		d := a.m.drive(c.Drive)
		p := control.Pair{
			Kind: c.Kind, Path: a.m.outside(d, c.Path), Text: c.Text, At: c.At.UTC(),
			Size: c.Size, Time: moment(c.Time), OtherSize: c.OtherSize, OtherTime: moment(c.OtherTime),
		}
		if c.Other != "" {
			p.Other = a.m.outside(d, c.Other)
		}
		list = append(list, p)
	}
	return list, nil
}

// askFor marks the conflicts of which one version is at or below an absolute path. A path that means nothing, here or in
// them, is an error.
func (m *mount) askFor(p string, all []flush.Conflict, asked []bool) error {
	found, err := m.locate(p)
	if err != nil {
		return err
	}
	some, slip := false, error(nil)
	for _, in := range found {
		at, err := m.meant(in)
		if err != nil {
			at, slip = in, err
		}
		for i, c := range all {
			if c.Drive == at.Drive && (control.Inside(at.Path, c.Path) || c.Other != "" && control.Inside(at.Path, c.Other)) {
				asked[i], some = true, true
			}
		}
	}
	switch {
	case slip == nil || some:
		return nil
	case errors.Is(slip, flush.ErrReadOnly): // nothing there is looked for among what is unsent
		slip = errNothing
	}
	return fmt.Errorf("%s: %w", p, slip)
}

// Resolve implements control.API.
func (a *answers) Resolve(ctx context.Context, r control.ResolveRequest) error {
	if err := a.m.writable(); err != nil {
		return err
	}
	with, err := cache.ParsePolicy(r.Keep)
	if err != nil {
		return err
	}
	in, err := a.m.locate(r.Path)
	if err != nil {
		return err
	}
	if len(in) != 1 {
		return fmt.Errorf("%s: name one file", r.Path)
	}
	if at, err := a.m.meant(in[0]); err == nil {
		in[0] = at
	}
	pairs, err := a.m.engine.Conflicts()
	if err != nil {
		return err
	}
	defer a.m.shownToAll(ctx)
	err = a.m.engine.Resolve(ctx, in[0], with)
	if errors.Is(err, flush.ErrNoConflict) {
		return fmt.Errorf("%s: %w; `duskfs conflicts` lists what does", r.Path, flush.ErrNoConflict)
	}
	a.m.changed(in[0])
	for _, c := range pairs {
		if c.Drive == in[0].Drive && (c.Path == in[0].Path || c.Other == in[0].Path) {
			a.m.changed(flush.Path{Drive: c.Drive, Path: c.Path})
			a.m.changed(flush.Path{Drive: c.Drive, Path: c.Other})
		}
	}
	return err
}

// changed tells the kernel that a path may mean something else by now: the engine works on the tree
// as programs do, whose changes the kernel knows of.
func (m *mount) changed(p flush.Path) {
	if p.Path == "" || p.Path == "/" {
		return
	}
	t, d := m.store.Tree(), m.drive(p.Drive)
	parent, err := t.Resolve(d.info.Root, path.Dir(p.Path))
	if err != nil {
		return // its folder went too, and is told itself
	}
	m.kernel.Notify(cache.Event{Parent: parent.Ino, Name: path.Base(p.Path)})
	if n, err := t.Lookup(parent.Ino, path.Base(p.Path)); err == nil {
		m.kernel.Notify(cache.Event{Ino: n.Ino, Bytes: true})
	}
}

// Pause implements control.API.
func (a *answers) Pause(_ context.Context, r control.PauseRequest) error {
	if r.Paused {
		a.m.engine.Pause()
	} else {
		a.m.engine.Resume()
	}
	return nil
}

// held lists what a flush would keep back now until somebody confirms it.
func (m *mount) held(d drive) ([]control.Held, error) {
	info, err := m.store.Drive(d.info.Num)
	if err != nil {
		return nil, err
	}
	v, err := m.store.Outbox(d.info.Num).View()
	if err != nil {
		return nil, err
	}
	var held []control.Held
	p := plan.Make(v, plan.Options{NoDeletes: m.cfg.Flush.NoRemoteDelete, Partial: !info.Enumerated})
	for _, s := range p.Guarded {
		held = append(held, control.Held{Path: m.outside(d, s.Path), Kind: "deletion", Items: 1 + len(s.Known)})
	}
	for _, s := range p.Emptied {
		held = append(held, control.Held{Path: m.outside(d, s.Path), Kind: "emptied", Items: 1})
	}
	return held, nil
}

// since is a moment of the recent past for a sentence: a time of day, and the day if that was not today.
func since(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return " since " + t.Format("15:04")
	}
	return " since " + t.Format("Mon 2 Jan 15:04")
}
