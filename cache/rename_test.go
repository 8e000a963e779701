package cache_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/cache"
)

// A rename onto what is there, by the types of both.
func TestRenameRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		flags    cache.RenameFlags
		want     error
	}{
		"file over folder":             {"/file", "/empty", 0, cache.ErrIsFolder},
		"folder over file":             {"/empty", "/file", 0, cache.ErrNotFolder},
		"folder over full folder":      {"/empty", "/full", 0, cache.ErrNotEmpty},
		"folder into itself":           {"/full", "/full/x", 0, cache.ErrInside},
		"folder into what is below it": {"/full", "/full/sub/x", 0, cache.ErrInside},
		"no replace":                   {"/file", "/other", cache.NoReplace, cache.ErrExist},
		"exchange with nothing":        {"/file", "/nothing", cache.Exchange, cache.ErrNotExist},
		"exchange with a folder above": {"/full/sub", "/full", cache.Exchange, cache.ErrInside},
		"onto a name in another case":  {"/file", "/OTHER", 0, cache.ErrExist},
		"of nothing":                   {"/nothing", "/x", 0, cache.ErrNotExist},
		"to an illegal name":           {"/file", "/a|b", 0, cache.ErrName},
		"to a name too long":           {"/file", "/" + strings.Repeat("n", 256), 0, cache.ErrNameTooLong},
		"of itself without replacing":  {"/file", "/file", cache.NoReplace, cache.ErrExist},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, cache.Options{}, folder("e", root, "empty"), folder("f", root, "full"),
				folder("s", "f", "sub"), file("x", root, "file", "1"), file("o", root, "other", "1"))
			if _, err := w.rename(c.from, c.to, c.flags); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			w.equal("gone", w.gone(), "")
		})
	}
}

func TestRenameMovesOnlyItsRow(t *testing.T) {
	w := newWorld(t, cache.Options{}, folder("a", root, "a"), folder("b", root, "b"), file("x", "a", "x", "1"))
	w.mv("/a", "/b/c")
	w.equal("the folder", w.diff("/b/c"), "name place")
	w.equal("the file in it", w.diff("/b/c/x"), "")
	w.mv("/b/c", "/a")
	w.equal("back", w.diff("/a"), "")
	w.equal("same again", w.mv("/a", "/a").Moved.Name, "a")
}

func TestRenameReplaces(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("x", root, "x", "1"), file("y", root, "y", "1"),
		folder("e", root, "e"), folder("f", root, "f"), file("z", "f", "z", "1"))
	r := w.mv("/x", "/y")
	w.equal("replaced", r.Replaced.Base.Item, "y")
	w.equal("gone", w.gone(), "y")
	w.equal("moved", w.item("/y")+" "+"", "x ")
	w.mv("/f", "/e")
	w.equal("gone", w.gone(), "e y")
	w.equal("what was inside", w.item("/e/z"), "z")
}

func TestRenameCaseOnly(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("x", root, "read.me", "1"))
	ino := w.at("/read.me").Ino
	w.mv("/read.me", "/README")
	w.mv("/README", "/ReadMe")
	w.equal("node", w.at("/ReadMe").Ino, ino)
	w.none("/README")
	w.equal("gone", w.gone(), "")
}

func TestExchange(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("x", root, "x", "1"), folder("f", root, "f"), file("y", "f", "y", "22"))
	r, err := w.rename("/x", "/f/y", cache.Exchange)
	w.ok(err)
	w.equal("moved", r.Moved.Base.Item, "x")
	w.equal("partner", r.Replaced.Base.Item, "y")
	w.equal("there", w.item("/f/y"), "x")
	w.equal("here", w.item("/x"), "y")
	w.equal("differs", w.diff("/x"), "name place")
	_, err = w.rename("/x", "/f", cache.Exchange)
	w.ok(err)
	w.equal("folder", w.item("/x/y"), "x")
	w.equal("file", w.item("/f"), "y")
}

func TestOtherDrive(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("x", root, "x", "1"))
	d2, err := w.s.AddDrive(drive("d2"), rootItem)
	w.ok(err)
	w.ok(w.s.Inbox(d2.Num).List(d2.Root, nil))
	_, err = w.tr.Rename(w.d.Root, "x", d2.Root, "x", 0)
	w.is(err, cache.ErrOtherDrive)
}

// What moves under a local-only name is pending deletion, and comes back as the same item.
func TestLocalOnlyAndBack(t *testing.T) {
	w := newWorld(t, cache.Options{}, folder("f", root, "f"), folder("g", "f", "g"), file("x", "g", "x", "1"), file("y", root, "y", "1"))
	w.mkdir("/.Trash-1000")
	w.create("/f/new", "n")
	w.mv("/f", "/.Trash-1000/f")
	w.equal("gone", w.gone(), "f g x")
	v, err := w.out.View()
	w.ok(err)
	w.equal("path", v.Gone["x"].Path, "/f/g/x")
	w.equal("dirty", len(v.Dirty), 0)
	p, err := w.out.Pending()
	w.ok(err)
	w.equal("local only", p.LocalOnly, 5)
	if n := w.at("/.Trash-1000/f/g/x"); !n.LocalOnly || n.Base == nil {
		t.Errorf("in the trash: %+v", n)
	}
	w.mv("/.Trash-1000/f/g", "/g2")
	w.equal("gone", w.gone(), "f")
	w.equal("item", w.item("/g2/x"), "x")
	w.equal("folder differs", w.diff("/g2"), "name place")
	w.equal("file differs", w.diff("/g2/x"), "")
	w.mv("/.Trash-1000/f", "/f")
	w.equal("gone", w.gone(), "")
	w.equal("item", w.item("/f"), "f")
	w.equal("new file", w.diff("/f/new"), "new bytes")
	w.mv("/g2", "/f/g")
	w.equal("all home", w.diff("/f/g"), "")
}

// Back from the trash after its deletion was sent, a file is a new item with the bytes it had.
func TestBackTooLate(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("x", root, "x", "12345"))
	w.hydrate("/x", "12345")
	w.mkdir("/.Trash-1000")
	w.mv("/x", "/.Trash-1000/x")
	w.ok(w.out.Deleted(cache.Attempt{Op: "delete", Item: "x"}))
	w.equal("gone", w.gone(), "")
	w.mv("/.Trash-1000/x", "/x")
	w.equal("differs", w.diff("/x"), "new bytes")
	w.equal("bytes", w.body("/x"), "12345")
}
