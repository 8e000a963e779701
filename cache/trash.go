package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Dir is the folder that the store was opened in: the state of an account.
func (s *Store) Dir() string { return s.dir }

// trashDir, inside the folder of the store, takes bytes that were given up.
const trashDir = "trash"

// Trash copies the local work of a file into the local trash and returns where it is: under the time,
// by its path. The body is sealed at the node's sequence, so that whoever gives it up next finds the node
// changed if somebody has written meanwhile. It fails with fs.ErrNotExist if the node has no local work.
func (s *Store) Trash(n Node) (string, error) {
	path, err := s.Tree().Path(n.Ino)
	if err != nil {
		return "", err
	}
	f, err := s.content.Local(uint64(n.Ino))
	if err != nil {
		return "", err
	}
	snap, err := f.Seal(uint64(n.Seq))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	defer snap.Release()
	entry := fmt.Sprintf("%s-%d", s.now().UTC().Format(trashTime), n.Ino)
	to := filepath.Join(s.dir, trashDir, entry, filepath.FromSlash(strings.TrimPrefix(path, "/")))
	for i := 2; ; i++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil || i > 1000 {
			return "", fmt.Errorf("put %s into the trash: %w", path, errors.Join(err, fs.ErrExist))
		}
		to = filepath.Join(s.dir, trashDir, fmt.Sprintf("%s-%d", entry, i), filepath.FromSlash(strings.TrimPrefix(path, "/")))
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", err
	}
	if err := snap.Clone(to); err != nil {
		return "", fmt.Errorf("put %s into the trash: %w", path, err)
	}
	return to, syncFile(to, s.dir, snap.ModTime())
}

// syncFile dates a file and makes it survive a power cut, with the folders that it is in up to top.
func syncFile(path, top string, mtime time.Time) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = errors.Join(os.Chtimes(path, time.Time{}, mtime), f.Sync(), f.Close())
	for at := filepath.Dir(path); err == nil; at = filepath.Dir(at) {
		err = syncFolder(at)
		if at == top || at == filepath.Dir(at) {
			break
		}
	}
	return err
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// trashTime begins the name of every entry of the trash.
const trashTime = "20060102T150405"

// Trashed is a file in a local trash.
type Trashed struct {
	File string    // absolute path of the bytes
	Path string    // where they were, from the root of their drive
	At   time.Time // when they were put there
	Size int64     // in bytes
}

// TrashIn lists the local trash of the store in a folder, newest first, whether that is open or not. What it
// cannot read it leaves out, and the error says so.
func TrashIn(dir string) ([]Trashed, error) {
	top := filepath.Join(dir, trashDir)
	entries, err := os.ReadDir(top)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Trashed
	var errs []error
	for _, e := range slices.Backward(entries) { // named by their time
		at, ok := trashedAt(e.Name())
		if !ok {
			continue
		}
		in := filepath.Join(top, e.Name())
		errs = append(errs, filepath.WalkDir(in, func(file string, f fs.DirEntry, err error) error {
			if err != nil || f.IsDir() {
				return err
			}
			info, err := f.Info()
			if err != nil {
				return err
			}
			list = append(list, Trashed{File: file, Path: filepath.ToSlash(strings.TrimPrefix(file, in)), At: at, Size: info.Size()})
			return nil
		}))
	}
	return list, errors.Join(errs...)
}

// trashedAt reads when an entry of the trash was made off its name.
func trashedAt(entry string) (time.Time, bool) {
	stamp, _, ok := strings.Cut(entry, "-")
	at, err := time.Parse(trashTime, stamp)
	return at, ok && err == nil
}

// EmptyTrash removes what was put into the local trash before a time.
func (s *Store) EmptyTrash(before time.Time) error {
	dir := filepath.Join(s.dir, trashDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if at, ok := trashedAt(e.Name()); ok && at.Before(before) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
