package plan

import (
	"slices"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// Summary is a plan for people and for JSON: its steps in order, and what they cost.
type Summary struct {
	Requests int   `json:"requests"` // about; lost answers and refusals take more
	Units    int   `json:"units"`    // resource units that the service counts for them
	Bytes    int64 `json:"bytes"`
	// Time is about how long it takes, by Estimate.
	Time    time.Duration `json:"time_ns"`
	Steps   []Summand     `json:"steps"`
	Guarded int           `json:"guarded"` // items whose deletion waits to be confirmed
	Emptied int           `json:"emptied"` // files that became empty, which waits to be confirmed
	Kept    int           `json:"kept"`    // deletions that are never sent
	Waiting int           `json:"waiting"`
	Over    int           `json:"over"` // steps that a limit leaves for the next flush; they are not in Steps
}

// Summand is one step of a Summary.
type Summand struct {
	Op    Op     `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	Items int    `json:"items,omitempty"` // that a Delete takes with it, itself included
}

// Summary sums the plan up.
func (p Plan) Summary() Summary { return p.Within(0) }

// Within sums up what a flush does of the plan that begins no upload once those before have so many bytes; 0 is no limit.
func (p Plan) Within(bytes int64) Summary {
	s := Summary{
		Guarded: count(p.Guarded), Emptied: len(p.Emptied), Kept: count(p.Kept), Waiting: p.Waiting, Steps: []Summand{},
	}
	left := make([]bool, len(p.Steps))
	for i, x := range p.Steps {
		left[i] = bytes > 0 && x.Size > 0 && s.Bytes >= bytes || slices.ContainsFunc(x.After, func(j int) bool { return left[j] })
		if left[i] {
			s.Over++
		} else {
			s.Add(x)
		}
	}
	return s
}

// Add adds a step at the end.
func (s *Summary) Add(x Step) {
	requests, units := x.cost()
	s.Requests += requests
	s.Units += units
	s.Bytes += x.Size
	sum := Summand{Op: x.Op, Path: x.Path, From: x.From, Bytes: x.Size}
	if x.Op == Delete {
		sum.Items = 1 + len(x.Known)
	}
	s.Steps = append(s.Steps, sum)
}

// count counts the items that steps delete.
func count(steps []Step) int {
	n := 0
	for _, s := range steps {
		n += 1 + len(s.Known)
	}
	return n
}

// fragment is about how many bytes go up in one request.
const fragment = 10 << 20

// cost returns about how many requests a step takes, and how many resource units: 1 for reading an
// item, 2 for listing or changing (graph-facts §9). Fragments of an upload cost none, as they go to
// the storage behind the service.
func (s Step) cost() (requests, units int) {
	switch {
	case s.Op == Delete && s.Dir:
		folders := 1
		for _, v := range s.Known {
			if v == (graph.Version{}) {
				folders++
			}
		}
		return 1 + folders, 2 + 2*folders // each folder is listed once more
	case s.Op != Create && s.Op != Replace:
		return 1, 2
	case s.Size == 0:
		requests, units = 2, 4 // the bytes, then the time
	default:
		requests, units = 1+int((s.Size+fragment-1)/fragment), 2
	}
	if s.Op == Replace { // looked at right before its last bytes
		requests, units = requests+1, units+1
	}
	return requests, units
}

// Estimate returns about how long requests and bytes take: each request a round trip, some at once, and
// the bytes at a rate in bytes a second (0: unknown, then requests alone count).
func (s Summary) Estimate(trip time.Duration, parallel int, rate int64) time.Duration {
	d := trip * time.Duration(s.Requests) / time.Duration(max(parallel, 1))
	if rate > 0 {
		d += time.Duration(float64(s.Bytes) / float64(rate) * float64(time.Second))
	}
	return d.Round(time.Second)
}
