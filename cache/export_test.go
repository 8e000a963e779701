package cache

import (
	"math"
	"os"
	"path/filepath"
)

// LookNow has the next reader look at the files of the rows.
func (s *Store) LookNow() { s.guard.looked.Store(math.MinInt64 / 2) }

// Upkeep does what is done when nothing goes on.
func (s *Store) Upkeep() {
	s.upkeep.run()
	s.upkeep.run()
}

// LeaveClean records a good end of the store in dir, as its rows are now.
func LeaveClean(dir string) error {
	prints, err := fingerprint(filepath.Join(dir, rowsDir))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, cleanFile), prints, 0o600)
}
