package cache_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
)

// life is a random life of one drive, beside a model of what the tree must show.
type life struct {
	t     *rapid.T
	s     *cache.Store
	d     cache.DriveInfo
	tr    *cache.Tree
	now   *time.Time
	paths map[string]bool // path -> folder; the model
	items int
	steps int
}

var names = []string{"a", "A", "b", "b~", "~$b", ".Trash-1", "c.txt", "c.bak"}

func (l *life) check(err error, allowed ...error) bool {
	l.t.Helper()
	if err == nil {
		return true
	}
	for _, a := range allowed {
		if errors.Is(err, a) {
			return false
		}
	}
	l.t.Fatalf("%v", err)
	return false
}

func (l *life) node(path string) cache.Node {
	n, err := l.tr.Resolve(l.d.Root, path)
	if err != nil {
		l.t.Fatalf("%s: %v", path, err)
	}
	return n
}

// folders and all list the model's paths.
func (l *life) folders() []string {
	list := []string{""}
	for p, dir := range l.paths {
		if dir {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

func (l *life) all() []string { return slices.Sorted(maps.Keys(l.paths)) }

func (l *life) pick(of []string, label string) string {
	if len(of) == 0 {
		l.t.Skip("nothing there")
	}
	return rapid.SampledFrom(of).Draw(l.t, label)
}

func (l *life) newPath() (parent, name string) {
	return l.pick(l.folders(), "folder"), rapid.SampledFrom(names).Draw(l.t, "name")
}

func (l *life) create(*rapid.T) {
	parent, name := l.newPath()
	dir := rapid.Bool().Draw(l.t, "dir")
	n, err := l.tr.Create(l.node(parent).Ino, name, cache.New{Dir: dir})
	if !l.check(err, cache.ErrExist) {
		return
	}
	l.paths[parent+"/"+name] = dir
	if !dir {
		f, err := l.s.Content().Create(uint64(n.Ino), uint64(n.Seq), content.Tag{})
		l.check(err)
		_, err = f.WriteAt([]byte(name), 0)
		l.check(errors.Join(err, f.SetModTime(*l.now)))
		_, err = l.tr.Settle(n.Ino, f.Size(), f.ModTime())
		l.check(errors.Join(err, f.Close()))
	}
}

func (l *life) remove(*rapid.T) {
	p := l.pick(l.all(), "path")
	parent, name := split(p)
	_, err := l.tr.Remove(l.node(parent).Ino, name, l.paths[p])
	if l.check(err, cache.ErrNotEmpty) {
		delete(l.paths, p)
	}
}

func (l *life) rename(*rapid.T) {
	from := l.pick(l.all(), "from")
	parent, name := l.newPath()
	to := parent + "/" + name
	fp, fn := split(from)
	r, err := l.tr.Rename(l.node(fp).Ino, fn, l.node(parent).Ino, name, 0)
	if !l.check(err, cache.ErrExist, cache.ErrInside, cache.ErrNotEmpty, cache.ErrIsFolder, cache.ErrNotFolder, cache.ErrStale) {
		return
	}
	if l.paths[from] && l.lost(from) {
		l.paths = map[string]bool{}
		l.reread("", l.d.Root)
		return
	}
	if r.Moved.Name != name {
		l.t.Fatalf("moved to %s: %+v", to, r.Moved)
	}
	moved := map[string]bool{}
	for p, dir := range l.paths {
		if p == from || strings.HasPrefix(p, from+"/") {
			moved[to+p[len(from):]] = dir
			delete(l.paths, p)
		}
	}
	maps.Copy(l.paths, moved)
}

// lost reports whether a folder is under a local-only name: what comes out of there may have no
// bytes any more.
func (l *life) lost(path string) bool {
	return strings.Contains(path, "~$") || strings.Contains(path, ".Trash")
}

func (l *life) write(*rapid.T) {
	p := l.pick(l.all(), "path")
	n := l.node(p)
	if n.Dir {
		return
	}
	seq, err := l.tr.Mark(n.Ino)
	l.check(err)
	var f *content.File
	if n.Written {
		f, err = l.s.Content().Local(uint64(n.Ino))
	} else {
		f, err = l.s.Content().Version(uint64(n.Ino), n.Base.Version(), n.Mtime)
	}
	l.check(err)
	l.check(errors.Join(f.UnsealEmpty(uint64(seq), content.Tag{}), f.SetModTime(*l.now)))
	l.check(f.Close())
	_, err = l.tr.Settle(n.Ino, 0, *l.now)
	l.check(err)
}

// push sends one dirty node or deletion that can be sent, as a flush would.
func (l *life) push(*rapid.T) {
	out := l.s.Outbox(l.d.Num)
	v, err := out.View()
	l.check(err)
	for _, ino := range v.Dirty {
		n := v.Nodes[ino]
		p := v.Nodes[n.Parent]
		if p.Base == nil {
			continue
		}
		l.items++
		a := cache.Attempt{Op: "move", Ino: ino, Seq: n.Seq, Parent: p.Base.Item, Name: n.Name, Size: n.Size, ModTime: n.Mtime}
		id := graph.ItemID(fmt.Sprintf("i%d", l.items))
		if n.Base != nil {
			a.Item, id = n.Base.Item, n.Base.Item
		}
		i := graph.Item{ID: id, Parent: a.Parent, Name: n.Name, Type: graph.File, Size: n.Size, ModTime: n.Mtime,
			ETag: fmt.Sprintf("e%d", l.items), CTag: fmt.Sprintf("c%d", l.items)}
		if n.Dir {
			i.Type = graph.Folder
		} else if n.Written {
			a.Op = "replace"
			f, err := l.s.Content().Local(uint64(ino))
			l.check(err)
			snap, err := f.Seal(uint64(n.Seq))
			l.check(err)
			defer f.Close()
			defer snap.Release()
			if rapid.Bool().Draw(l.t, "hashed") {
				i.Hash = graph.HashOf(graph.NewQuickXor())
			}
		}
		_, err := out.Begin(a)
		l.check(err)
		_, err = out.Commit(a, i)
		l.check(err)
		return
	}
	for _, id := range slices.Sorted(maps.Keys(v.Gone)) {
		below := false
		for _, b := range v.Below[id] {
			below = below || v.Items[b].Ino != 0
		}
		if !below {
			l.check(out.Deleted(cache.Attempt{Item: id}))
			return
		}
	}
}

// remote changes an item there, and rules at random on what comes in.
func (l *life) remote(*rapid.T) {
	p := l.pick(append(l.all(), "/new"), "item")
	l.items++
	i := graph.Item{ID: graph.ItemID(fmt.Sprintf("r%d", l.items)), Parent: cachetest.RootItem, Type: graph.File,
		Name: rapid.SampledFrom(names).Draw(l.t, "name"), Size: int64(l.items), ETag: fmt.Sprintf("e%d", l.items), ModTime: *l.now}
	if rapid.Bool().Draw(l.t, "folder") {
		i.Type = graph.Folder
	}
	if p != "/new" {
		if n := l.node(p); n.Base != nil {
			i.ID, i.Parent = n.Base.Item, n.Base.Parent
			i.Type = graph.File
			if n.Dir {
				i.Type = graph.Folder
			}
			i.Deleted = rapid.Bool().Draw(l.t, "deleted")
		}
	}
	if f := l.node(l.pick(l.folders(), "into")); f.Base != nil && rapid.Bool().Draw(l.t, "move") {
		i.Parent = f.Base.Item
	}
	in := l.s.Inbox(l.d.Num)
	l.check(in.Receive(graph.Page{Items: []graph.Item{i}, Next: "n", Done: true}))
	l.check(in.Cases(func(c cache.Case) bool {
		// Whatever is ruled, the store refuses or stays sound.
		r := cache.Ruling{
			Verb:    cache.Verb(rapid.IntRange(int(cache.Ignore), int(cache.Undo)).Draw(l.t, "verb")),
			Bytes:   cache.Bytes(rapid.IntRange(0, 2).Draw(l.t, "bytes")),
			Holder:  cache.Side(rapid.IntRange(0, 2).Draw(l.t, "holder")),
			Place:   rapid.Bool().Draw(l.t, "place"),
			ModTime: rapid.Bool().Draw(l.t, "time"),
		}
		_ = in.Apply(c, r)
		return true
	}))
	l.paths = map[string]bool{}
	l.reread("", l.d.Root)
}

// reread takes the model from the tree.
func (l *life) reread(path string, ino cache.Ino) {
	list, err := l.tr.List(ino, 0, 1000)
	l.check(err)
	for _, n := range list {
		p := path + "/" + n.Name
		l.paths[p] = n.Dir
		if n.Dir {
			l.reread(p, n.Ino)
		}
	}
}

func (l *life) wait(*rapid.T) { *l.now = l.now.Add(45 * time.Second) }

// checkEvery is after how many steps every row is compared; 1 tells the step that broke something.
const checkEvery = 1

// sound compares the tree with the model and every row with every other.
func (l *life) sound(*rapid.T) {
	*l.now = l.now.Add(time.Second)
	want := l.paths
	l.paths = map[string]bool{}
	l.reread("", l.d.Root)
	if !maps.Equal(want, l.paths) {
		l.t.Fatalf("the tree has %v, the model %v", l.paths, want)
	}
	if l.steps++; l.steps%checkEvery != 0 {
		return
	}
	findings, err := l.s.Check(context.Background())
	l.check(err)
	if len(findings) > 0 {
		l.t.Fatalf("%s", strings.Join(findings, "\n"))
	}
}

func TestRandomLives(t *testing.T) {
	// A life takes a while: fewer than usual, unless -rapid.checks asks for a number.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("12"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		now := cachetest.Time
		dir, err := os.MkdirTemp("", "cache")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		s, err := cache.Open(dir, cache.Options{Host: "host", Now: func() time.Time { return now }})
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		l := &life{t: rt, s: s, tr: s.Tree(), now: &now, paths: map[string]bool{}}
		d, err := s.AddDrive(drive("drive"), rootItem)
		l.check(err)
		l.d = d
		in := s.Inbox(d.Num)
		l.check(in.Begin(true, now))
		l.check(in.Receive(graph.Page{Next: "l", Done: true, Items: []graph.Item{
			folder("f", root, "f"), folder("g", "f", "g"), file("x", "g", "c.txt", "1"), file("y", root, "b", "1")}}))
		l.check(in.Enumerated(now))
		l.reread("", d.Root)
		rt.Repeat(map[string]func(*rapid.T){
			"create": l.create, "create more": l.create, "remove": l.remove, "rename": l.rename, "rename more": l.rename,
			"write": l.write, "push": l.push, "push more": l.push, "remote": l.remote, "wait": l.wait, "": l.sound,
		})
	})
}
