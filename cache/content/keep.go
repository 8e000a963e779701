package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// Info describes a body.
type Info struct {
	Ino      uint64
	Local    bool
	Complete bool
	Size     int64
	ModTime  time.Time // of the data
	Hydrated int64     // bytes that are here
	Version  graph.Version
	Tag      Tag
	File     string // where the data is
	// Damaged: the sidecar cannot be read, and nothing but ino, size and time is known.
	Damaged bool
}

// Info describes a body without opening it. fs.ErrNotExist if there is none.
func (s *Store) Info(ino uint64) (Info, error) {
	turn := s.turn(ino)
	turn.Lock()
	defer turn.Unlock()
	b, err := s.use(ino)
	if err != nil {
		return Info{}, err
	}
	if b != nil {
		b.mu.RLock()
		info := b.info()
		b.mu.RUnlock()
		return info, s.unuse(b)
	}
	path := s.path(ino)
	c, err := readSidecar(path)
	if err != nil {
		return Info{}, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return Info{}, err
	}
	return c.info(path, st), nil
}

// told is what the sidecar of the data at path tells of it, damaged if that cannot be read. It is for those who cannot ask
// anybody else; the ino is the one that the name of the file tells.
func told(ino uint64, path string, st fs.FileInfo) Info {
	c, err := readSidecar(path)
	if err != nil {
		return Info{Ino: ino, Size: st.Size(), ModTime: st.ModTime(), File: path, Damaged: true}
	}
	c.Ino = ino
	return c.info(path, st)
}

func (b *body) info() Info {
	i := Info{
		Ino: b.ino, Local: b.local, Complete: b.complete(), Size: b.size.Load(), ModTime: b.dataTime(),
		Hydrated: b.have.total(), Version: b.version, Tag: b.tag, File: b.path,
	}
	if b.local {
		i.Hydrated, i.Version = i.Size, graph.Version{}
	}
	return i
}

func (c sidecar) info(path string, st fs.FileInfo) Info {
	i := Info{Ino: c.Ino, Local: c.Local, Size: st.Size(), ModTime: st.ModTime(), Version: c.version(), File: path}
	if c.Local {
		i.Complete, i.Hydrated = true, i.Size
		if c.Tag != nil {
			i.Tag = *c.Tag
		}
		return i
	}
	have := c.ranges()
	i.Hydrated, i.Complete = have.total(), have.covers(span{0, i.Version.Size})
	return i
}

// Remove drops a body, whatever it is. Open files go on. No error if there is none.
func (s *Store) Remove(ino uint64) error {
	turn := s.turn(ino)
	turn.Lock()
	defer turn.Unlock()
	b, err := s.use(ino)
	if err != nil {
		return err
	}
	if b == nil {
		return removeFiles(s.path(ino))
	}
	b.mu.Lock()
	err = s.drop(b)
	b.mu.Unlock()
	return errors.Join(err, s.unuse(b))
}

// Evict drops a clean body that nobody has open; others are left alone. It returns the bytes freed.
func (s *Store) Evict(ino uint64) (int64, error) {
	turn := s.turn(ino)
	turn.Lock()
	defer turn.Unlock()
	b, err := s.use(ino)
	if err != nil {
		return 0, err
	}
	if b != nil {
		n, err := s.evictUsed(b)
		return n, errors.Join(err, s.unuse(b))
	}
	path := s.path(ino)
	c, err := readSidecar(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil || c.Local {
		return 0, err
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, removeFiles(path)
	}
	if err != nil {
		return 0, err
	}
	return blocksOf(st) * 512, removeFiles(path)
}

// evictUsed drops a clean body that at most a fetch is using.
func (s *Store) evictUsed(b *body) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.local || b.files > 0 || b.snaps > 0 {
		return 0, nil
	}
	st, err := b.data.Stat()
	if err != nil {
		return 0, err
	}
	if err := s.drop(b); err != nil {
		return 0, err
	}
	return blocksOf(st) * 512, nil
}

// drop takes the names of a body away. The caller has its ino's turn and its mu alone.
func (s *Store) drop(b *body) error {
	if err := removeFiles(b.path); err != nil {
		return err
	}
	b.gone = true
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bodies, b.ino)
	return nil
}

// Locals yields the bodies of local work, and those that may be since their sidecar is damaged, for
// recovery, in no order.
func (s *Store) Locals(ctx context.Context, fn func(Info) error) error {
	return s.withSidecars(ctx, func(ino uint64, path string) error {
		c, err := readSidecar(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !c.Local {
			return nil
		}
		st, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if i := told(ino, path, st); i.Local || i.Damaged {
			return fn(i)
		}
		return nil
	})
}

// Aside moves a body whose sidecar is damaged out of the way, to where Recovered finds it.
func (s *Store) Aside(ino uint64) error {
	turn := s.turn(ino)
	turn.Lock()
	defer turn.Unlock()
	if _, err := readSidecar(s.path(ino)); err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := s.aside(ino, "its sidecar is damaged"); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Used returns the bytes that the bodies take on disk.
func (s *Store) Used() (int64, error) {
	used := int64(0)
	err := s.each(context.Background(), func(_ string, d fs.DirEntry) error {
		st, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		used += blocksOf(st) * 512
		return nil
	})
	return used, err
}

// withSidecars calls fn with every body that has a sidecar, by where its data is, or was.
func (s *Store) withSidecars(ctx context.Context, fn func(ino uint64, path string) error) error {
	return s.each(ctx, func(path string, _ fs.DirEntry) error {
		path, is := strings.CutSuffix(path, sidecarSuffix)
		ino, err := strconv.ParseUint(filepath.Base(path), 10, 64)
		if !is || err != nil {
			return nil
		}
		return fn(ino, path)
	})
}

// each calls fn with every file of the store but what was moved aside. Files may vanish meanwhile.
func (s *Store) each(ctx context.Context, fn func(path string, d fs.DirEntry) error) error {
	folders, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if !folder.IsDir() || folder.Name() == recoveredDir {
			continue
		}
		dir := filepath.Join(s.dir, folder.Name())
		files, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("folder of bodies: %w", err)
		}
		for _, d := range files {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(filepath.Join(dir, d.Name()), d); err != nil {
				return err
			}
		}
	}
	return nil
}
