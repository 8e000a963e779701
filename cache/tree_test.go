package cache_test

import (
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
)

func TestCreateLookupListRemove(t *testing.T) {
	s := cachetest.Open(t, cache.Options{})
	d := cachetest.AddDrive(t, s, "d1")
	tr := s.Tree()
	if _, err := tr.Lookup(d.Root, "x"); err != cache.ErrUnlisted {
		t.Fatalf("lookup in an unlisted folder: %v", err)
	}
}
