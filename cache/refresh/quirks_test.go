package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// TestADriveIsFollowedUnderEachQuirkOfTheFeed lets a colleague do as people do while the feed is odd in one of the ways of
// the catalogue. In the end everything here is as it is there, and nothing waits.
func TestADriveIsFollowedUnderEachQuirkOfTheFeed(t *testing.T) {
	for _, c := range []struct {
		quirk    graphtest.Quirk
		personal bool
		compare  bool // a deletion may be lost, so everything is compared before looking
	}{
		{graphtest.Quirk{Name: "Q1", Chance: 0.2}, false, false},
		{graphtest.Quirk{Name: "Q9"}, false, true},
		{graphtest.Quirk{Name: "Q10"}, false, false},
		{graphtest.Quirk{Name: "Q11"}, false, false},
		{graphtest.Quirk{Name: "Q12"}, false, false},
		{graphtest.Quirk{Name: "Q13"}, false, false},
		{graphtest.Quirk{Name: "Q16"}, true, false},
		{graphtest.Quirk{Name: "Q25"}, false, false},
		{graphtest.Quirk{Name: "Q28", Chance: 0.1}, false, false},
	} {
		t.Run(c.quirk.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				liveUnder(t, graphtest.Options{Personal: c.personal, FeedPage: 7}, c.compare, c.quirk)
			})
		})
	}
}

// A feed that lags tells late, and nothing but that (Q8).
func TestALaggingFeedTellsEverythingInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, graphtest.Options{})
		if err := f.s.Switch(graphtest.Quirk{Name: "Q8", For: graphtest.Duration(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := f.far.Put("/d/f", []byte(time.Now().String())); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			f.refresh(true)
		}
	})
}
