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

	"github.com/duskfs/duskfs/cache/content"
)

// A store whose rows are damaged is moved aside, whole, into a folder beside them: nothing in it is
// believed, and no body of local work in it is lost. The tree is then read from the service anew.

const (
	damagedPrefix = "damaged-"
	damagedTime   = "20060102T150405"
	whyFile       = "why"
	rescuedFile   = "rescued"
)

// setAside moves the rows and the bodies out of the way. Bodies that the service has are dropped.
func (s *Store) setAside(why error) error {
	dir := filepath.Join(s.dir, damagedPrefix+s.now().Format(damagedTime))
	for i := 2; ; i++ {
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) || i > 1000 {
			return fmt.Errorf("move what is damaged aside: %w", err)
		}
		dir = filepath.Join(s.dir, fmt.Sprintf("%s%s-%d", damagedPrefix, s.now().Format(damagedTime), i))
	}
	if err := os.WriteFile(filepath.Join(dir, whyFile), []byte(why.Error()+"\n"), 0o600); err != nil {
		return fmt.Errorf("move what is damaged aside: %w", err)
	}
	// Bodies come first: rows without bodies would be believed, bodies without rows are not.
	for _, name := range []string{bodiesDir, rowsDir, headFile, cleanFile, doubtFile} {
		err := os.Rename(filepath.Join(s.dir, name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("move what is damaged aside: %w", err)
		}
	}
	if err := content.DropClean(filepath.Join(dir, bodiesDir)); err != nil {
		s.log.Warn("bodies that the service has could not be removed", "dir", dir, "err", err)
	}
	s.log.Error("the state was damaged; it is moved aside and read from the service anew, and unsent work in it is kept: `duskfs export-pending FOLDER` copies it out",
		"dir", dir, "why", why)
	return nil
}

// Damage is a state that was found damaged and moved aside.
type Damage struct {
	Dir     string
	At      time.Time
	Why     string
	Rescued bool     // its unsent work was copied out
	Unsent  []Unsent // what it holds
}

// Damages lists the states that were moved aside in the folder of a store, oldest first. It works
// whether the store is open or not.
func Damages(dir string) ([]Damage, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Damage
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), damagedPrefix)
		if !ok || !e.IsDir() {
			continue
		}
		d := Damage{Dir: filepath.Join(dir, e.Name())}
		stamp, _, _ = strings.Cut(stamp, "-")
		if d.At, err = time.Parse(damagedTime, stamp); err != nil {
			continue // none of ours
		}
		if why, err := os.ReadFile(filepath.Join(d.Dir, whyFile)); err == nil {
			d.Why = strings.TrimSpace(string(why))
		}
		_, err := os.Lstat(filepath.Join(d.Dir, rescuedFile))
		d.Rescued = err == nil
		if d.Unsent, err = unsentIn(d.Dir); err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Damage) int { return a.At.Compare(b.At) })
	return list, nil
}

// MarkRescued says that the unsent work of a damaged state was copied out: from then on nothing
// speaks of it, and RemoveRescued removes it.
func (d Damage) MarkRescued() error {
	return os.WriteFile(filepath.Join(d.Dir, rescuedFile), nil, 0o600)
}

// Remove removes a damaged state. One whose unsent work was not copied out is refused.
func (d Damage) Remove() error {
	if !d.Rescued && len(d.Unsent) > 0 {
		return fmt.Errorf("remove %s: there is unsent work in it: `duskfs export-pending FOLDER` copies it out", d.Dir)
	}
	return os.RemoveAll(d.Dir)
}
