package simtest_test

import (
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// node finds what is at a path here.
func (l *life) node(p string) (cache.Node, bool) {
	n, err := l.Store.Tree().Resolve(l.Root, strings.Trim(p, "/"))
	return n, err == nil
}

// seen returns the tokens that somebody here sees below a path.
func (l *life) seen(p string) []string {
	n, ok := l.node(p)
	if !ok {
		return nil
	}
	if n.Dir {
		var all []string
		nodes, err := l.Store.Tree().List(n.Ino, 0, 1000)
		if err != nil {
			return nil
		}
		for _, c := range nodes {
			all = append(all, l.seen(path.Join(p, c.Name))...)
		}
		return all
	}
	if !n.Written {
		return append(l.settled(n), l.byHash[n.Base.Hash])
	}
	data, err := l.Read(p)
	if errors.Is(err, cache.ErrNotExist) {
		return l.seen(p) // it has stepped aside this moment
	}
	if err != nil {
		l.t.Errorf("local work cannot be read: %s: %v", p, err)
	}
	return append(l.settled(n), string(data))
}

// settled returns the tokens among the versions of a file, where a policy has put them: whoever does away with the
// file does away with these.
func (l *life) settled(n cache.Node) []string {
	if l.kind.policy == cache.KeepBoth || n.Base == nil {
		return nil
	}
	info, err := l.Far.StatID(string(n.Base.Item))
	if err != nil {
		return nil
	}
	return l.versions(info)
}

// versions returns the tokens among the versions of a file there.
func (l *life) versions(i graphtest.Info) []string {
	var all []string
	for v := range i.Versions {
		data, err := l.Far.ReadVersion(i.Path, v)
		if err != nil {
			l.t.Fatal(err)
		}
		all = append(all, string(data))
	}
	return all
}

// atHome reports whether a node is where the remote has its item.
func (l *life) atHome(n cache.Node) bool {
	if n.Base == nil || n.Base.Name != n.Name {
		return false
	}
	p, err := l.Store.Tree().Get(n.Parent)
	return err == nil && p.Base != nil && p.Base.Item == n.Base.Parent
}

// vacate remembers what left a place, for the heir.
func (l *life) vacate(p string, n cache.Node) {
	delete(l.left, key(p))
	if !n.Dir && l.atHome(n) {
		l.left[key(p)] = leaving{item: n.Base.Item, parent: n.Parent, at: l.Now()}
	}
}

// keeps notes which item a token that was written to p must end up in: that of the file that was
// there, or of the one that was removed there less than a minute ago.
func (l *life) keeps(p, token string, before cache.Node, there bool) {
	now, ok := l.node(p)
	if !ok || now.Dir {
		return
	}
	old, vacated := l.left[key(p)]
	delete(l.left, key(p))
	switch {
	case there && before.Base != nil && (before.Ino == now.Ino || l.atHome(before)):
		l.items[token] = before.Base.Item
	case !there && vacated && old.parent == now.Parent && l.Now().Sub(old.at) < time.Minute:
		l.items[token] = old.item
	}
}

// here does one thing on this machine.
func (l *life) here() {
	l.working.Store(true)
	defer l.working.Store(false)
	p, q := l.path(), l.path()
	n := l.rnd.IntN(10)
	if l.kind.folder && n < 4 && l.rnd.IntN(5) > 0 {
		n = 4 + l.rnd.IntN(4)
	}
	if l.kind.lose && n > 5 && len(l.recent) > 0 {
		n, p = 8, l.recent[l.rnd.IntN(len(l.recent))]
	}
	switch n {
	case 0, 1:
		l.write(p)
	case 2:
		l.save(p)
	case 3:
		if l.kind.open {
			l.handle(p)
		} else {
			l.write(p)
		}
	case 4:
		err := l.Mkdir(p)
		l.note("here: mkdir %s: %v", p, err)
	case 5, 6, 7:
		before, from, to := l.seen(q), l.inoAt(p), l.inoAt(q)
		err := l.Move(p, q)
		if err == nil && from != to {
			l.doom(before)
			l.left = map[string]leaving{} // places moved with what they are in
			l.wrote(q)
		}
		l.note("here: mv %s %s: %v", p, q, err)
	case 8:
		before := l.seen(p)
		n, ok := l.node(p)
		err := l.Remove(p)
		if err == nil {
			l.doom(before)
			if ok {
				l.vacate(p, n)
			}
		} else if l.kind.full || !errors.Is(err, cache.ErrNotExist) {
			l.doom(before) // a part of it may be gone
		}
		l.note("here: rm %s: %v", p, err)
	case 9:
		if l.rnd.IntN(2) == 0 {
			err := l.Exchange(p, q)
			if err == nil {
				l.left = map[string]leaving{}
			}
			l.note("here: exchange %s %s: %v", p, q, err)
			return
		}
		err := l.Touch(p, time.Now().Add(-time.Duration(l.rnd.IntN(1000))*time.Hour).Truncate(time.Second))
		l.note("here: touch %s: %v", p, err)
	}
}

func (l *life) inoAt(p string) cache.Ino {
	n, _ := l.node(p)
	return n.Ino
}

// write writes over a file, or makes one.
func (l *life) write(p string) {
	before, s := l.seen(p), l.token("here")
	n, there := l.node(p)
	err := l.Write(p, []byte(s))
	switch {
	case err == nil:
		l.doom(before)
		l.keeps(p, s, n, there)
		l.wrote(p)
	default:
		l.doomed[s] = true
		if l.kind.full {
			l.doom(before) // the bytes may have been written, and their size not recorded
		}
	}
	l.note("here: write %s %.9s: %v", p, s, err)
}

// save saves by rename.
func (l *life) save(p string) {
	before, s := l.seen(p), l.token("here")
	n, there := l.node(p)
	tmp := path.Join(path.Dir(p), "tmp.txt")
	earlier := l.seen(tmp)
	_, again := l.node(tmp)
	err := l.Write(tmp, []byte(s))
	if err == nil {
		l.doom(earlier)
		if err = l.Move(tmp, p); err == nil {
			l.doom(before)
			l.wrote(p)
			if !again { // else it may have an item of its own
				l.keeps(p, s, n, there)
			}
		}
	} else {
		l.doomed[s] = true
		if l.kind.full {
			l.doom(earlier)
		}
	}
	l.note("here: save %s %.9s: %v", p, s, err)
}

// handle opens a file, or writes to one that is open, or closes it.
func (l *life) handle(p string) {
	if len(l.open) < 2 && l.rnd.IntN(2) == 0 {
		f, err := l.OpenFile(p, false)
		if err == nil {
			l.open = append(l.open, handle{f, p})
		}
		l.note("here: open %s: %v", p, err)
		return
	}
	if len(l.open) == 0 {
		return
	}
	i := l.rnd.IntN(len(l.open))
	h := l.open[i]
	if l.rnd.IntN(2) == 0 {
		l.open = slices.Delete(l.open, i, i+1)
		l.note("here: close %s: %v", h.path, h.Close())
		return
	}
	n, err := l.Store.Tree().Get(h.Ino())
	if err != nil {
		l.t.Errorf("%s, which is open: %v", h.path, err)
		return
	}
	s := l.token("here")
	var before []string
	if n.Written {
		data, err := h.Read()
		if err != nil {
			l.t.Errorf("local work cannot be read: %s: %v", h.path, err)
		}
		before = []string{string(data)}
	} else if n.Base != nil {
		before = []string{l.byHash[n.Base.Hash]}
	}
	err = h.Write([]byte(s))
	if err == nil || l.kind.full {
		l.doom(before)
	}
	if err != nil || n.Removed {
		l.doomed[s] = true
	}
	l.note("here: write into the open %s %.9s: %v", h.path, s, err)
}

func (l *life) closeAll() {
	for _, h := range l.open {
		if err := h.Close(); err != nil {
			l.t.Error(err)
		}
	}
	l.open = nil
}

// farSeen returns the tokens that a colleague sees below a path.
func (l *life) farSeen(p string) []string {
	var all []string
	for _, i := range l.farFiles(p) {
		data, err := l.Far.Read(i.Path)
		if err != nil {
			l.t.Fatal(err)
		}
		all = append(all, string(data))
	}
	return all
}

// farFiles returns the files at and below a path there.
func (l *life) farFiles(p string) []graphtest.Info {
	it, err := l.Far.Stat(p)
	if err != nil {
		return nil
	}
	infos, err := l.Far.Walk()
	if err != nil {
		l.t.Fatal(err)
	}
	return slices.DeleteFunc(infos, func(i graphtest.Info) bool {
		return i.Folder || i.Path != it.Path && !strings.HasPrefix(i.Path, it.Path+"/")
	})
}

// otherwise spells a name in another way.
func otherwise(s string) string {
	if strings.Contains(s, "\u00e9") {
		return strings.ReplaceAll(s, "\u00e9", "e\u0301")
	}
	if strings.Contains(s, "e\u0301") {
		return strings.ReplaceAll(s, "e\u0301", "\u00e9")
	}
	if up := strings.ToUpper(s); up != s {
		return up
	}
	return strings.ToLower(s)
}

// farPast returns the tokens among the versions of the files at and below a path there, of those that are about to be
// looked through for what was overwritten unseen. Who removes such a file removes its versions: they are in the bin with it.
func (l *life) farPast(p string) []string {
	var all []string
	for _, i := range l.farFiles(p) {
		if l.bringing || l.unheard[i.ID] {
			all = append(all, l.versions(i)...)
		}
	}
	return all
}

// farPath is path for the colleague, to whom twins are what they are.
func (l *life) farPath() string {
	if !l.kind.twins {
		return l.path()
	}
	all := people(l.There())
	p := "/new/" + l.names[l.rnd.IntN(len(l.names))]
	if len(all) > 0 {
		p = strings.TrimSuffix(all[l.rnd.IntN(len(all))], "/")
	}
	if l.rnd.IntN(3) == 0 {
		p = path.Join(path.Dir(p), l.names[l.rnd.IntN(len(l.names))])
	}
	return p
}

// makeTwin makes a file or a folder there whose name something has in another spelling.
func (l *life) makeTwin() {
	infos, err := l.Far.Walk()
	if err != nil {
		l.t.Fatal(err)
	}
	if len(infos) == 0 {
		return
	}
	i := infos[l.rnd.IntN(len(infos))]
	if otherwise(i.Name) == i.Name || temporary(i.Path) {
		return
	}
	s, made := l.token("there"), path.Join(path.Dir(i.Path), "in the making")
	put := made
	if l.rnd.IntN(2) == 0 {
		put += "/in"
	}
	if _, err = l.Far.Put(put, []byte(s)); err != nil {
		l.doomed[s] = true
	} else if _, err = l.Far.Misname(made, otherwise(i.Name)); err != nil {
		if err := l.Far.Delete(made); err != nil {
			l.t.Fatal(err)
		}
		l.doomed[s] = true
	} else if l.listing {
		l.race(s, i.Path)
	}
	l.note("there: the twin %s of %s, %s %.9s: %v", otherwise(i.Name), i.Path, put, s, err)
}

// there does one thing as the colleague.
func (l *life) there() {
	if l.kind.lonely {
		return
	}
	if l.kind.twins && l.rnd.IntN(3) == 0 {
		l.makeTwin()
		return
	}
	p, q := l.farPath(), l.farPath()
	var err error
	n := l.rnd.IntN(8)
	if l.kind.folder && n < 4 && l.rnd.IntN(5) > 0 {
		n = 4 + l.rnd.IntN(3)
	}
	switch n {
	case 0, 1, 2, 3:
		l.farWrite(p)
	case 4:
		_, err = l.Far.Mkdir(p)
		l.note("there: mkdir %s: %v", p, err)
	case 5, 6:
		moved := l.farSeen(p)
		_, err = l.Far.Move(p, q)
		if err == nil && l.listing {
			for _, s := range moved {
				l.race(s, q)
			}
		}
		l.note("there: mv %s %s: %v", p, q, err)
	case 7:
		before := append(l.farSeen(p), l.farPast(p)...)
		if err = l.Far.Delete(p); err == nil {
			l.doom(before)
		}
		l.note("there: rm %s: %v", p, err)
	}
}

// farWrite writes a file as the colleague.
func (l *life) farWrite(p string) {
	before, s := l.farSeen(p), l.token("there")
	_, err := l.Far.Put(p, []byte(s))
	if err == nil {
		l.doom(before)
		l.wrote(p)
		if l.listing {
			l.race(s, p)
		}
	} else {
		l.doomed[s] = true
	}
	l.note("there: write %s %.9s: %v", p, s, err)
}

// race notes that a token came into folders that may be deleted this very moment.
func (l *life) race(token, p string) {
	infos, err := l.Far.Walk()
	if err != nil {
		l.t.Fatal(err)
	}
	l.raced[token] = nil
	for _, i := range infos {
		own := !i.Folder && l.kind.policy == cache.KeepBoth // a file is not deleted unseen, but where a policy says so
		if !own && i.Path != "/" && (key(i.Path) == key(p) || strings.HasPrefix(key(p), key(i.Path)+"/")) {
			l.raced[token] = append(l.raced[token], i)
		}
	}
}
