package plan

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Make plans what a view says is pending.
//
// How names are kept apart: a step that claims a place comes after the step by which the item
// whose base has that place leaves it, be it a move or a deletion. Where such claims run in a
// circle (two names swapped, a file taking the name of the folder it came from), one of the items
// is parked. Local names are unique in a folder and temporary ones are unique by their item, so no
// other clash can be.
func Make(v cache.View, o Options) Plan {
	s := newSketch(v, o)
	skip := s.deferred()
	p := Plan{Emptied: s.emptied(skip)}
	for asked := false; ; {
		d := s.draft(skip)
		if len(d.unmet) > 0 {
			for _, k := range d.unmet {
				skip[k] = true
			}
			continue
		}
		chosen := d.chosen(o.Paths)
		if !asked {
			asked = true
			p.Guarded, p.Kept = d.guarded(chosen, o, v.Known)
			if held := slices.Concat(p.Guarded, p.Kept); len(held) > 0 {
				for _, x := range held {
					skip[key{item: x.Item}] = true
					for id := range x.Known { // nor piece by piece
						skip[key{item: id}] = true
					}
				}
				continue
			}
		}
		p.Steps, p.Waiting = d.order(chosen), waiting(skip, p)
		return p
	}
}

// key names a change that is planned or left alone: the place of a node, its bytes or time, or a
// deletion.
type key struct {
	ino   cache.Ino
	bytes bool
	item  graph.ItemID
}

// op is a step in the making; after holds indexes of ops.
type op struct {
	Step
	key   key
	after []int
}

// sketch is what every draft of a plan shares.
type sketch struct {
	v      cache.View
	o      Options
	diffs  map[cache.Ino]cache.Diff
	byItem map[graph.ItemID]cache.Ino
	paths  map[cache.Ino]string
	gone   []graph.ItemID // by path, so that plans are the same every time
}

func newSketch(v cache.View, o Options) *sketch {
	s := &sketch{
		v: v, o: o,
		diffs:  make(map[cache.Ino]cache.Diff, len(v.Dirty)),
		byItem: make(map[graph.ItemID]cache.Ino, len(v.Nodes)),
		paths:  make(map[cache.Ino]string, len(v.Nodes)),
	}
	for ino, n := range v.Nodes {
		if n.Base != nil && !n.Removed && !n.LocalOnly {
			s.byItem[n.Base.Item] = ino
		}
	}
	for _, ino := range v.Dirty {
		n, ok := v.Nodes[ino]
		if !ok {
			continue
		}
		s.diffs[ino] = n.Diff(s.itemOf(n.Parent))
	}
	for id := range v.Gone {
		s.gone = append(s.gone, id)
	}
	slices.SortFunc(s.gone, func(a, b graph.ItemID) int {
		return cmp.Or(cmp.Compare(v.Gone[a].Path, v.Gone[b].Path), cmp.Compare(a, b))
	})
	return s
}

// itemOf returns the item of a node, empty if the remote has none.
func (s *sketch) itemOf(ino cache.Ino) graph.ItemID {
	if n, ok := s.v.Nodes[ino]; ok && n.Base != nil {
		return n.Base.Item
	}
	return ""
}

func (s *sketch) pathOf(ino cache.Ino) string {
	if ino == s.v.Root {
		return "/"
	}
	if p, ok := s.paths[ino]; ok {
		return p
	}
	n, ok := s.v.Nodes[ino]
	if !ok || n.Parent == 0 {
		return "/" + n.Name
	}
	s.paths[ino] = "/" + n.Name // ends a circle, which the store does not have
	p := path.Join(s.pathOf(n.Parent), n.Name)
	s.paths[ino] = p
	return p
}

// from tells where the remote has a node, as far as the view knows.
func (s *sketch) from(b *cache.Base) string {
	p := b.Name
	for range s.v.Nodes { // not longer: bases come from outside and may go in a circle
		if b.Parent == s.itemOf(s.v.Root) {
			return "/" + p
		}
		if g, ok := s.v.Gone[b.Parent]; ok {
			return path.Join(g.Path, p)
		}
		ino, ok := s.byItem[b.Parent]
		if !ok {
			break
		}
		b = s.v.Nodes[ino].Base
		p = path.Join(b.Name, p)
	}
	return p
}

// deferred returns the changes that the options leave alone since they were deferred.
func (s *sketch) deferred() map[key]bool {
	skip := map[key]bool{}
	waits := func(d *cache.Deferral) bool {
		return d != nil && (!s.o.Due.IsZero() && d.Next.After(s.o.Due) || !s.o.Since.IsZero() && !d.At.Before(s.o.Since))
	}
	for ino := range s.diffs {
		if waits(s.v.Nodes[ino].Deferred) {
			skip[key{ino: ino}] = true
			skip[key{ino: ino, bytes: true}] = true
		}
	}
	for id, g := range s.v.Gone {
		if waits(g.Deferred) {
			skip[key{item: id}] = true
		}
	}
	return skip
}

// emptied leaves alone the files that the remote has with bytes and that have none here, though no
// program asked for that: a save that failed looks so, and a disk that lost a file.
func (s *sketch) emptied(skip map[key]bool) []Step {
	if s.o.AllowDeletes {
		return nil
	}
	var held []Step
	for _, ino := range s.v.Dirty {
		n, k := s.v.Nodes[ino], key{ino: ino, bytes: true}
		if n.Base == nil || !s.diffs[ino].Bytes || n.Size != 0 || n.Base.Size == 0 || n.Emptied || skip[k] {
			continue
		}
		skip[k] = true
		if p := s.pathOf(ino); wanted(s.o.Paths, p) {
			held = append(held, Step{Op: Replace, Ino: ino, Item: n.Base.Item, Seq: n.Seq, Name: n.Name, Path: p, Base: *n.Base})
		}
	}
	return held
}

// waiting counts the changes that are left alone, but for what the guards hold back.
func waiting(skip map[key]bool, p Plan) int {
	held := map[graph.ItemID]bool{}
	for _, x := range slices.Concat(p.Guarded, p.Kept) {
		held[x.Item] = true
		for id := range x.Known {
			held[id] = true
		}
	}
	emptied := map[cache.Ino]bool{}
	for _, x := range p.Emptied {
		emptied[x.Ino] = true
	}
	nodes, n := map[cache.Ino]bool{}, 0
	for k := range skip {
		switch {
		case k.bytes && emptied[k.ino]:
		case k.ino != 0:
			nodes[k.ino] = true
		case !held[k.item]:
			n++
		}
	}
	return n + len(nodes)
}

// living reports whether an item has a node in the tree. One that is not known does, to be careful.
func (s *sketch) living(id graph.ItemID) bool {
	if _, gone := s.v.Gone[id]; gone {
		return false
	}
	h, ok := s.v.Items[id]
	if !ok {
		return true
	}
	if h.Ino == 0 {
		return false
	}
	n, ok := s.v.Nodes[h.Ino]
	return !ok || !n.Removed && !n.LocalOnly
}

// draft is one try at a plan. unmet are the changes that need something that is left alone.
type draft struct {
	*sketch
	skip    map[key]bool
	ops     []op
	made    map[cache.Ino]int    // Mkdir or Create of a node
	moved   map[cache.Ino]int    // Move of a node with a base
	deleted map[graph.ItemID]int // Delete that takes an item away, -1 if none does
	unmet   []key
}

func (s *sketch) draft(skip map[key]bool) *draft {
	d := &draft{
		sketch: s, skip: skip,
		made: map[cache.Ino]int{}, moved: map[cache.Ino]int{}, deleted: map[graph.ItemID]int{},
	}
	for _, ino := range s.v.Dirty {
		d.addNode(ino)
	}
	for _, id := range s.gone {
		d.delete(id)
	}
	for i := range len(d.ops) { // link appends ops that need no linking
		d.link(i)
	}
	return d
}

func (d *draft) add(o op) int {
	d.ops = append(d.ops, o)
	return len(d.ops) - 1
}

// addNode adds the ops for a dirty node.
func (d *draft) addNode(ino cache.Ino) {
	diff, ok := d.diffs[ino]
	if !ok || !diff.Any() {
		return
	}
	n := d.v.Nodes[ino]
	step := Step{Ino: ino, Seq: n.Seq, Name: n.Name, Path: d.pathOf(ino), Dir: n.Dir}
	if n.Deferred != nil {
		step.Tries = n.Deferred.Tries
	}
	place, bytes := key{ino: ino}, key{ino: ino, bytes: true}
	if diff.New {
		if d.skip[place] {
			return
		}
		step.Op = Mkdir
		if !n.Dir {
			step.Op, step.Size = Create, n.Size
		}
		d.made[ino] = d.add(op{Step: step, key: place})
		return
	}
	step.Item = n.Base.Item
	if (diff.Name || diff.Place) && !d.skip[place] {
		move := step
		move.Op, move.From = Move, d.from(n.Base)
		d.moved[ino] = d.add(op{Step: move, key: place})
	}
	if d.skip[bytes] {
		return
	}
	switch {
	case diff.Bytes:
		step.Op, step.Size = Replace, n.Size
	case diff.ModTime && !diff.Name && !diff.Place: // a Move carries the time
		step.Op = Touch
	default:
		return
	}
	d.add(op{Step: step, key: bytes})
}

// delete adds the deletion that takes a gone item away, if there can be one, and returns it. That
// is the deletion of the topmost gone folder above that has nothing living in it but what moves out
// before. What is asked for without the folder goes by itself.
func (d *draft) delete(id graph.ItemID) int {
	if i, ok := d.deleted[id]; ok {
		return i
	}
	d.deleted[id] = -1
	g := d.v.Gone[id]
	if up, ok := d.v.Gone[g.Base.Parent]; ok && !apart(d.o.Paths, g, up) {
		if i := d.delete(g.Base.Parent); i >= 0 {
			d.deleted[id] = i
			return i
		}
	}
	if d.skip[key{item: id}] {
		return -1
	}
	below := expansion{known: map[graph.ItemID]graph.Version{}, keep: []cache.Ino{g.Ino}}
	if !d.expand(id, &below) {
		return -1
	}
	step := Step{
		Op: Delete, Ino: g.Ino, Item: id, Seq: g.Seq, Name: g.Base.Name, Path: g.Path, Dir: g.Base.Dir,
		Base: g.Base, Known: below.known, Keep: below.keep,
	}
	if g.Deferred != nil {
		step.Tries = g.Deferred.Tries
	}
	d.deleted[id] = d.add(op{Step: step, key: key{item: id}, after: below.after})
	return d.deleted[id]
}

// expansion is what a deletion takes with it.
type expansion struct {
	known map[graph.ItemID]graph.Version
	keep  []cache.Ino
	after []int // the moves by which living items leave it before
}

// expand adds what is below an item that is to be deleted. It returns false if something living
// does not leave it.
func (d *draft) expand(id graph.ItemID, e *expansion) bool {
	for _, c := range d.v.Below[id] {
		if d.living(c) {
			i, ok := d.moved[d.v.Items[c].Ino]
			if !ok {
				return false
			}
			e.after = append(e.after, i)
			continue
		}
		if _, again := e.known[c]; again {
			return false // bases that go in a circle
		}
		h := d.v.Items[c]
		e.known[c] = graph.Version{}
		if !h.Base.Dir {
			e.known[c] = h.Base.Version()
		}
		if g, ok := d.v.Gone[c]; ok {
			h.Ino = g.Ino
		}
		if h.Ino != 0 {
			e.keep = append(e.keep, h.Ino)
		}
		if !d.expand(c, e) {
			return false
		}
	}
	return true
}

// link finds what an op has to wait for.
func (d *draft) link(i int) {
	o := d.ops[i]
	if o.Op != Mkdir && o.Op != Create && o.Op != Move {
		return
	}
	n := d.v.Nodes[o.Ino]
	folder := d.itemOf(n.Parent)
	d.ops[i].Folder = folder
	if folder == "" {
		d.ops[i].FolderIno = n.Parent
		d.need(i, d.made, n.Parent)
	} else if holder, ok := d.v.Holders[cache.Place{Folder: folder, Key: name.Fold(n.Name)}]; ok && holder != o.Item {
		d.free(i, holder)
	}
	if o.Op == Move && n.Dir && d.diffs[o.Ino].Place {
		d.stayOutside(i, n.Parent)
	}
}

// need makes op i wait for the op that m has for a node.
func (d *draft) need(i int, m map[cache.Ino]int, ino cache.Ino) {
	if dep, ok := m[ino]; ok {
		d.ops[i].after = append(d.ops[i].after, dep)
		return
	}
	d.unmet = append(d.unmet, d.ops[i].key)
}

// free makes op i wait until the item that holds its place has left it.
func (d *draft) free(i int, holder graph.ItemID) {
	if _, gone := d.v.Gone[holder]; gone {
		del := d.deleted[holder]
		switch {
		case del < 0:
			d.unmet = append(d.unmet, d.ops[i].key)
		case d.ops[i].Op == Create:
			d.createBeside(i, del, holder)
		default:
			d.ops[i].after = append(d.ops[i].after, del)
		}
		return
	}
	if !d.living(holder) {
		return // its deletion is sent already
	}
	if ino := d.v.Items[holder].Ino; d.diffs[ino].Name || d.diffs[ino].Place {
		d.need(i, d.moved, ino)
	}
}

// createBeside makes a file whose name is held by a deleted item under a temporary name, deletes
// the old item only then, and gives the new one its name. So the old bytes do not go before the
// new ones are there.
func (d *draft) createBeside(i, del int, holder graph.ItemID) {
	final := d.ops[i]
	final.Op, final.Size, final.From = Move, 0, final.Path
	final.after = []int{i, del}
	d.ops[i].Name = name.Temporary(string(holder))
	d.ops[del].after = append(d.ops[del].after, i)
	d.add(final)
}

// stayOutside makes the move of a folder wait for the moves of the folders above its new place, so
// that it is never moved into itself.
func (d *draft) stayOutside(i int, ino cache.Ino) {
	for ; ino != 0 && ino != d.v.Root; ino = d.v.Nodes[ino].Parent {
		if d.diffs[ino].Place && !d.diffs[ino].New {
			d.need(i, d.moved, ino)
			return // which itself waits for those above
		}
	}
}

// chosen returns the ops that the paths ask for, with all that they need. No paths ask for all.
func (d *draft) chosen(paths []string) []bool {
	chosen := make([]bool, len(d.ops))
	var choose func(i int)
	choose = func(i int) {
		if chosen[i] {
			return
		}
		chosen[i] = true
		for _, dep := range d.ops[i].after {
			choose(dep)
		}
	}
	for i, o := range d.ops {
		if wanted(paths, o.Path) || o.From != "" && wanted(paths, o.From) {
			choose(i)
		}
	}
	return chosen
}

// wanted reports whether p is one of the paths or below one. No paths want all.
func wanted(paths []string, p string) bool {
	return len(paths) == 0 || slices.ContainsFunc(paths, func(dir string) bool { return under(p, dir) })
}

// apart reports whether a deletion is asked for and not that of the gone folder above, which else takes it along.
func apart(paths []string, g, up cache.Gone) bool {
	return wanted(paths, g.Path) && !wanted(paths, up.Path)
}

// under reports whether p is dir or below it.
func under(p, dir string) bool {
	dir = path.Clean("/" + dir)
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// guarded returns the deletions to hold back until somebody confirms them, and those to hold back for
// good; none if they may pass. A deletion of a single item that makes room for another of its name is
// a replacement, and no accident.
func (d *draft) guarded(chosen []bool, o Options, known int) (guarded, kept []Step) {
	replaced := map[int]bool{}
	for i, x := range d.ops {
		if chosen[i] && x.Op != Delete {
			for _, dep := range x.after {
				replaced[dep] = true
			}
		}
	}
	var held []Step
	count := 0 // of items
	for i, x := range d.ops {
		if x.Op != Delete || !chosen[i] || len(x.Known) == 0 && replaced[i] {
			continue
		}
		held = append(held, x.Step)
		count += 1 + len(x.Known)
	}
	if o.Partial {
		known = -1
	}
	switch {
	case o.NoDeletes:
		return nil, held
	case !o.AllowDeletes && o.Guard.Holds(count, known):
		return held, nil
	}
	return nil, nil
}
