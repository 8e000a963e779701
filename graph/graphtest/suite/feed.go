package suite

import (
	"github.com/duskfs/duskfs/graph"
)

// maxPages bounds a feed that does not end.
const maxPages = 100_000

// follow reads the feed from a link to its end. The last word about an item counts.
func (p *place) follow(from graph.Link) (map[graph.ItemID]graph.Item, graph.Link) {
	out := map[graph.ItemID]graph.Item{}
	for range maxPages {
		page, err := p.Delta(p.Context(), from)
		p.must("read the feed", err)
		if page.Next == "" {
			p.Fatalf("a page of the feed does not say where to go on")
		}
		for _, i := range page.Items {
			out[i.ID] = i
		}
		if from = page.Next; page.Done {
			return out, from
		}
	}
	p.Fatalf("the feed does not end after %d pages", maxPages)
	return nil, ""
}

func feedChanges(p *place) {
	// What is made beforehand may still be on its way into the feed, so it is awaited first.
	gone := p.file(p.dir.ID, "gone", noise(10, 1))
	kept := p.file(p.dir.ID, "kept", noise(10, 2))
	dir := p.folder(p.dir.ID, "dir")
	page, err := p.Delta(p.Context(), graph.Latest)
	p.must("ask for the latest link", err)
	if !page.Done || page.Next == "" {
		p.Fatalf("the latest link: done %v, given %v", page.Done, page.Next != "")
	}
	link, seen := page.Next, map[graph.ItemID]graph.Item{}
	more := func() {
		news, next := p.follow(link)
		link = next
		for id, i := range news {
			seen[id] = i
		}
	}
	data := noise(321, 3)
	made := p.file(dir.ID, "made", data)
	empty := p.folder(dir.ID, "empty")
	_, err = p.Update(p.Context(), kept.ID, graph.Change{Parent: dir.ID, Name: "moved"}, "")
	p.must("move", err)
	p.must("delete", p.Delete(p.Context(), gone.ID, ""))
	p.soon("the feed tells of a new file", func() bool { more(); return seen[made.ID].Name == "made" })
	p.soon("the feed tells of a new folder", func() bool { more(); return seen[empty.ID].Name == "empty" })
	p.soon("the feed tells of a move", func() bool { more(); return seen[kept.ID].Name == "moved" })
	p.soon("the feed tells of a deletion", func() bool { more(); return seen[gone.ID].Deleted })
	p.is(seen[made.ID], graph.File, dir.ID, "made")
	p.is(seen[empty.ID], graph.Folder, dir.ID, "empty")
	p.is(seen[kept.ID], graph.File, dir.ID, "moved")
	if i := seen[made.ID]; i.Size != int64(len(data)) || i.Hash != "" && i.Hash != hashOf(data) || !near(i.ModTime, then) {
		p.Errorf("the feed describes the new file with %d bytes, time %s, or another hash", i.Size, i.ModTime)
	}
	_, err = p.replace(made, noise(99, 4))
	p.must("replace", err)
	p.soon("the feed tells of new bytes", func() bool { more(); return seen[made.ID].Size == 99 })
	p.must("delete a folder", p.Delete(p.Context(), dir.ID, ""))
	p.soon("the feed tells of a deleted folder", func() bool { more(); return seen[dir.ID].Deleted })
}

func feedWhole(p *place) {
	if !p.o.Enumerate {
		p.Skipf("reads the whole drive: not asked for")
	}
	dir := p.folder(p.dir.ID, "dir")
	f := p.file(dir.ID, "f", noise(10, 1))
	root, err := p.Root(p.Context())
	p.must("root", err)
	p.soon("the enumeration holds a new file", func() bool {
		all, _ := p.follow(graph.Start)
		if !all[root.ID].Root {
			p.Fatalf("the enumeration does not mark the root")
		}
		return all[f.ID].Name == "f" && all[dir.ID].Type == graph.Folder && all[f.ID].Parent == dir.ID
	})
}
