package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// Create makes an empty body of local work, unsealed, at sequence seq. One that exists is an error
// (fs.ErrExist).
func (s *Store) Create(ino, seq uint64, t Tag) (*File, error) {
	turn := s.turn(ino)
	turn.Lock()
	defer turn.Unlock()
	if b, err := s.use(ino); err != nil {
		return nil, err
	} else if b != nil {
		return nil, errors.Join(fmt.Errorf("body %d: %w", ino, fs.ErrExist), s.unuse(b))
	}
	path := s.path(ino)
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("body %d: %w", ino, fs.ErrExist)
	}
	if err := s.space.take(1); err != nil {
		return nil, err
	}
	b := newBody(s, ino, nil)
	b.local, b.tag, b.opened = true, t, seq
	if err := b.write(false); err != nil {
		return nil, err
	}
	data, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, noSpace(err)
	}
	b.data = data
	s.enter(b)
	return newFile(b), nil
}

// Version opens the body for a remote version, making one without bytes if there is none. A clean
// body of another version is dropped first; Files that are open on it go on with the old bytes. If
// the body is local work, ErrLocal. mtime is the time of the node, which the body has when it turns
// into local work.
//
// A clean body that is not what its sidecar recorded is moved aside and started anew.
func (s *Store) Version(ino uint64, v graph.Version, mtime time.Time) (*File, error) {
	if v.Size < 0 {
		return nil, &graph.Error{Op: "open", Kind: graph.Failed, Message: "the service tells a negative size"}
	}
	turn := s.turn(ino)
	turn.Lock()
	defer turn.Unlock()
	b, err := s.use(ino)
	if err != nil {
		return nil, err
	}
	if b != nil {
		fits, err := b.retarget(v, mtime)
		if fits {
			return newFile(b), nil
		}
		if err == nil {
			err = s.unlink(b)
		}
		if err = errors.Join(err, s.unuse(b)); err != nil {
			return nil, err
		}
	}
	b, err = s.load(ino)
	if errors.Is(err, fs.ErrNotExist) {
		return s.start(ino, v, mtime)
	}
	if err != nil {
		return nil, err
	}
	if b.local {
		return nil, errors.Join(ErrLocal, b.data.Close())
	}
	if !b.is(v) {
		err := errors.Join(b.data.Close(), removeFiles(b.path))
		if err != nil {
			return nil, err
		}
		return s.start(ino, v, mtime)
	}
	b.behind = b.version != v
	b.version, b.mtime = v, mtime
	s.enter(b)
	return newFile(b), nil
}

// start makes the body of a remote version without bytes.
func (s *Store) start(ino uint64, v graph.Version, mtime time.Time) (*File, error) {
	b := newBody(s, ino, nil)
	b.sealed, b.version, b.mtime = true, v, mtime
	// Not complete yet, and never of size 0 while the sidecar is written: it claims nothing.
	c := sidecar{Ino: ino, Version: (*version)(&v)}
	if err := c.write(b.path, false); err != nil {
		return nil, err
	}
	data, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, noSpace(err)
	}
	if err := data.Truncate(v.Size); err != nil {
		return nil, errors.Join(noSpace(err), data.Close(), removeFiles(b.path))
	}
	b.data = data
	b.size.Store(v.Size)
	s.enter(b)
	return newFile(b), nil
}

// Local opens a body of local work. fs.ErrNotExist if there is no body or it is clean.
func (s *Store) Local(ino uint64) (*File, error) {
	turn := s.turn(ino)
	turn.Lock()
	defer turn.Unlock()
	none := fmt.Errorf("local work %d: %w", ino, fs.ErrNotExist)
	b, err := s.use(ino)
	if err != nil {
		return nil, err
	}
	if b != nil {
		b.mu.RLock()
		local := b.local
		b.mu.RUnlock()
		if !local {
			return nil, errors.Join(none, s.unuse(b))
		}
		return newFile(b), nil
	}
	b, err = s.load(ino)
	if err != nil {
		return nil, err
	}
	if !b.local {
		return nil, errors.Join(none, b.data.Close())
	}
	s.enter(b)
	return newFile(b), nil
}

// is reports whether the body's bytes are those that v names.
func (b *body) is(v graph.Version) bool { return b.version.Same(v) && b.version.Size == v.Size }

// retarget makes an open body serve v if that names the bytes that it has. ErrLocal if it is local
// work.
func (b *body) retarget(v graph.Version, mtime time.Time) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.local {
		return false, ErrLocal
	}
	if !b.is(v) {
		return false, nil
	}
	b.behind = b.behind || b.version != v
	b.version, b.mtime = v, mtime
	return true, nil
}

// unlink takes the names of a clean body away, for another version to have them.
func (s *Store) unlink(b *body) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.local {
		return ErrLocal
	}
	err := s.drop(b)
	b.replaced = err == nil
	return err
}

// load reads what is on the disk for an ino: fs.ErrNotExist if that is nothing, or nothing that can
// be believed. The caller has the turn.
func (s *Store) load(ino uint64) (*body, error) {
	path := s.path(ino)
	c, err := readSidecar(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, s.aside(ino, "there is no sidecar")
	case err != nil:
		return nil, s.aside(ino, err.Error())
	}
	data, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	st, err := data.Stat()
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	b := newBody(s, ino, data)
	b.size.Store(st.Size())
	if c.Local {
		b.local, b.opened = true, c.Seq
		if c.Tag != nil {
			b.tag = *c.Tag
		}
		return b, nil
	}
	b.sealed, b.version, b.have = true, c.version(), c.ranges()
	good := st.Size() == b.version.Size
	if touched := !c.untouched(st); good && len(b.have) > 0 && (touched || !s.believes(c.Boot)) {
		if good, err = b.compare(touched); err != nil {
			return nil, errors.Join(err, data.Close())
		}
	}
	if !good {
		if err := data.Close(); err != nil {
			return nil, err
		}
		return nil, s.aside(ino, "the bytes are not those that were recorded")
	}
	return b, nil
}

// aside moves what is on the disk for an ino out of the way, never to be served and never dropped.
// It returns fs.ErrNotExist, saying why.
func (s *Store) aside(ino uint64, why string) error {
	path := s.path(ino)
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() == 0 {
		if err := removeFiles(path); err != nil {
			return err
		}
		return fmt.Errorf("body %d: %s: %w", ino, why, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, recoveredDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return noSpace(err)
	}
	to := filepath.Join(dir, fmt.Sprintf("%d-%d", ino, time.Now().UnixNano()))
	if err := os.Rename(path, to); err != nil {
		return noSpace(err)
	}
	if err := os.Rename(path+sidecarSuffix, to+sidecarSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return noSpace(err)
	}
	return fmt.Errorf("body %d: %s; kept as %s: %w", ino, why, to, fs.ErrNotExist)
}

// removeFiles drops data and sidecar, in this order: data without a sidecar would be kept aside.
func removeFiles(path string) error {
	for _, p := range []string{path, path + sidecarSuffix} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
