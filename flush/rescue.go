package flush

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// rescue brings the bytes that an upload of ours replaced unseen back as conflict copies: the service
// allows no condition that would have stopped us (Q19), but keeps what was there as versions. It may be told of
// the same ones again, and fails for what stops everything for now.
func (k *keeper) rescue(ctx context.Context, s plan.Step, item graph.ItemID, between []graph.Past) error {
	history, ok := k.d.Service.(graph.History)
	for _, p := range between {
		text := fmt.Sprintf("%q was changed on the server in the moment in which ours was sent. That version is in the version history of the file", s.Name)
		if p.By != "" {
			text = fmt.Sprintf("%q was changed by %s in the moment in which ours was sent. That version is in the version history of the file", s.Name, p.By)
		}
		r := cache.Report{Kind: "overwritten", Path: s.Path, Ino: s.Ino, Text: text + "."}
		if ok {
			ino, err := k.copyOf(ctx, history, s, item, p)
			switch {
			case err != nil && graph.Stops(ctx, err):
				return err
			case err != nil:
				k.o.Logger.Warn("an overwritten version could not be fetched; the version history has it", "path", s.Path, "err", err)
			case k.reported(ino):
				continue
			default:
				r.Text, r.Ino, r.Other = text+", and beside it.", ino, s.Ino
			}
		}
		if err := k.reports.Add(r); err != nil {
			k.o.Logger.Error("a report could not be kept", "path", s.Path, "err", err)
		}
		k.tell(Notice{Kind: NoticeConflict, Text: r.Text})
	}
	return nil
}

// reported reports whether people know of a copy that was made of an overwritten version.
func (k *keeper) reported(ino cache.Ino) bool {
	list, err := k.reports.Conflicts()
	return err == nil && slices.ContainsFunc(list, func(r cache.Report) bool { return r.Kind == "overwritten" && r.Ino == ino })
}

// copiesOfOneTime is how many names are tried for the copy of a version: each is that of another version of the same minute.
const copiesOfOneTime = 100

// copyOf makes a new file of a version, beside the one that it was a version of, if that was not done before.
func (k *keeper) copyOf(ctx context.Context, h graph.History, s plan.Step, item graph.ItemID, p graph.Past) (cache.Ino, error) {
	t := k.o.Store.Tree()
	n, err := k.beside(s, item)
	if err != nil {
		return 0, err
	}
	who := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`"*:<>?/\|`, r) || r < ' ' {
			return '-'
		}
		return r
	}, p.By)
	if who == "" {
		who = "server"
	}
	open := func() (io.ReadCloser, error) { return h.PastContent(ctx, item, p) }
	var from io.ReadCloser
	var made cache.Node
	for i := 1; i <= copiesOfOneTime; i++ {
		called := name.Conflict(name.Plain(n.Name), who, p.ModTime.Local(), i)
		if there, rerr := t.Resolve(n.Parent, called); rerr == nil {
			if there.Size == p.Size {
				if same, err := k.has(there, open); err != nil || same {
					return there.Ino, err
				}
			}
			continue
		}
		if from == nil { // before there is a file that people see
			if from, err = open(); err != nil {
				return 0, err
			}
			defer from.Close()
		}
		if made, err = t.Create(n.Parent, called, cache.New{Mode: n.Mode}); err == nil {
			break
		} else if !errors.Is(err, cache.ErrExist) {
			return 0, err
		}
	}
	if made.Ino == 0 {
		return 0, cache.ErrExist
	}
	if err := k.fill(made, from, p.ModTime); err != nil {
		_, rerr := t.Remove(made.Parent, made.Name, false)
		return 0, errors.Join(err, rerr)
	}
	return made.Ino, nil
}

// beside returns the node whose name and folder a copy of a version goes by: that which was sent, or if it was
// replaced or removed meanwhile that which has the item now, or something of its name in the folder in which it was, or
// in the nearest above that is there.
func (k *keeper) beside(s plan.Step, item graph.ItemID) (cache.Node, error) {
	t := k.o.Store.Tree()
	n, err := t.Get(s.Ino)
	if err == nil && n.Parent != 0 && !n.LocalOnly {
		return n, nil
	}
	if c, err := k.o.Store.Inbox(k.d.Num).Case(graph.Item{ID: item, Deleted: true}, false); err != nil {
		return cache.Node{}, err
	} else if c.Node != nil && c.Node.Parent != 0 {
		return *c.Node, nil
	}
	for dir := path.Dir(s.Path); ; dir = path.Dir(dir) {
		folder, err := t.Resolve(k.root(), dir)
		if err == nil && folder.Dir && !folder.LocalOnly {
			return cache.Node{Parent: folder.Ino, Name: s.Name, Mode: 0o644}, nil
		}
		if dir == "/" || dir == "." {
			return cache.Node{}, cmp.Or(err, cache.ErrNotExist)
		}
	}
}

// has reports whether a file has the bytes of a version.
func (k *keeper) has(n cache.Node, open func() (io.ReadCloser, error)) (bool, error) {
	if n.Dir {
		return false, nil
	}
	from, err := open()
	if err != nil {
		return false, err
	}
	defer from.Close()
	if !n.Written {
		sum := graph.NewQuickXor()
		_, err := io.Copy(sum, from)
		return n.Base.Hash.Equal(graph.HashOf(sum)), err
	}
	body, err := k.o.Store.Content().Local(uint64(n.Ino))
	if err != nil {
		return false, err
	}
	defer body.Close()
	return graph.EqualBytes(io.NewSectionReader(body, 0, body.Size()), from)
}

// fill gives a file that was just made its bytes, and their time.
func (k *keeper) fill(n cache.Node, from io.Reader, mtime time.Time) error {
	t := k.o.Store.Tree()
	at, err := t.Path(n.Ino)
	if err != nil {
		return err
	}
	tag := content.Tag{Path: path.Join("/", at)}
	if info, err := k.o.Store.Drive(k.d.Num); err == nil {
		tag.Drive = info.Drive.ID
	}
	body, err := k.o.Store.Content().Create(uint64(n.Ino), uint64(n.Seq), tag)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(io.NewOffsetWriter(body, 0), from); err != nil {
		return err
	}
	if err := errors.Join(body.SetModTime(mtime), body.Sync()); err != nil {
		return err
	}
	_, err = t.Settle(n.Ino, body.Size(), body.ModTime())
	return err
}
