package content

import (
	"fmt"
	"io"

	"github.com/duskfs/duskfs/graph"
)

// What a sidecar claims survives the process that wrote it, but a power cut may leave a file of the
// right size and time whose bytes never reached the disk. So a claim that was not synced names the
// boot of the machine in which it was made and counts in that boot alone. In another one a whole
// body is compared with its hash the first time that it is opened, and other claims are forgotten.

// unknownBoot stands where the machine does not tell boots apart.
const unknownBoot = "unknown"

// Boot names this boot of the machine, empty where the machine does not tell boots apart.
func Boot() string {
	if id := bootID(); id != unknownBoot {
		return id
	}
	return ""
}

// believes reports whether the bytes behind a claim made in a boot are surely on the disk.
func (s *Store) believes(boot string) bool {
	return boot == "" || boot == s.boot && boot != unknownBoot
}

// compare makes sure of a clean body whose claims are not believed: touched says that it was changed
// behind our back. It returns false if the bytes are, or then may be, wrong. Of a body that is not
// whole it forgets the claims: a kill leaves bytes that are newer than them.
func (b *body) compare(touched bool) (bool, error) {
	b.behind = true
	if whole := b.complete(); !whole || b.version.Hash == "" {
		b.have = nil
		return !(whole && touched), nil
	}
	sum := graph.NewQuickXor()
	if _, err := io.Copy(sum, io.NewSectionReader(b.data, 0, b.size.Load())); err != nil {
		return false, fmt.Errorf("compare body %d: %w", b.ino, err)
	}
	return graph.HashOf(sum) == b.version.Hash, nil
}
