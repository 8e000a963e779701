package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
)

// Unsent is a file of which there are bytes here that the service may not have, as its sidecar tells
// of it. Nothing but the files of bodies is asked for that.
type Unsent struct {
	File    string // where the bytes are
	Ino     Ino
	Drive   graph.DriveID
	Path    string // from the root of the drive; empty if nobody knows
	Size    int64
	ModTime time.Time
	// Doubtful bytes were moved aside since nothing could be known of them.
	Doubtful bool
}

// UnsentWork lists the unsent work in the folder of a store, by path; of states in it that were moved
// aside as damaged too, unless it was copied out already. It works without rows, and whether the store
// is open or not.
func UnsentWork(dir string) ([]Unsent, error) {
	list, err := unsentIn(dir)
	if err != nil {
		return nil, err
	}
	damages, err := Damages(dir)
	for _, d := range damages {
		if !d.Rescued {
			list = append(list, d.Unsent...)
		}
	}
	return list, err
}

func unsentIn(dir string) ([]Unsent, error) {
	bodies := filepath.Join(dir, bodiesDir)
	if _, err := os.Stat(bodies); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s, err := content.Look(bodies)
	if err != nil {
		return nil, err
	}
	var list []Unsent
	add := func(i content.Info, doubtful bool) {
		list = append(list, Unsent{
			File: i.File, Ino: Ino(i.Ino), Drive: i.Tag.Drive, Path: i.Tag.Path, Size: i.Size, ModTime: i.ModTime, Doubtful: doubtful,
		})
	}
	err = s.Locals(context.Background(), func(i content.Info) error { add(i, i.Damaged); return nil })
	if err != nil {
		return nil, err
	}
	more, err := s.Recovered()
	if err != nil {
		return nil, err
	}
	for _, i := range more {
		if i.Damaged || i.Local { // the others are bytes of the service that were altered
			add(i, true)
		}
	}
	slices.SortFunc(list, func(a, b Unsent) int {
		return strings.Compare(a.Path+"\x00"+a.File, b.Path+"\x00"+b.File)
	})
	return list, nil
}

// Rescued is what became of one piece of unsent work.
type Rescued struct {
	Unsent
	To  string // where it was copied, from the target's root
	Had bool   // it was there already, with the same bytes
}

// Rescue copies unsent work to a place below to: under the name of its drive, by its path. What is
// there already stays; other bytes of the same name come beside it.
func (u Unsent) Rescue(to *os.Root, drive string) (Rescued, error) {
	r := Rescued{Unsent: u}
	at := path.Join(drive, path.Join("/", u.Path))
	if u.Path == "" || u.Doubtful {
		at = path.Join(drive, "recovered", filepath.Base(u.File))
	}
	from, err := os.Open(u.File)
	if err != nil {
		return r, err
	}
	defer from.Close()
	if err := to.MkdirAll(path.Dir(at), 0o700); err != nil {
		return r, err
	}
	ext := path.Ext(at)
	stem := strings.TrimSuffix(at, ext)
	for i := 1; ; i++ {
		r.To = at
		if i > 1 {
			r.To = fmt.Sprintf("%s (%d)%s", stem, i, ext)
		}
		out, err := to.OpenFile(r.To, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) && i < 10_000 {
			same, err := sameBytes(to, r.To, from)
			if err != nil {
				return r, err
			}
			if same {
				r.Had = true
				return r, nil
			}
			continue
		}
		if err != nil {
			return r, err
		}
		if _, err = from.Seek(0, io.SeekStart); err == nil {
			_, err = io.Copy(out, from)
		}
		if err == nil {
			err = out.Sync()
		}
		if err = errors.Join(err, out.Close()); err != nil {
			return r, errors.Join(err, to.Remove(r.To))
		}
		return r, to.Chtimes(r.To, time.Time{}, u.ModTime)
	}
}

// sameBytes compares a file below a root with another one.
func sameBytes(root *os.Root, name string, with *os.File) (bool, error) {
	f, err := root.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	a, err := f.Stat()
	if err != nil {
		return false, err
	}
	b, err := with.Stat()
	if err != nil || !a.Mode().IsRegular() || a.Size() != b.Size() {
		return false, err
	}
	if _, err := with.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	p, q := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(f, p)
		m, err2 := io.ReadFull(with, q)
		if n != m || string(p[:n]) != string(q[:m]) {
			return false, nil
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return err2 == err, nil
		}
		if err != nil || err2 != nil {
			return false, errors.Join(err, err2)
		}
	}
}
