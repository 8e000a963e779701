package cli

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
)

// count gives a number with its noun: "1 change", "3 changes".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// size gives bytes for people: "4.2 MB".
func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// ago gives a moment as people speak of it.
func ago(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return humanize.Time(*t)
}

// are is the verb of a number of things.
func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
