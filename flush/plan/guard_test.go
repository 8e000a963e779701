package plan_test

import (
	"testing"

	"github.com/duskfs/duskfs/flush/plan"
)

func TestGuardHolds(t *testing.T) {
	for _, c := range []struct {
		name             string
		guard            plan.Guard
		deletions, known int
		want             bool
	}{
		{"nothing is deleted", plan.Guard{}, 0, 0, false},
		{"a hundred of very many", plan.Guard{}, 100, 1 << 20, false},
		{"more than a hundred of very many", plan.Guard{}, 101, 1 << 20, true},
		{"all of a few", plan.Guard{}, 19, 19, false},
		{"all of twenty", plan.Guard{}, 20, 20, true},
		{"a tenth", plan.Guard{}, 20, 200, false},
		{"a little more than a tenth", plan.Guard{}, 20, 199, true},
		{"nobody knows of how many", plan.Guard{}, 100, -1, false},
		{"more than a hundred, nobody knows of how many", plan.Guard{}, 101, -1, true},
		{"any number passes", plan.Guard{Max: -1}, 1 << 20, 1 << 20, false},
		{"limits of one's own", plan.Guard{Max: 5, Min: 2, Percent: 50}, 3, 5, true},
		{"within limits of one's own", plan.Guard{Max: 5, Min: 2, Percent: 50}, 2, 4, false},
	} {
		if got := c.guard.Holds(c.deletions, c.known); got != c.want {
			t.Errorf("%s: %d of %d: %v", c.name, c.deletions, c.known, got)
		}
	}
}
