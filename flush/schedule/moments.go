package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Moment is a time of day of a [Rule], for programs that start others at such times.
type Moment struct {
	Hour, Minute int
	Days         []time.Weekday // empty: every day
}

// Moments returns the times of day of the rule in the order in which they were written.
func (r Rule) Moments() []Moment {
	var list []Moment
	for _, tick := range r.ticks {
		var m Moment
		var days string
		if _, err := fmt.Sscanf(tick, "%d %d * * %s", &m.Minute, &m.Hour, &days); err != nil {
			continue // Parse makes no other ticks
		}
		for _, d := range strings.Split(days, ",") {
			if n, err := strconv.Atoi(d); err == nil {
				m.Days = append(m.Days, time.Weekday(n))
			}
		}
		list = append(list, m)
	}
	return list
}
