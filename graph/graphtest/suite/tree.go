package suite

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/duskfs/duskfs/graph"
)

func described(p *place) {
	d, err := p.Drive(p.Context())
	p.must("drive", err)
	switch d.Type {
	case "personal", "business", "documentLibrary":
	default:
		p.Errorf("the drive is of type %q", d.Type)
	}
	if d.ID == "" {
		p.Errorf("the drive has no id")
	}
	if q := d.Quota; q.Total < 0 || q.Used < 0 || q.Total > 0 && q.Remaining > q.Total {
		p.Errorf("the quota makes no sense: total %d, used %d, remaining %d", q.Total, q.Used, q.Remaining)
	}
	p.Logf("a drive of type %s", d.Type)
	root, err := p.Root(p.Context())
	p.must("root", err)
	if !root.Root || root.Type != graph.Folder || root.ID == "" || root.Parent != "" {
		p.Errorf("the root: marked %v, type %s, has a parent: %v", root.Root, root.Type, root.Parent != "")
	}
	byID, err := p.Item(p.Context(), root.ID)
	p.must("root by id", err)
	if byID.ID != root.ID || !byID.Root {
		p.Errorf("the root by its id is marked as root: %v", byID.Root)
	}
}

func folderMade(p *place) {
	i := p.folder(p.dir.ID, "Folder")
	p.is(i, graph.Folder, p.dir.ID, "Folder")
	for _, name := range []string{"Folder", "FOLDER"} {
		_, err := p.Mkdir(p.Context(), p.dir.ID, name)
		p.wants("make "+name+" again", err, graph.Exist)
	}
	p.file(p.dir.ID, "file", noise(10, 1))
	_, err := p.Mkdir(p.Context(), p.dir.ID, "file")
	p.wants("make a folder where a file is", err, graph.Exist)
	p.is(p.listed(p.dir.ID)["Folder"], graph.Folder, p.dir.ID, "Folder")
	p.lists(i.ID)
}

func renamed(p *place) {
	data := noise(500, 1)
	i := p.file(p.dir.ID, "before.bin", data)
	d := p.folder(p.dir.ID, "before")
	for _, x := range []graph.Item{i, d} {
		to := strings.Replace(x.Name, "before", "after", 1)
		j, err := p.Update(p.Context(), x.ID, graph.Change{Name: to}, "")
		p.must("rename", err)
		p.is(j, x.Type, p.dir.ID, to)
		if j.ID != x.ID {
			p.Errorf("the item is another one")
		}
	}
	p.holds(i.ID, "after.bin", data)
	p.lists(p.dir.ID, "after.bin", "after")
	_, err := p.Child(p.Context(), p.dir.ID, "before.bin")
	p.wants("the old name", err, graph.NotExist)
	p.file(p.dir.ID, "before.bin", data) // it is free again
}

func caseChanged(p *place) {
	data := noise(500, 1)
	i := p.file(p.dir.ID, "name.bin", data)
	j, err := p.Update(p.Context(), i.ID, graph.Change{Name: "NAME.bin"}, "")
	p.must("rename", err)
	p.is(j, graph.File, p.dir.ID, "NAME.bin")
	p.lists(p.dir.ID, "NAME.bin")
	p.holds(i.ID, "NAME.bin", data)
}

func moved(p *place) {
	from, to := p.folder(p.dir.ID, "from"), p.folder(p.dir.ID, "to")
	tree := p.folder(from.ID, "tree")
	data := noise(500, 1)
	f := p.file(tree.ID, "f.bin", data)
	j, err := p.Update(p.Context(), tree.ID, graph.Change{Parent: to.ID, Name: "tree too"}, "")
	p.must("move a folder", err)
	p.is(j, graph.Folder, to.ID, "tree too")
	if j.ID != tree.ID {
		p.Errorf("the folder is another one")
	}
	p.lists(from.ID)
	p.lists(tree.ID, "f.bin")
	p.holds(f.ID, "f.bin", data)
	j, err = p.Update(p.Context(), f.ID, graph.Change{Parent: from.ID, ModTime: then}, "")
	p.must("move a file", err)
	p.is(j, graph.File, from.ID, "f.bin")
	if j.ID != f.ID || !near(j.ModTime, then) {
		p.Errorf("moved: the same file %v, its time %s, want %s", j.ID == f.ID, j.ModTime, then)
	}
	p.holds(f.ID, "f.bin", data)
	p.lists(tree.ID)
}

func moveTaken(p *place) {
	a, b := p.file(p.dir.ID, "a", noise(10, 1)), p.file(p.dir.ID, "b", noise(10, 2))
	to := p.folder(p.dir.ID, "to")
	p.file(to.ID, "B", noise(10, 3))
	_, err := p.Update(p.Context(), a.ID, graph.Change{Name: "b"}, "")
	p.wants("rename onto a file", err, graph.Exist)
	_, err = p.Update(p.Context(), a.ID, graph.Change{Name: "To"}, "")
	p.wants("rename onto a folder", err, graph.Exist)
	_, err = p.Update(p.Context(), b.ID, graph.Change{Parent: to.ID}, "")
	p.wants("move onto a file of the same name", err, graph.Exist)
	p.lists(p.dir.ID, "a", "b", "to")
	p.holds(b.ID, "b", noise(10, 2))
}

func intoItself(p *place) {
	a := p.folder(p.dir.ID, "a")
	b := p.folder(a.ID, "b")
	if _, err := p.Update(p.Context(), a.ID, graph.Change{Parent: b.ID}, ""); err == nil {
		p.Errorf("a folder went into itself")
	}
	p.lists(p.dir.ID, "a")
	p.lists(a.ID, "b")
}

func staleMatch(p *place) {
	i := p.file(p.dir.ID, "f.bin", noise(500, 1))
	j, err := p.replace(i, noise(600, 2))
	p.must("replace", err)
	_, err = p.Update(p.Context(), i.ID, graph.Change{Name: "g.bin"}, i.ETag)
	p.wants("rename on a stale condition", err, graph.Changed)
	p.wants("delete on a stale condition", p.Delete(p.Context(), i.ID, i.ETag), graph.Changed)
	p.lists(p.dir.ID, "f.bin")
	now, err := p.Item(p.Context(), j.ID) // the service may have touched it since (graph-facts §3.2)
	p.must("read it", err)
	_, err = p.Update(p.Context(), i.ID, graph.Change{Name: "g.bin"}, now.ETag)
	p.must("rename on a true condition", err)
	p.lists(p.dir.ID, "g.bin")
}

func deleted(p *place) {
	d := p.folder(p.dir.ID, "d")
	in := p.file(p.folder(d.ID, "e").ID, "in", noise(10, 1))
	f := p.file(p.dir.ID, "f", noise(10, 2))
	for _, x := range []graph.Item{f, d} {
		p.must("delete", p.Delete(p.Context(), x.ID, ""))
		p.wants("delete again", p.Delete(p.Context(), x.ID, ""), graph.NotExist)
	}
	for _, x := range []graph.Item{f, d, in} {
		_, err := p.Item(p.Context(), x.ID)
		p.wants(x.Name+" by its id", err, graph.NotExist)
	}
	_, err := p.Child(p.Context(), p.dir.ID, "f")
	p.wants("f by its name", err, graph.NotExist)
	p.lists(p.dir.ID)
	if again := p.file(p.dir.ID, "f", noise(10, 3)); again.ID == f.ID {
		p.Errorf("a new file in the old place is the old item")
	}
}

func caseFolded(p *place) {
	data := noise(500, 1)
	i := p.file(p.dir.ID, "Straße Über.txt", data)
	j, err := p.Child(p.Context(), p.dir.ID, "STRAßE ÜBER.TXT")
	p.must("find it in capitals", err)
	if j.ID != i.ID || j.Name != i.Name {
		p.Errorf("found another item, or the name changed: %q", j.Name)
	}
	_, err = p.Upload(p.Context(), graph.Upload{Parent: p.dir.ID, Name: "straße über.TXT", Size: 1, ModTime: then, Body: bytes.NewReader([]byte("x"))})
	p.wants("upload it in other letters", err, graph.Exist)
	p.holds(i.ID, i.Name, data)
}

func formFolded(p *place) {
	data := noise(500, 1)
	i := p.file(p.dir.ID, "caf\u00e9.txt", data) // one code point
	_, err := p.Upload(p.Context(), graph.Upload{Parent: p.dir.ID, Name: "cafe\u0301.txt", Size: 1, ModTime: then, Body: bytes.NewReader([]byte("x"))})
	p.wants("upload it in the other form", err, graph.Exist)
	p.holds(i.ID, "caf\u00e9.txt", data)
	p.lists(p.dir.ID, "caf\u00e9.txt")
}

func oddNames(p *place) {
	names := []string{"#1 50% a+b & c;d=e,f@g!.txt", "it's (here) [now] {x} ~ ^ `.txt", "100%41%2F.txt", ".hidden", "a.b.c.", "日本語 資料 😀.txt", "x" + strings.Repeat("y", 150),
		"...dots", "com10", "console.log"}
	names[4] = "a.b.c"
	for n, name := range names {
		var i graph.Item
		if n%2 == 0 {
			i = p.file(p.dir.ID, name, noise(20+n, uint64(n)+1))
			p.holds(i.ID, name, noise(20+n, uint64(n)+1))
		} else {
			i = p.folder(p.dir.ID, name)
		}
		j, err := p.Child(p.Context(), p.dir.ID, name)
		p.must("find "+name, err)
		if j.ID != i.ID || j.Name != name {
			p.Errorf("%q comes back as %q, the same item: %v", name, j.Name, j.ID == i.ID)
		}
	}
	p.lists(p.dir.ID, names...)
}

func badNames(p *place) {
	i := p.file(p.dir.ID, "good", noise(10, 1))
	for _, name := range []string{"a:b", "a*b", "a?b", `a"b`, "a<b", "a>b", "a|b", `a\b`, "ends with a space ", "con", "LPT1", "desktop.ini", "x_vti_y", "~$doc.docx"} {
		_, err := p.Mkdir(p.Context(), p.dir.ID, name)
		p.wants("make "+name, err, graph.Invalid)
		_, err = p.Upload(p.Context(), graph.Upload{Parent: p.dir.ID, Name: name, Size: 1, ModTime: then, Body: bytes.NewReader([]byte("x"))})
		p.wants("upload "+name, err, graph.Invalid)
		_, err = p.Update(p.Context(), i.ID, graph.Change{Name: name}, "")
		p.wants("rename to "+name, err, graph.Invalid)
	}
	p.lists(p.dir.ID, "good")
}

func longListing(p *place) {
	var names []string
	for n := range p.o.Many {
		names = append(names, fmt.Sprintf("item %03d", n))
		p.folder(p.dir.ID, names[n])
	}
	p.lists(p.dir.ID, names...)
	for _, err := range p.Children(p.Context(), p.dir.ID) {
		p.must("list", err)
		break // a listing may be left early
	}
}

func missing(p *place) {
	f := p.file(p.dir.ID, "f", noise(10, 1))
	p.must("delete", p.Delete(p.Context(), f.ID, ""))
	_, err := p.Child(p.Context(), p.dir.ID, "nothing")
	p.wants("a name nobody has", err, graph.NotExist)
	_, err = p.Update(p.Context(), f.ID, graph.Change{Name: "g"}, "")
	p.wants("rename what is gone", err, graph.NotExist)
	_, err = p.replace(f, noise(20, 2))
	p.wants("replace what is gone", err, graph.NotExist)
	_, err = p.read(f, 0, 10)
	p.wants("read what is gone", err, graph.NotExist)
	for _, err := range p.Children(p.Context(), f.ID) {
		if !errors.Is(err, graph.NotExist) {
			p.Errorf("list what is gone: %s", tell(err))
		}
		break
	}
}

func deletedParent(p *place) {
	d := p.folder(p.dir.ID, "d")
	f := p.file(p.dir.ID, "f", noise(10, 1))
	p.must("delete", p.Delete(p.Context(), d.ID, ""))
	_, err := p.Mkdir(p.Context(), d.ID, "x")
	p.wants("make a folder in it", err, graph.NotExist)
	_, err = p.Upload(p.Context(), graph.Upload{Parent: d.ID, Name: "y", Size: 3, ModTime: then, Body: bytes.NewReader([]byte("abc"))})
	p.wants("upload into it", err, graph.NotExist)
	_, err = p.Update(p.Context(), f.ID, graph.Change{Parent: d.ID}, "")
	p.wants("move into it", err, graph.NotExist)
	p.lists(p.dir.ID, "f")
}
