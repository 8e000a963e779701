package cache

import "fmt"

// Policy says what becomes of a file whose bytes were changed on both sides.
type Policy uint8

const (
	// KeepBoth: theirs has the name, ours is a conflict copy beside it.
	KeepBoth Policy = iota
	// Mine: ours replaces theirs, which stays among the versions of the file.
	Mine
	// Theirs: theirs has the name, ours goes to the local trash.
	Theirs
)

// ParsePolicy reads "keep-both", "mine" or "theirs".
func ParsePolicy(s string) (Policy, error) {
	for p := KeepBoth; p <= Theirs; p++ {
		if s == p.String() {
			return p, nil
		}
	}
	return KeepBoth, fmt.Errorf("want keep-both, mine or theirs, not %q", s)
}

// String returns the word that ParsePolicy reads.
func (p Policy) String() string { return [...]string{"keep-both", "mine", "theirs"}[min(p, Theirs)] }
