package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// What lies in the folder of a mirror. All of it is reached through one os.Root, so that no name and no link can lead
// outside.
const (
	dataDir   = "data"
	permsFile = ".permissions.json"
	workDir   = ".duskfs"          // what is no business of who reads the folder
	partDir   = workDir + "/parts" // files that are not whole yet, or on their way
	trashDir  = workDir + "/trash" // by the time of the run, then as they were in data
)

// folder is the plain folder that a mirror keeps.
type folder struct {
	root *os.Root
	host string
	now  func() time.Time
	bin  string // folder in the trash for this run; "" removes for good

	mu    sync.Mutex
	solid map[string]bool // folders that were found to be folders in this run
}

// openFolder opens the folder, making it if needed.
func openFolder(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range []struct {
		name string
		mode fs.FileMode
	}{{dataDir, 0o755}, {workDir, 0o700}, {partDir, 0o700}} {
		if err := root.Mkdir(d.name, d.mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, errors.Join(err, root.Close())
		}
		if st, err := root.Lstat(d.name); err != nil || !st.IsDir() {
			return nil, errors.Join(fmt.Errorf("%s must be a folder, and no link to one", path.Join(dir, d.name)), err, root.Close())
		}
	}
	return root, nil
}

func inData(p string) string { return dataDir + "/" + p }

// look says what lies at a path of data, without following links. ok is false if nothing does.
func (f *folder) look(p string) (st fs.FileInfo, ok bool, err error) {
	if f.root == nil {
		return nil, false, nil
	}
	st, err = f.root.Lstat(inData(p))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, false, nil
	}
	return st, err == nil, err
}

// statOf is what tells a file from a changed one.
func statOf(st fs.FileInfo) stat {
	s := stat{Size: st.Size(), Mtime: st.ModTime().UnixNano()}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		s.Inode = sys.Ino
	}
	return s
}

// ground makes the folders above a path, and sets aside what is in their way. saved has the paths of what was.
func (f *folder) ground(p string) (saved []saving, err error) {
	dir := path.Dir(p)
	if dir == "." {
		return nil, nil
	}
	return f.makeDir(dir)
}

// saving is something that was in the way, and where it is now.
type saving struct{ path, saved string }

// makeDir makes a folder in data and those above it.
func (f *folder) makeDir(dir string) (saved []saving, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.solid[dir] {
		return nil, nil
	}
	at := ""
	for part := range strings.SplitSeq(dir, "/") {
		at = join(at, part)
		if f.solid[at] {
			continue
		}
		st, ok, err := f.look(at)
		if err != nil {
			return saved, err
		}
		if ok && !st.IsDir() {
			to, err := f.aside(at)
			if err != nil {
				return saved, err
			}
			saved, ok = append(saved, saving{at, to}), false
		}
		if !ok {
			if err := f.root.Mkdir(inData(at), 0o755); err != nil {
				return saved, err
			}
		}
		if len(f.solid) >= spotsKept || f.solid == nil {
			f.solid = map[string]bool{}
		}
		f.solid[at] = true
	}
	return saved, nil
}

// aside renames something that is not ours to a name beside it, and returns its path.
func (f *folder) aside(p string) (string, error) {
	dir, base := path.Split(p)
	for n := 1; n < 1000; n++ {
		to := dir + name.Conflict(base, f.host, f.now(), n)
		if _, ok, err := f.look(to); err != nil || ok {
			if err != nil {
				return "", err
			}
			continue
		}
		return to, f.root.Rename(inData(p), inData(to))
	}
	return "", fmt.Errorf("there is no free name beside %s", p)
}

// discard takes a file away: into the trash, or for good.
func (f *folder) discard(p string) error {
	if f.bin == "" {
		return f.root.Remove(inData(p))
	}
	to := trashDir + "/" + f.bin + "/" + p
	if err := f.root.MkdirAll(path.Dir(to), 0o700); err != nil {
		return err
	}
	for n := 1; ; n++ { // an earlier item may have had the place in this very run
		at := to
		if n > 1 {
			at = fmt.Sprintf("%s (%d)", to, n)
		}
		if _, err := f.root.Lstat(at); errors.Is(err, fs.ErrNotExist) {
			return f.root.Rename(inData(p), at)
		} else if err != nil {
			return err
		}
	}
}

// sweep removes folders that have become empty, from one upwards.
func (f *folder) sweep(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ; dir != "." && dir != "/" && dir != ""; dir = path.Dir(dir) {
		if st, ok, err := f.look(dir); err != nil || ok && !st.IsDir() {
			return // a link, for one, is not ours
		} else if ok && f.root.Remove(inData(dir)) != nil {
			return
		}
		delete(f.solid, dir)
	}
}

// part is the file that holds the bytes of a version while it is not at its place.
func part(id graph.ItemID, v version) string {
	what := string(v.Hash)
	if what == "" {
		what = v.CTag + " " + v.ETag
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", id, what, v.Size))
	return partDir + "/" + hex.EncodeToString(sum[:16])
}

// hashOf reads a file to its end.
func (f *folder) hashOf(p string) (graph.Hash, error) {
	file, err := f.root.Open(p)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := graph.NewQuickXor()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return graph.HashOf(h), nil
}

// sameBytes compares two files.
func (f *folder) sameBytes(a, b string) (bool, error) {
	x, err := f.root.Open(a)
	if err != nil {
		return false, err
	}
	defer x.Close()
	y, err := f.root.Open(b)
	if err != nil {
		return false, err
	}
	defer y.Close()
	return graph.EqualBytes(x, y)
}

// write replaces a file of the folder, whole or not at all, and makes it survive a power cut.
func (f *folder) write(p string, fill func(io.Writer) error) error {
	return writeFile(f.root, p, workDir+"/"+path.Base(p)+".new", func(tmp string) error { return f.root.Rename(tmp, p) }, fill)
}

// writeFile writes a file under a temporary name and then has it put to its place.
func writeFile(root *os.Root, p, tmp string, put func(tmp string) error, fill func(io.Writer) error) error {
	out, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	err = fill(out)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = put(tmp)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(root.Remove(tmp)))
	}
	return syncDir(root, path.Dir(p))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// binKept and partsKept are how long what is in the trash, and what was begun and not gone on with, is kept.
const (
	binKept   = 30 * 24 * time.Hour
	partsKept = 7 * 24 * time.Hour
)

// tidy empties what has been in the trash for long, and removes what lies unfinished: all of it, or what is old.
func (f *folder) tidy(all bool) error {
	bins, err := fs.ReadDir(f.root.FS(), trashDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, b := range bins {
		at, err := time.ParseInLocation(stampLayout, b.Name(), time.Local)
		if err == nil && f.now().Sub(at) > binKept {
			errs = append(errs, f.root.RemoveAll(trashDir+"/"+b.Name()))
		}
	}
	parts, err := fs.ReadDir(f.root.FS(), partDir)
	for _, p := range parts {
		if st, serr := p.Info(); serr == nil && (all || f.now().Sub(changedAt(st)) > partsKept) {
			errs = append(errs, f.root.Remove(partDir+"/"+p.Name()))
		}
	}
	return errors.Join(append(errs, err)...)
}
