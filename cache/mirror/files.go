package mirror

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// File is a file as one side has it.
type File struct {
	Item    graph.ItemID // of the drive; empty for a local file
	Size    int64        // bytes
	Hash    graph.Hash   // empty if not known, as of every local file
	ModTime time.Time    // UTC; zero is unknown
}

// RemoteFiles lists the files of the drive that are to be mirrored, by path, from a new enumeration. It changes
// nothing, and remembers nothing.
func (m *Mirror) RemoteFiles(ctx context.Context) (map[string]File, error) {
	items := map[graph.ItemID]item{}
	for link := graph.Start; ; {
		page, err := m.o.Service.Delta(ctx, link)
		if err != nil {
			return nil, err
		}
		for _, in := range page.Items {
			now, _ := merged(items[in.ID], false, in, feed{})
			items[in.ID] = now
			if in.Deleted {
				delete(items, in.ID)
			}
		}
		if page.Done {
			break
		}
		link = page.Next
	}
	p := &placer{take: m.o.Take, most: m.o.MaxSize, item: func(id graph.ItemID) (item, bool, error) {
		i, ok := items[id]
		return i, ok, nil
	}}
	files := map[string]File{}
	for id, i := range items {
		s, err := p.of(i)
		if err != nil {
			return nil, err
		}
		if i.Type == graph.File && s.is == stands {
			f := File{Item: id, Size: i.Ver.Size, Hash: i.Ver.Hash}
			if i.Mtime != 0 {
				f.ModTime = time.Unix(0, i.Mtime).UTC()
			}
			files[s.path] = f
		}
	}
	return files, nil
}

// LocalFiles lists the files in the data folder, by path. A folder that is not there has none.
func (m *Mirror) LocalFiles() (map[string]File, error) {
	files := map[string]File{}
	root, err := os.OpenRoot(m.o.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), dataDir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && p == dataDir:
			return fs.SkipAll
		case err != nil:
			return err
		case !d.Type().IsRegular():
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dataDir, p)
		files[filepath.ToSlash(rel)] = File{Size: st.Size(), ModTime: st.ModTime().UTC()}
		return err
	})
	return files, err
}

// Compare says by path which files the drive has and the folder has not, which of those that both have differ, by size or
// time (to the second, which is what some drives keep), and which the folder alone has.
func Compare(remote, local map[string]File) (added, modified, deleted []string) {
	for p, r := range remote {
		l, ok := local[p]
		switch {
		case !ok:
			added = append(added, p)
		case r.Size != l.Size, !r.ModTime.IsZero() && !r.ModTime.Truncate(time.Second).Equal(l.ModTime.Truncate(time.Second)):
			modified = append(modified, p)
		}
	}
	for p := range local {
		if _, ok := remote[p]; !ok {
			deleted = append(deleted, p)
		}
	}
	for _, list := range [][]string{added, modified, deleted} {
		slices.Sort(list)
	}
	return added, modified, deleted
}
