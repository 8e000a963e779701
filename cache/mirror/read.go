package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

const (
	readBatch   = 20   // items in one request (graph-facts §8)
	readsAtOnce = 4    // requests
	rollingMost = 5000 // re-reads without a sign in one run: 25,000 resource units, 21 minutes of the smallest tenant's
	denialsMost = 3    // requests of which nothing but refusals came, before asking ends
)

// readPermissions reads who may see the files of which that is not known, or may have changed.
func (r *run) readPermissions(ctx context.Context) error {
	sharing, ok := r.o.Service.(graph.Sharing)
	if !ok {
		return nil
	}
	r.progress.begin("permissions")
	every := r.o.PermissionsEvery
	if r.o.SharingChanges && every > 0 {
		every = 0
	}
	from, _, err := read[string](r.s, rollingKey)
	if err != nil {
		return err
	}
	q := &reading{run: r, sharing: sharing}
	q.g, q.ctx = errgroup.WithContext(ctx)
	q.g.SetLimit(readsAtOnce)
	p := r.placer()
	again := 0
	next := ""
	for id, x := range rows[item](r.s, itemRows) {
		if x.err != nil || q.ctx.Err() != nil || q.refused() {
			err = x.err
			break
		}
		if x.v.Type != graph.File || x.v.Gone {
			continue
		}
		s, perr := p.of(x.v)
		if err = perr; err != nil {
			break
		}
		if s.is != stands {
			continue
		}
		switch wanted(id, x.v, s.shared, r.o.Now(), every) {
		case settled:
			continue
		case rolling:
			// A run does not re-read everything; the next one goes on where this one stopped.
			if every > 0 {
				if id <= from {
					r.count(func(y *Result) { y.Waiting++ })
					continue
				}
				if again++; again > rollingMost {
					r.count(func(y *Result) { y.Waiting++ })
					continue
				}
				next = id
			}
		}
		if err = q.add(graph.ItemID(id), s.path); err != nil {
			break
		}
	}
	err = errors.Join(err, q.end())
	if err != nil {
		return err
	}
	if again <= rollingMost {
		next = "" // all of the rest was read: from the start again
	}
	if r.step == nil && next != from {
		return r.s.set(row(rollingKey, next))
	}
	return nil
}

// reading is the reading of many permissions.
type reading struct {
	*run
	sharing graph.Sharing
	ctx     context.Context // of the requests under way
	g       *errgroup.Group
	ids     []graph.ItemID
	paths   []string

	denials sync.Mutex
	denied  int // requests in a row
	why     error
}

func (q *reading) refused() bool {
	q.denials.Lock()
	defer q.denials.Unlock()
	return q.denied >= denialsMost
}

func (q *reading) add(id graph.ItemID, path string) error {
	pl, err := q.s.place(path)
	if err != nil {
		return err
	}
	if q.step == nil && (pl.Here == nil || pl.Here.Item != id) { // it could not be fetched
		return nil
	}
	q.ids, q.paths = append(q.ids, id), append(q.paths, path)
	if len(q.ids) == readBatch {
		q.ask()
	}
	return nil
}

// ask reads the permissions of what was added.
func (q *reading) ask() {
	ids, paths := q.ids, q.paths
	q.ids, q.paths = nil, nil
	if q.step != nil {
		q.count(func(x *Result) { x.Read += len(ids) })
		return
	}
	q.g.Go(func() error {
		bad := 0
		var out []cache.Row
		for n, g := range q.sharing.PermissionsOf(q.ctx, ids) {
			if g.Err == nil {
				more, err := q.known(ids[n], paths[n], g.All)
				if err != nil {
					return err
				}
				out = append(out, more...)
				continue
			}
			if err := q.unknown(paths[n], g.Err); err != nil {
				return err
			}
			if errors.Is(g.Err, graph.Denied) {
				bad++
				q.denials.Lock()
				q.why = g.Err
				q.denials.Unlock()
			}
		}
		if err := q.s.set(out...); err != nil {
			return err
		}
		q.denials.Lock()
		defer q.denials.Unlock()
		if q.denied++; bad < len(ids) {
			q.denied = 0
		}
		return nil
	})
}

func (q *reading) end() error {
	if len(q.ids) > 0 {
		q.ask()
	}
	err := q.g.Wait()
	if q.refused() {
		q.problem("", fmt.Errorf("permissions cannot be read, so nobody is named for the files that are new: %w", q.why))
	}
	return err
}

// unknown deals with permissions that could not be read: what was known before stands.
func (q *reading) unknown(path string, err error) error {
	switch {
	case q.ctx.Err() != nil:
		return q.ctx.Err()
	case ends(err):
		return err
	case errors.Is(err, graph.NotExist): // gone by now; the next run says so
		return nil
	}
	q.o.Logger.Warn("permissions could not be read", "path", path, "err", err)
	q.count(func(x *Result) { x.Partial = true })
	return nil
}

// known makes the rows that remember permissions that were read.
func (q *reading) known(id graph.ItemID, path string, all []graph.Permission) ([]cache.Row, error) {
	list, until := labels(all, q.o.Now())
	name := listName(list)
	i, ok, err := q.s.item(id)
	if err != nil || !ok {
		return nil, err
	}
	pl, err := q.s.place(path)
	if err != nil {
		return nil, err
	}
	i.Perm = &perm{List: name, Tag: tagOf(i), Cycle: q.f.Cycle, At: q.o.Now().Unix()}
	if !until.IsZero() {
		i.Perm.Until = until.Unix()
	}
	out := []cache.Row{itemRow(id, i)}
	if pl.Here != nil && pl.Here.Item == id && pl.Here.List != name {
		pl.Here.List = name
		out = append(out, row(listRows+name, list), placeRow(path, pl))
	}
	q.count(func(x *Result) { x.Read++ })
	q.progress.update(func(p *Progress) { p.Items++ })
	return out, nil
}

// listName names a list of permissions by what is in it.
func listName(list []string) string {
	sum := sha256.Sum256([]byte(strings.Join(list, "\n")))
	return hex.EncodeToString(sum[:12])
}

// lists finds lists of permissions by their names.
type lists struct {
	s    state
	memo map[string][]string
}

const listsKept = 10_000

// get returns a list, never nil. The list without a name is that of nobody known.
func (l *lists) get(name string) ([]string, error) {
	if name == "" {
		return []string{}, nil
	}
	if v, ok := l.memo[name]; ok {
		return v, nil
	}
	v, _, err := read[[]string](l.s, listRows+name)
	if err != nil {
		return nil, err
	}
	if v == nil {
		v = []string{}
	}
	if l.memo == nil || len(l.memo) >= listsKept {
		l.memo = map[string][]string{}
	}
	l.memo[name] = v
	return v, nil
}
