package mirror

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/rest"
)

// spare is what a download leaves free on the disk, for the state and the report that tell of it.
const spare = 96 << 20

// errFull says that a file does not fit.
var errFull = errors.New("no space left on the disk for this file")

// fetchAll brings every file and folder that is not here, or not as the drive has it, to its place.
func (r *run) fetchAll(ctx context.Context) error {
	r.progress.begin("fetch")
	if err := r.measure(ctx); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.o.Parallel)
	p := r.placer()
	err := func() error {
		for id, x := range rows[item](r.s, itemRows) {
			if x.err != nil {
				return x.err
			}
			if gctx.Err() != nil {
				return gctx.Err()
			}
			s, err := p.of(x.v)
			if err != nil {
				return err
			}
			if !r.mirrored(x.v, s) {
				continue
			}
			if x.v.Type == graph.Folder {
				err = r.keepFolder(gctx, graph.ItemID(id), s.path)
			} else if job, jerr := r.isJob(graph.ItemID(id), x.v, s.path); job {
				g.Go(func() error { return r.fetch(gctx, graph.ItemID(id), x.v, s.path) })
			} else {
				err = jerr
			}
			if err != nil {
				return err
			}
		}
		return nil
	}()
	werr := g.Wait()
	if werr != nil && !errors.Is(werr, context.Canceled) {
		return werr
	}
	return errors.Join(err, ctx.Err())
}

// measure counts what is to be fetched, for who watches.
func (r *run) measure(ctx context.Context) error {
	if r.o.Progress == nil {
		return nil
	}
	p := r.placer()
	var files, size int64
	for id, x := range rows[item](r.s, itemRows) {
		if x.err != nil || ctx.Err() != nil {
			return errors.Join(x.err, ctx.Err())
		}
		if x.v.Type != graph.File || x.v.Gone {
			continue
		}
		s, err := p.of(x.v)
		if err != nil {
			return err
		}
		if s.is != stands {
			continue
		}
		job, err := r.isJob(graph.ItemID(id), x.v, s.path)
		if err != nil {
			return err
		}
		if job {
			files++
			size += x.v.Ver.Size
		}
	}
	r.progress.update(func(q *Progress) { q.Total, q.Size = files, size })
	return nil
}

// mirrored reports whether an item has to be here, and says why not where that is a problem.
func (r *run) mirrored(i item, s spot) bool {
	switch {
	case i.Root, s.is == gone:
		return false
	case s.is == stands:
		return true
	case s.is == leftOut:
		r.count(func(x *Result) { x.LeftOut++ })
	case s.above:
	case s.is == refused:
		r.problem(fmt.Sprintf("%q", i.Name), errors.New("a file here cannot have this name; rename it in the drive"))
	}
	return false
}

// isJob reports whether a file is not at its place as the drive has it.
func (r *run) isJob(id graph.ItemID, i item, at string) (bool, error) {
	if r.moving[id] { // told of by the rehearsal already
		return false, nil
	}
	pl, err := r.s.place(at)
	if err != nil {
		return false, err
	}
	h := pl.Here
	return h == nil || h.Item != id || h.Dir || !h.Ver.same(i.Ver) || r.step == nil && doubtful(*h, i), nil
}

// keepFolder makes a folder of the drive.
func (r *run) keepFolder(ctx context.Context, id graph.ItemID, at string) error {
	if r.step != nil {
		return nil
	}
	pl, err := r.s.place(at)
	if err != nil {
		return err
	}
	if pl.Here != nil && !pl.Here.Dir {
		switch free, err := r.settleClash(ctx, at, *pl.Here); {
		case err != nil && !ends(err):
			r.problem(at, plain(err))
			return nil
		case err != nil || !free:
			return err
		}
		if pl, err = r.s.place(at); err != nil {
			return err
		}
	}
	if pl.Here == nil || pl.Here.Item != id {
		pl.Here = &here{Item: id, Dir: true}
		if err := r.s.set(placeRow(at, pl)); err != nil {
			return err
		}
	}
	saved, err := r.d.makeDir(at)
	if nerr := r.note("in the way", saved...); nerr != nil {
		return nerr
	}
	if err != nil {
		r.problem(at, plain(err))
	}
	return nil
}

// fetch brings one file to its place. What concerns it alone is noted as a problem; an error ends the run.
func (r *run) fetch(ctx context.Context, id graph.ItemID, i item, at string) error {
	release := r.paths.hold(at)
	defer release()
	err := r.fetchOne(ctx, id, i, at)
	if errors.Is(err, graph.Changed) || errors.Is(err, graph.NotExist) {
		err = r.fetchAgain(ctx, id, at)
	}
	switch {
	case err == nil, ctx.Err() != nil:
		return ctx.Err()
	case ends(err):
		return err
	}
	r.problem(at, plain(err))
	return nil
}

// fetchAgain fetches a file that has changed since the feed told of it. One that is gone or elsewhere by now waits for
// the next run.
func (r *run) fetchAgain(ctx context.Context, id graph.ItemID, at string) error {
	now, err := r.ask(ctx, id)
	if err != nil {
		return err
	}
	if err := r.take([]graph.Item{now}); err != nil {
		return err
	}
	i, _, err := r.s.item(id)
	if err != nil {
		return err
	}
	s, err := r.placer().of(i)
	if err != nil || s.is != stands || s.path != at {
		return err
	}
	return r.fetchOne(ctx, id, i, at)
}

func (r *run) fetchOne(ctx context.Context, id graph.ItemID, i item, at string) error {
	pl, err := r.s.place(at)
	if err != nil {
		return err
	}
	if pl.Here != nil && pl.Here.Item != id {
		if free, err := r.settleClash(ctx, at, *pl.Here); err != nil || !free {
			return err
		}
		if pl, err = r.s.place(at); err != nil {
			return err
		}
	}
	h := here{Item: id, Ver: i.Ver, From: i.From, Mod: i.Mtime}
	if i.Perm != nil {
		h.List = i.Perm.List
	}
	if st, ok, err := r.d.look(at); err != nil {
		return err
	} else if ok && pl.Here == nil && st.Mode().IsRegular() {
		if adopted, err := r.adopt(at, &h, i, st); err != nil || adopted {
			if err == nil {
				pl.Here = &h
				err = r.stage(id, nil, placeRow(at, pl))
			}
			return err
		}
	}
	if what := (Step{Do: "fetch", Path: at, Bytes: i.Ver.Size}); r.step != nil {
		if pl.Here != nil {
			what.Do = "replace"
		}
		r.mu.Lock() // the steps come one at a time
		defer r.mu.Unlock()
		r.would(what)
		return nil
	}
	if err := r.whole(ctx, id, &i, at); err != nil {
		return err
	}
	if was := pl.Here; was != nil && was.Item == id && !was.Dir && was.Ver.same(i.Ver) {
		h.Turn = was.Turn
		equal, err := r.d.sameBytes(part(id, i.Ver), inData(at))
		if err != nil {
			return err
		}
		if equal {
			return r.redate(id, i, at, pl, h)
		}
		h.Turn++
	}
	return r.put(id, i, at, pl, h)
}

// adopt reports whether the file that lies at a place is the one that belongs there.
func (r *run) adopt(at string, h *here, i item, st fs.FileInfo) (bool, error) {
	if st.Size() != i.Ver.Size || i.Ver.Hash == "" {
		return false, nil
	}
	sum, err := r.d.hashOf(inData(at))
	if err != nil || sum != i.Ver.Hash {
		return false, err
	}
	if r.step != nil {
		return true, nil
	}
	h.Stat, err = r.dated(inData(at), i.Mtime)
	return true, err
}

// settleClash makes room where another item is said to be as well: the feed can lose the word that it is gone, and
// of one made anew under the same name it tells the new one alone. free reports whether there is room now.
func (r *run) settleClash(ctx context.Context, at string, h here) (free bool, err error) {
	other, known, err := r.s.item(h.Item)
	if err != nil {
		return false, err
	}
	if known && !other.Gone {
		now, err := r.ask(ctx, h.Item)
		if err != nil {
			return false, err
		}
		if err := r.take([]graph.Item{now}); err != nil {
			return false, err
		}
		if other, known, err = r.s.item(h.Item); err != nil {
			return false, err
		}
	}
	if known && !other.Gone {
		s, err := r.placer().of(other)
		if err != nil {
			return false, err
		}
		if s.is == stands && s.path == at {
			return false, errors.New("two items of the drive have this name")
		}
	}
	if r.step != nil {
		return true, nil
	}
	if err := r.remove(at, h); err != nil {
		return false, err
	}
	pl, err := r.s.place(at)
	if err != nil {
		return false, err
	}
	pl.Here = nil
	return true, r.s.set(placeRow(at, pl))
}

// whole sees to it that the part of a file has all its bytes, and the time of the file.
func (r *run) whole(ctx context.Context, id graph.ItemID, i *item, at string) error {
	p := part(id, i.Ver)
	if i.Staged != nil {
		if st, err := r.d.root.Lstat(p); err == nil && statOf(st) == i.Staged.Stat && i.Staged.Ver.same(i.Ver) {
			st, err := r.dated(p, i.Mtime)
			i.Staged = &staged{st, i.Ver}
			return err
		}
	}
	f, err := r.d.root.OpenFile(p, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	err = r.download(ctx, f, id, i.Ver, at)
	if err == nil && i.Ver.Size > 0 {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	st, err := r.dated(p, i.Mtime)
	if err == nil {
		i.Staged = &staged{st, i.Ver}
	}
	return err
}

// download fills a part: it goes on where an earlier one ended, and compares the hash of all of it.
func (r *run) download(ctx context.Context, f *os.File, id graph.ItemID, v version, at string) error {
	have, h, err := begun(f, v)
	if err != nil {
		return err
	}
	if v.Size > 0 && have == v.Size {
		return nil
	}
	if free, err := r.o.Free(r.o.Folder); err != nil {
		return err
	} else if free < v.Size-have+spare {
		return errFull
	}
	n, err := r.copyFrom(ctx, io.MultiWriter(f, h), id, v.graph(), have, v.Size-have, at)
	var size *rest.SizeError
	switch {
	case errors.As(err, &size) && size.Actual >= 0: // it is served otherwise than it is listed (Q14, Q15)
		err = r.asServed(ctx, f, id, v, size.Actual, at)
	case err == nil && have > 0 && v.Hash != "" && graph.HashOf(h) != v.Hash:
		// What an earlier run left was not what it seemed.
		if err = restart(f); err == nil {
			n, err = r.copyFrom(ctx, f, id, v.graph(), 0, v.Size, at)
		}
	}
	if err == nil {
		r.count(func(x *Result) { x.Fetched++; x.Bytes += n })
		r.progress.update(func(q *Progress) { q.Items++ })
	}
	return err
}

// begun reads what a part has already, and throws away what cannot be of the version.
func begun(f *os.File, v version) (int64, hash.Hash, error) {
	h := graph.NewQuickXor()
	n, err := io.Copy(h, f)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 || n < v.Size && v.Hash != "" || n == v.Size && graph.HashOf(h) == v.Hash {
		return n, h, nil
	}
	return 0, graph.NewQuickXor(), restart(f)
}

func restart(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// asServed fetches a file with the size that it is served in, if it is still the one that was listed.
func (r *run) asServed(ctx context.Context, f *os.File, id graph.ItemID, v version, actual int64, at string) error {
	now, err := r.o.Service.Item(ctx, id)
	if err != nil {
		return err
	}
	if !versionOf(now.Version()).same(v) {
		return &graph.Error{Op: "read", Item: string(id), Kind: graph.Changed, Message: "the file has other content by now"}
	}
	if err := restart(f); err != nil {
		return err
	}
	_, err = r.copyFrom(ctx, f, id, graph.Version{}, 0, actual, at)
	return err
}

// copyFrom writes n bytes of a file from off on.
func (r *run) copyFrom(ctx context.Context, to io.Writer, id graph.ItemID, v graph.Version, off, n int64, at string) (int64, error) {
	if n == 0 {
		return 0, nil
	}
	body, err := r.o.Service.Content(ctx, id, v, off, n)
	if err != nil {
		return 0, err
	}
	done, err := io.CopyBuffer(to, &counted{body, r.progress, at}, make([]byte, 64<<10))
	return done, errors.Join(err, body.Close())
}

// counted tells of the bytes that go through it.
type counted struct {
	io.Reader
	p  *progress
	at string
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if n > 0 {
		c.p.update(func(q *Progress) { q.Bytes += int64(n); q.Path = c.at })
	}
	return n, err
}

// redate gives a file whose bytes are the same after all its new time.
func (r *run) redate(id graph.ItemID, i item, at string, pl place, h here) error {
	h.List, h.From, h.Stat = pl.Here.List, pl.Here.From, pl.Here.Stat
	pl, err := r.date(at, pl, i, h)
	if err != nil {
		return err
	}
	if err := r.d.root.Remove(part(id, i.Ver)); err != nil {
		return err
	}
	return r.stage(id, nil, placeRow(at, pl))
}

// put brings a whole part to its place. The row that says so is written before, so that a run that is cut short here
// knows the file again.
func (r *run) put(id graph.ItemID, i item, at string, pl place, h here) error {
	h.Ver, h.Stat = i.Staged.Ver, i.Staged.Stat
	pl.Coming = &h
	if err := r.stage(id, i.Staged, placeRow(at, pl)); err != nil {
		return err
	}
	saved, err := r.d.ground(at)
	if nerr := r.note("in the way", saved...); nerr != nil {
		return nerr
	}
	if err != nil {
		return err
	}
	st, ok, err := r.d.look(at)
	switch {
	case err != nil:
		return err
	case !ok, pl.Here != nil && st.Mode().IsRegular() && statOf(st) == pl.Here.Stat:
	case st.IsDir() && r.d.root.Remove(inData(at)) == nil: // it was empty
	case pl.Here != nil:
		err = r.save(at, "changed")
	default:
		err = r.save(at, "in the way")
	}
	if err != nil {
		return err
	}
	if err := r.d.root.Rename(part(id, h.Ver), inData(at)); err != nil {
		return err
	}
	pl.Here, pl.Coming = &h, nil
	return r.stage(id, nil, placeRow(at, pl))
}

// stage notes which file of an item is on its way, together with other rows.
func (r *run) stage(id graph.ItemID, g *staged, more ...cache.Row) error {
	r.items.Lock()
	defer r.items.Unlock()
	i, ok, err := r.s.item(id)
	if err != nil {
		return err
	}
	if ok {
		i.Staged = g
		more = append(more, itemRow(id, i))
	}
	return r.s.set(more...)
}

// plain turns an error of the disk into words for people, without the names of files that they do not know.
func plain(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	cause := err
	switch {
	case errors.As(err, &pe):
		cause = pe.Err
	case errors.As(err, &le):
		cause = le.Err
	default:
		return err
	}
	switch {
	case errors.Is(cause, syscall.ENAMETOOLONG):
		return errors.New("the name or the path is too long for this disk; shorten it in the drive")
	case errors.Is(cause, syscall.EILSEQ), errors.Is(cause, syscall.EINVAL):
		return errors.New("this disk takes no such name; rename it in the drive")
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT):
		return errFull
	}
	return fmt.Errorf("the disk refuses it: %w", cause)
}
