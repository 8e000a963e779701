package schedule_test

import (
	"fmt"
	"testing"

	"github.com/duskfs/duskfs/flush/schedule"
)

func TestMomentsAreTheTimesOfARule(t *testing.T) {
	for text, want := range map[string]string{
		"18:00":                      "[{18 0 []}]",
		"12:30, 7:05":                "[{12 30 []} {7 5 []}]",
		"mon-wed 18:00, sat 9:00":    "[{18 0 [Monday Tuesday Wednesday]} {9 0 [Saturday]}]",
		"sat,sun 10:00, daily 23:59": "[{10 0 [Saturday Sunday]} {23 59 []}]",
		"never":                      "[]",
	} {
		r, err := schedule.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(r.Moments()); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
