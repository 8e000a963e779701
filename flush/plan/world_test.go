package plan_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// world is a local tree and a remote one, with rules of its own about names (letters a to z, case
// ignored), against which plans are tried.
type world struct {
	remote map[graph.ItemID]thing
	nodes  map[cache.Ino]cache.Node
	bytes  map[cache.Ino]string
	gone   map[graph.ItemID]cache.Gone
	seq    cache.Seq
	ino    cache.Ino
	item   int
}

type thing struct {
	parent graph.ItemID
	name   string
	dir    bool
	bytes  string
}

const (
	root   cache.Ino    = 2
	rootID graph.ItemID = "root"
)

func newWorld() *world {
	w := &world{
		remote: map[graph.ItemID]thing{rootID: {dir: true}},
		nodes:  map[cache.Ino]cache.Node{root: {Ino: root, Dir: true, Base: &cache.Base{Item: rootID, Dir: true}}},
		bytes:  map[cache.Ino]string{}, gone: map[graph.ItemID]cache.Gone{}, ino: root,
	}
	return w
}

func (w *world) clone() *world {
	c := *w
	c.remote, c.nodes, c.bytes, c.gone = maps.Clone(w.remote), maps.Clone(w.nodes), maps.Clone(w.bytes), maps.Clone(w.gone)
	for ino, n := range c.nodes {
		if n.Base != nil {
			b := *n.Base
			n.Base = &b
			c.nodes[ino] = n
		}
	}
	return &c
}

// find returns the node at a path, 0 if there is none.
func (w *world) find(p string) cache.Ino {
	at := root
	for _, part := range strings.Split(strings.Trim(p, "/"), "/") {
		if part == "" {
			continue
		}
		if at = w.child(at, part); at == 0 {
			return 0
		}
	}
	return at
}

func (w *world) child(parent cache.Ino, called string) cache.Ino {
	for ino, n := range w.nodes {
		if n.Parent == parent && strings.EqualFold(n.Name, called) {
			return ino
		}
	}
	return 0
}

func (w *world) path(ino cache.Ino) string {
	if ino == root {
		return "/"
	}
	n := w.nodes[ino]
	return path.Join(w.path(n.Parent), n.Name)
}

// The edits. Each reports whether it was possible.

func (w *world) write(p, bytes string) bool {
	ino := w.find(p)
	if ino == 0 {
		dir := w.find(path.Dir(p))
		if dir == 0 || !w.nodes[dir].Dir {
			return false
		}
		w.ino++
		ino = w.ino
		w.nodes[ino] = cache.Node{Ino: ino, Parent: dir, Name: path.Base(p)}
	}
	n := w.nodes[ino]
	if n.Dir {
		return false
	}
	w.seq++
	n.Seq, n.Written, n.Size = w.seq, true, int64(len(bytes))
	w.nodes[ino], w.bytes[ino] = n, bytes
	return true
}

func (w *world) mkdir(p string) bool {
	dir := w.find(path.Dir(p))
	if dir == 0 || !w.nodes[dir].Dir || w.find(p) != 0 {
		return false
	}
	w.ino++
	w.seq++
	w.nodes[w.ino] = cache.Node{Ino: w.ino, Parent: dir, Name: path.Base(p), Dir: true, Seq: w.seq}
	return true
}

// remove takes away a file, or a folder with all in it as "rm -r" does.
func (w *world) remove(p string) bool {
	ino := w.find(p)
	if ino == 0 || ino == root {
		return false
	}
	for c, n := range w.nodes {
		if n.Parent == ino {
			w.remove(w.path(c))
		}
	}
	w.seq++
	if b := w.nodes[ino].Base; b != nil {
		w.gone[b.Item] = cache.Gone{Base: *b, Ino: ino, Path: w.path(ino), Seq: w.seq}
	}
	delete(w.nodes, ino)
	return true
}

func (w *world) move(from, to string) bool {
	ino, dir := w.find(from), w.find(path.Dir(to))
	if ino == 0 || ino == root || dir == 0 || !w.nodes[dir].Dir {
		return false
	}
	for up := dir; up != 0; up = w.nodes[up].Parent {
		if up == ino {
			return false
		}
	}
	if there := w.find(to); there != 0 && there != ino {
		if w.nodes[there].Dir || w.nodes[ino].Dir || !w.remove(to) {
			return false
		}
	}
	w.seq++
	n := w.nodes[ino]
	n.Parent, n.Name, n.Seq = dir, path.Base(to), w.seq
	w.nodes[ino] = n
	return true
}

func (w *world) touch(p string, at time.Time) bool {
	ino := w.find(p)
	n := w.nodes[ino]
	if ino == 0 || n.Dir {
		return false
	}
	w.seq++
	n.Mtime, n.Seq = at, w.seq
	w.nodes[ino] = n
	return true
}

// sync makes everything agreed, so that later edits have bases.
func (w *world) sync() {
	var known func(parent cache.Ino)
	known = func(parent cache.Ino) {
		for _, ino := range slices.Sorted(maps.Keys(w.nodes)) {
			n := w.nodes[ino]
			if n.Parent != parent {
				continue
			}
			w.item++
			id := graph.ItemID(fmt.Sprintf("%s%d", n.Name, w.item))
			w.remote[id] = thing{parent: w.nodes[parent].Base.Item, name: n.Name, dir: n.Dir, bytes: w.bytes[ino]}
			w.commit(ino, id)
			known(ino)
		}
	}
	known(root)
}

// commit makes the remote state of an item the base of a node.
func (w *world) commit(ino cache.Ino, id graph.ItemID) {
	n, r := w.nodes[ino], w.remote[id]
	mt := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if n.Base == nil || n.Mtime.IsZero() {
		n.Mtime = mt
	}
	n.Base = &cache.Base{Item: id, Parent: r.parent, Name: r.name, Dir: r.dir, ModTime: mt, Size: int64(len(r.bytes))}
	if !n.Mtime.Equal(mt) {
		n.Base.ModTime = n.Mtime
	}
	n.Written = n.Written && r.bytes != w.bytes[ino]
	w.nodes[ino] = n
}

// view is what the store would hand to the planner.
func (w *world) view() cache.View {
	v := cache.View{
		Root: root, Nodes: map[cache.Ino]cache.Node{}, Gone: maps.Clone(w.gone),
		Items: map[graph.ItemID]cache.Held{}, Below: map[graph.ItemID][]graph.ItemID{},
		Holders: map[cache.Place]graph.ItemID{},
	}
	bases := map[graph.ItemID]cache.Held{}
	for ino, n := range w.nodes {
		if n.Base != nil {
			bases[n.Base.Item] = cache.Held{Base: *n.Base, Ino: ino}
		}
	}
	for id, g := range w.gone {
		bases[id] = cache.Held{Base: g.Base}
	}
	v.Known = len(bases)
	ids := slices.Sorted(maps.Keys(bases))
	item := func(ino cache.Ino) graph.ItemID {
		if b := w.nodes[ino].Base; b != nil {
			return b.Item
		}
		return ""
	}
	above := func(ino cache.Ino) {
		for ; ino != 0; ino = w.nodes[ino].Parent {
			v.Nodes[ino] = w.nodes[ino]
		}
	}
	hold := func(id graph.ItemID) {
		v.Items[id] = bases[id]
		if ino := bases[id].Ino; ino != 0 {
			v.Nodes[ino] = w.nodes[ino]
		}
	}
	for ino, n := range w.nodes {
		if !n.Diff(item(n.Parent)).Any() {
			continue
		}
		v.Dirty = append(v.Dirty, ino)
		above(ino)
		f := item(n.Parent)
		for _, id := range ids {
			b := bases[id].Base
			if f != "" && b.Parent == f && strings.EqualFold(b.Name, n.Name) {
				v.Holders[cache.Place{Folder: f, Key: name.Fold(n.Name)}] = id
				hold(id)
			}
		}
	}
	sort.Slice(v.Dirty, func(i, j int) bool { return w.nodes[v.Dirty[i]].Seq < w.nodes[v.Dirty[j]].Seq })
	var below func(id graph.ItemID)
	below = func(id graph.ItemID) {
		if _, done := v.Below[id]; done {
			return
		}
		for _, c := range ids {
			if bases[c].Base.Parent == id {
				v.Below[id] = append(v.Below[id], c)
				hold(c)
				below(c)
			}
		}
	}
	for id := range w.gone {
		below(id)
	}
	return v
}

// run carries out one step, with everything checked that the service or a person would mind.
func (w *world) run(s plan.Step) error {
	folder := s.Folder
	if s.FolderIno != 0 {
		b := w.nodes[s.FolderIno].Base
		if b == nil {
			return fmt.Errorf("folder of %v is not made yet", s)
		}
		folder = b.Item
	}
	id := s.Item
	if s.Op == plan.Move && id == "" {
		id = w.nodes[s.Ino].Base.Item
	}
	if s.Op == plan.Mkdir || s.Op == plan.Create || s.Op == plan.Move || s.Op == plan.Park {
		if f, ok := w.remote[folder]; !ok || !f.dir {
			return fmt.Errorf("no folder %q for %v", folder, s)
		}
		for other, r := range w.remote {
			if other != id && r.parent == folder && strings.EqualFold(r.name, s.Name) {
				return fmt.Errorf("name is taken by %s: %v", other, s)
			}
		}
	}
	switch s.Op {
	case plan.Mkdir, plan.Create:
		w.item++
		id = graph.ItemID(fmt.Sprintf("%s%d", s.Name, w.item))
		w.remote[id] = thing{parent: folder, name: s.Name, dir: s.Op == plan.Mkdir, bytes: w.bytes[s.Ino]}
		w.commit(s.Ino, id)
	case plan.Replace:
		r, ok := w.remote[id]
		if !ok || r.dir {
			return fmt.Errorf("nothing to replace: %v", s)
		}
		r.bytes = w.bytes[s.Ino]
		w.remote[id] = r
		w.commit(s.Ino, id)
	case plan.Move, plan.Park:
		r, ok := w.remote[id]
		if !ok {
			return fmt.Errorf("nothing to move: %v", s)
		}
		for up := folder; up != ""; up = w.remote[up].parent {
			if up == id {
				return fmt.Errorf("moved into itself: %v", s)
			}
		}
		r.parent, r.name = folder, s.Name
		w.remote[id] = r
		w.commit(s.Ino, id)
	case plan.Touch:
		w.commit(s.Ino, id)
	case plan.Delete:
		return w.delete(s)
	default:
		return fmt.Errorf("unknown operation: %v", s)
	}
	return nil
}

func (w *world) delete(s plan.Step) error {
	if _, ok := w.remote[s.Item]; !ok {
		return fmt.Errorf("deleted twice: %v", s)
	}
	if _, ok := w.gone[s.Item]; !ok {
		return fmt.Errorf("nobody removed it: %v", s)
	}
	doomed := []graph.ItemID{s.Item}
	for i := 0; i < len(doomed); i++ {
		for id, r := range w.remote {
			if r.parent == doomed[i] {
				if _, known := s.Known[id]; !known {
					return fmt.Errorf("%s is not known to be below %v", id, s)
				}
				doomed = append(doomed, id)
			}
		}
	}
	for _, id := range doomed {
		for ino, n := range w.nodes {
			if n.Base != nil && n.Base.Item == id {
				return fmt.Errorf("%s is lost by %v", w.path(ino), s)
			}
		}
		delete(w.remote, id)
		delete(w.gone, id)
	}
	return nil
}

// differences between the two trees.
func (w *world) differences() []string {
	local, remote := map[string]string{}, map[string]string{}
	for ino, n := range w.nodes {
		if ino != root {
			local[w.path(ino)] = fmt.Sprintf("%v %q", n.Dir, w.bytes[ino])
		}
	}
	for id, r := range w.remote {
		p := ""
		for up := id; up != rootID && up != ""; up = w.remote[up].parent {
			p = "/" + w.remote[up].name + p
		}
		if id != rootID {
			remote[p] = fmt.Sprintf("%v %q", r.dir, r.bytes)
		}
	}
	var out []string
	for p, x := range local {
		if remote[p] != x {
			out = append(out, fmt.Sprintf("%s: local %s, remote %s", p, x, remote[p]))
		}
	}
	for p, x := range remote {
		if _, ok := local[p]; !ok {
			out = append(out, fmt.Sprintf("%s: remote alone, %s", p, x))
		}
	}
	sort.Strings(out)
	return out
}

// describe writes steps one a line.
func describe(steps []plan.Step) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "%d %s %s", i, s.Op, s.Path)
		if s.From != "" && s.From != s.Path {
			fmt.Fprintf(&b, " from %s", s.From)
		}
		if s.Name != path.Base(s.Path) && s.Op != plan.Delete {
			fmt.Fprintf(&b, " as %s", s.Name)
		}
		if len(s.After) > 0 {
			fmt.Fprintf(&b, " after %v", s.After)
		}
		if len(s.Known) > 0 {
			fmt.Fprintf(&b, " with %d below", len(s.Known))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func build(t *testing.T, before ...string) *world {
	t.Helper()
	w := newWorld()
	w.edit(t, before...)
	w.sync()
	return w
}

// edit runs commands: "mkdir P", "write P BYTES", "mv P P", "rm P", "touch P".
func (w *world) edit(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		f := strings.Fields(c)
		ok := false
		switch f[0] {
		case "mkdir":
			ok = w.mkdir(f[1])
		case "write":
			ok = w.write(f[1], f[2])
		case "mv":
			ok = w.move(f[1], f[2])
		case "rm":
			ok = w.remove(f[1])
		case "touch":
			ok = w.touch(f[1], time.Date(2026, 5, 5, 5, 5, 5, 0, time.UTC))
		}
		if !ok {
			t.Fatalf("cannot %s", c)
		}
	}
}
