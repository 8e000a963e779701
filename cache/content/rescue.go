package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/duskfs/duskfs/graph"
)

// Retag renews what the sidecar of local work says of whose it is. A body that is not there, or is
// clean, is left alone.
func (s *Store) Retag(ino uint64, t Tag) error {
	turn := s.turn(ino)
	turn.Lock()
	defer turn.Unlock()
	b, err := s.use(ino)
	if err != nil {
		return err
	}
	if b != nil {
		return errors.Join(b.retag(t), s.unuse(b))
	}
	path := s.path(ino)
	c, err := readSidecar(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!c.Local || c.Tag != nil && *c.Tag == t) {
		return nil
	}
	if err != nil {
		return err
	}
	c.Tag = &t
	return c.write(path, false)
}

func (b *body) retag(t Tag) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.local || b.tag == t {
		return nil
	}
	b.tag = t
	return b.write(false)
}

// Recovered lists what was moved aside since it could be neither believed nor dropped. Of what has no
// sidecar that can be read nothing but the file is known (Damaged).
func (s *Store) Recovered() ([]Info, error) {
	dir := filepath.Join(s.dir, recoveredDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Info
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), sidecarSuffix) || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		st, err := e.Info()
		if err != nil {
			return nil, err
		}
		number, _, _ := strings.Cut(e.Name(), "-")
		ino, _ := strconv.ParseUint(number, 10, 64) // 0 tells nothing, as much as was known
		list = append(list, told(ino, path, st))
	}
	return list, nil
}

// Scrubbed says what a Scrub found.
type Scrubbed struct {
	Bodies   int      // that were compared with their hash
	Bytes    int64    // of them
	Unknown  int      // clean bodies that are not here whole, or whose hash nobody knows
	Local    int      // bodies of local work, which nothing can be compared with
	Damaged  []Info   // whose bytes are not those of their version
	Unusable []string // sidecars that cannot be read
}

// Scrub reads every clean body that is here whole and compares it with its hash. One that is wrong is
// moved aside, or forgotten in its place if it is open, and fetched again by the next reader.
// progress may be nil; it is told after each body.
func (s *Store) Scrub(ctx context.Context, progress func(Scrubbed)) (Scrubbed, error) {
	var out Scrubbed
	err := s.withSidecars(ctx, func(ino uint64, path string) error {
		if err := s.scrub(ctx, ino, path, &out); err != nil {
			return err
		}
		if progress != nil {
			progress(out)
		}
		return nil
	})
	return out, err
}

func (s *Store) scrub(ctx context.Context, ino uint64, path string, out *Scrubbed) error {
	i, err := s.Info(ino)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		out.Unusable = append(out.Unusable, err.Error())
		return nil
	case i.Local:
		out.Local++
		return nil
	case !i.Complete || i.Version.Hash == "":
		out.Unknown++
		return nil
	}
	good, err := hashes(ctx, path, i.Version)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	out.Bodies++
	out.Bytes += i.Size
	if good {
		return nil
	}
	// It may have become another version, or local work, while it was read.
	turn := s.turn(ino)
	turn.Lock()
	defer turn.Unlock()
	b, err := s.use(ino)
	if err != nil {
		return err
	}
	if b != nil {
		b.mu.Lock()
		if !b.local && b.version == i.Version && !b.gone {
			b.have, b.sum, b.behind = nil, runningSum{}, true
			out.Damaged = append(out.Damaged, i)
		}
		b.mu.Unlock()
		return errors.Join(err, s.unuse(b))
	}
	c, err := readSidecar(path)
	if err != nil || c.Local || c.version() != i.Version {
		return nil
	}
	if err := s.aside(ino, "scrubbed"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out.Damaged = append(out.Damaged, i)
	return nil
}

// hashes reports whether the file at path has the bytes of v.
func hashes(ctx context.Context, path string, v graph.Version) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	sum := graph.NewQuickXor()
	n, err := io.Copy(sum, &until{ctx: ctx, r: f})
	if err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return n == v.Size && graph.HashOf(sum) == v.Hash, nil
}

// until reads until its context ends.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u *until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// DropClean removes every body of a folder that nobody uses but local work and what could be either:
// the service has the bytes of the others.
func DropClean(dir string) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	return s.withSidecars(context.Background(), func(_ uint64, path string) error {
		if c, err := readSidecar(path); err != nil || c.Local {
			return nil
		}
		return removeFiles(path)
	})
}
