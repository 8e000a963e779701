package plan

import (
	"container/heap"
	"slices"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// order returns the chosen ops as steps, each after all that it waits for, otherwise in the order
// of the options. It breaks circles by parking.
func (d *draft) order(chosen []bool) []Step {
	o := orderer{draft: d, left: map[int]int{}, behind: map[int][]int{}, at: map[int]int{}, parked: map[int]bool{}}
	o.ready.before = o.before
	for i, ok := range chosen {
		if ok {
			o.enter(i)
		}
	}
	for len(o.left) > 0 {
		if o.ready.Len() == 0 {
			o.park()
			continue
		}
		o.emit(heap.Pop(&o.ready).(int))
	}
	return o.steps
}

// orderer sorts ops topologically.
type orderer struct {
	*draft
	left   map[int]int   // ops not emitted, with the number of ops that each waits for
	behind map[int][]int // ops that wait for an op
	at     map[int]int   // index of the step that an op became
	parked map[int]bool  // moves that were split
	ready  queue
	steps  []Step
}

// before reports whether op i goes first of two that do not wait for each other: folders, then what
// needs no bytes, then bytes, then deletions. What is left undecided goes in the order of the changes.
func (o *orderer) before(i, j int) bool {
	a, b := o.ops[i], o.ops[j]
	if x, y := o.class(a.Op), o.class(b.Op); x != y {
		return x < y
	}
	if a.Size != b.Size {
		switch o.o.Order {
		case Large:
			return a.Size > b.Size
		case Oldest:
		default:
			return a.Size < b.Size
		}
	}
	return i < j
}

func (o *orderer) class(op Op) int {
	switch {
	case op == Mkdir:
		return 0
	case op == Delete:
		return 3
	case (op == Create || op == Replace) && o.o.Order != Oldest:
		return 2
	}
	return 1
}

func (o *orderer) enter(i int) {
	slices.Sort(o.ops[i].after)
	o.ops[i].after = slices.Compact(o.ops[i].after)
	o.left[i] = 0
	for _, dep := range o.ops[i].after {
		if _, done := o.at[dep]; !done {
			o.left[i]++
			o.behind[dep] = append(o.behind[dep], i)
		}
	}
	if o.left[i] == 0 {
		heap.Push(&o.ready, i)
	}
}

func (o *orderer) emit(i int) {
	delete(o.left, i)
	s := o.ops[i].Step
	for _, dep := range o.ops[i].after {
		s.After = append(s.After, o.at[dep])
	}
	slices.Sort(s.After)
	o.at[i] = len(o.steps)
	o.steps = append(o.steps, s)
	for _, b := range o.behind[i] {
		if o.left[b]--; o.left[b] == 0 {
			heap.Push(&o.ready, b)
		}
	}
}

// park breaks a circle of ops that wait for each other. Every circle has a move of an item in it,
// since makings wait for parents and for names, and deletions for moves alone. The item is moved
// under a temporary name to where nothing is in its way; whoever waited for it to leave goes on.
func (o *orderer) park() {
	victim := o.victim()
	if victim < 0 { // no view of a tree has such a circle; leave it unsent rather than guess
		clear(o.left)
		return
	}
	n := o.v.Nodes[o.ops[victim].Ino]
	step := o.ops[victim].Step
	folder := o.steady(n.Parent)
	step.Op, step.Folder, step.FolderIno, step.Name = Park, folder, 0, name.Temporary(string(n.Base.Item))
	p := o.add(op{Step: step, key: o.ops[victim].key})
	o.parked[victim] = true

	waiting := o.behind[victim]
	o.behind[victim] = nil
	for _, w := range waiting {
		for k, dep := range o.ops[w].after {
			if dep == victim {
				o.ops[w].after[k] = p
			}
		}
		o.behind[p] = append(o.behind[p], w)
	}
	o.ops[victim].after = append(o.ops[victim].after, p)
	o.left[victim]++
	o.behind[p] = append(o.behind[p], victim)
	o.enter(p)
}

// victim finds a circle among the ops that are left and returns a move of it, -1 if it has none.
func (o *orderer) victim() int {
	start := -1
	for i := range o.left {
		if start < 0 || i < start {
			start = i
		}
	}
	var trail []int
	seen := map[int]int{}
	for i := start; ; {
		if from, ok := seen[i]; ok {
			trail = trail[from:]
			break
		}
		seen[i] = len(trail)
		trail = append(trail, i)
		for _, dep := range o.ops[i].after {
			if _, waits := o.left[dep]; waits {
				i = dep
				break
			}
		}
	}
	best := -1
	for _, i := range trail {
		x := o.ops[i]
		if x.Op != Move || x.Item == "" || o.parked[i] {
			continue
		}
		if best < 0 || o.rank(i) < o.rank(best) {
			best = i
		}
	}
	return best
}

// rank prefers to park what is not parked already, files to folders, and then the oldest change.
func (o *orderer) rank(i int) int {
	r := i
	b := o.v.Nodes[o.ops[i].Ino].Base
	if o.ops[i].Dir {
		r += len(o.ops)
	}
	if b.Name == name.Temporary(string(b.Item)) {
		r += 2 * len(o.ops)
	}
	return r
}

// steady returns the nearest folder, from ino upwards, that is on the remote where it is here: not
// inside anything that is about to be moved or deleted.
func (o *orderer) steady(ino cache.Ino) graph.ItemID {
	steady := o.v.Root
	for i := ino; i != 0 && i != o.v.Root; i = o.v.Nodes[i].Parent {
		d := o.diffs[i]
		if d.New || d.Place {
			steady = o.v.Root
		} else if steady == o.v.Root {
			steady = i
		}
	}
	return o.itemOf(steady)
}

// queue is a heap of ops.
type queue struct {
	ops    []int
	before func(i, j int) bool
}

func (q queue) Len() int           { return len(q.ops) }
func (q queue) Less(i, j int) bool { return q.before(q.ops[i], q.ops[j]) }
func (q queue) Swap(i, j int)      { q.ops[i], q.ops[j] = q.ops[j], q.ops[i] }
func (q *queue) Push(x any)        { q.ops = append(q.ops, x.(int)) }
func (q *queue) Pop() any {
	last := len(q.ops) - 1
	x := q.ops[last]
	q.ops = q.ops[:last]
	return x
}
