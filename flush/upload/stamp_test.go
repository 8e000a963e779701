package upload

import (
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
)

func TestWhatAStampTells(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	was := cache.Stamp{Size: 5, Mtime: now.Add(-time.Hour), Ctime: now.Add(-time.Hour), Inode: 7}
	for _, c := range []struct {
		what string
		now  cache.Stamp
		at   time.Time // when the first was taken
		same bool
	}{
		{"nothing", was, now, true},
		{"another size", cache.Stamp{Size: 6, Mtime: was.Mtime, Ctime: was.Ctime, Inode: 7}, now, false},
		{"another time", cache.Stamp{Size: 5, Mtime: now, Ctime: was.Ctime, Inode: 7}, now, false},
		{"the time was put back", cache.Stamp{Size: 5, Mtime: was.Mtime, Ctime: now, Inode: 7}, now, false},
		{"another file in its place", cache.Stamp{Size: 5, Mtime: was.Mtime, Ctime: was.Ctime, Inode: 8}, now, false},
		{"taken a second after a change, when the clock may not have ticked", was, was.Ctime.Add(time.Second), false},
		{"taken some seconds after a change", was, was.Ctime.Add(3 * time.Second), true},
		{"a change in the future", was, was.Ctime.Add(-time.Minute), false},
	} {
		if got := sameStamp(trusted(was, c.at), c.now); got != c.same {
			t.Errorf("%s: same %v", c.what, got)
		}
	}
}
