package mirror

import (
	"reflect"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
)

func TestLabels(t *testing.T) {
	now := time.Unix(1e9, 0)
	who := func(names ...string) (all []graph.Identity) {
		for _, n := range names {
			all = append(all, graph.Identity{Kind: graph.User, Name: n})
		}
		return all
	}
	link := func(kind, scope string) *graph.SharingLink { return &graph.SharingLink{Type: kind, Scope: scope} }
	for _, c := range []struct {
		about string
		all   []graph.Permission
		want  []string
	}{
		{"nobody", nil, []string{}},
		{"the three levels, the strongest first", []graph.Permission{
			{Roles: []string{"read"}, To: who("Visitors")}, {Roles: []string{"write"}, To: who("Team")}, {Roles: []string{"owner"}, To: who("Owners")},
		}, []string{"Owners:::Full Control", "Team:::Edit", "Visitors:::View"}},
		{"a level of SharePoint", []graph.Permission{{Roles: []string{"sp.full control"}, To: who("A")}}, []string{"A:::Full Control"}},
		{"several roles, and several entries", []graph.Permission{
			{Roles: []string{"read", "write"}, To: who("A")}, {Roles: []string{"read"}, To: who("A"), Inherited: true},
		}, []string{"A:::Edit"}},
		{"no access at all", []graph.Permission{{Roles: []string{"sp.limited access"}, To: who("A")}}, []string{}},
		{"a level of the site's own", []graph.Permission{{Roles: []string{"sp.reviewers"}, To: who("A")}}, []string{"A:::unknown"}},
		{"a link", []graph.Permission{{Roles: []string{"read"}, Link: link("view", "anonymous")}}, []string{"Sharing Link (view, anonymous):::View"}},
		{"a link for some", []graph.Permission{{Roles: []string{"write"}, Link: link("edit", "users"), To: who("A", "B")}},
			[]string{"A:::Edit", "B:::Edit", "Sharing Link (edit, users):::Edit"}},
		{"a link for who has access anyway", []graph.Permission{{Roles: []string{"read"}, Link: link("view", "existingAccess")}}, []string{}},
		{"one that has ended", []graph.Permission{{Roles: []string{"read"}, To: who("A"), Expires: now}}, []string{}},
		{"one that ends", []graph.Permission{{Roles: []string{"read"}, To: who("A"), Expires: now.Add(time.Hour)}}, []string{"A:::View"}},
		{"a name that looks like a level", []graph.Permission{{Roles: []string{"read"}, To: who("A:::Full Control\n")}}, []string{"A::Full Control :::View"}},
	} {
		got, until := labels(c.all, now)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.about, got, c.want)
		}
		if ends := c.about == "one that ends"; ends != until.Equal(now.Add(time.Hour)) {
			t.Errorf("%s: until %v", c.about, until)
		}
	}
}

func TestChangesOfPermissions(t *testing.T) {
	got := changesOf([]string{"A:::View", "B:::Edit"}, []string{"A:::Edit", "B:::Edit"})
	want := PermissionChanges{Added: []string{"A:::Edit"}, Removed: []string{"A:::View"}, Current: []string{"A:::Edit", "B:::Edit"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := changesOf(nil, nil); got.Added == nil || got.Removed == nil || got.Current == nil {
		t.Error("lists must not be null")
	}
}

func TestWhenPermissionsAreRead(t *testing.T) {
	now := time.Unix(1e9, 0)
	at := func(ago time.Duration) int64 { return now.Add(-ago).Unix() }
	const day = 24 * time.Hour
	v := version{ETag: "e1"}
	fresh := perm{Tag: "=e1", Cycle: 5, At: at(time.Minute)}
	with := func(change func(*perm)) item {
		p := fresh
		change(&p)
		return item{Ver: v, Perm: &p}
	}
	for _, c := range []struct {
		about  string
		i      item
		shared uint64
		every  time.Duration
		want   why
	}{
		{"never read", item{Ver: v}, 0, day, news},
		{"read a moment ago", with(func(*perm) {}), 0, day, settled},
		{"the item changed", with(func(p *perm) { p.Tag = "=e0" }), 0, day, news},
		{"marked", with(func(p *perm) { p.Tag = "" }), 0, day, news},
		{"a folder above changed later", with(func(*perm) {}), 6, day, news},
		{"a folder above changed before", with(func(*perm) {}), 5, day, settled},
		{"one of them has ended", with(func(p *perm) { p.Until = now.Unix() }), 0, day, news},
		{"one of them ends later", with(func(p *perm) { p.Until = now.Unix() + 1 }), 0, day, settled},
		{"read longer ago than the period", with(func(p *perm) { p.At = at(day) }), 0, day, rolling},
		{"read less than half the period ago", with(func(p *perm) { p.At = at(day/2 - time.Minute) }), 0, day, settled},
		{"read long ago, and the feed tells", with(func(p *perm) { p.At = at(99 * day) }), 0, 0, settled},
		{"in every run", with(func(*perm) {}), 0, -1, rolling},
	} {
		if got := wanted("id", c.i, c.shared, now, c.every); got != c.want {
			t.Errorf("%s: %d, want %d", c.about, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	file := func(path string) (here, item, spot, stat) {
		s := stat{Size: 1, Mtime: 2, Inode: 3}
		return here{Item: "i", Stat: s}, item{Type: graph.File}, spot{path: path}, s
	}
	h, i, s, st := file("a/b")
	other := stat{Size: 9}
	dir, folder := here{Item: "d", Dir: true}, item{Type: graph.Folder}
	for _, c := range []struct {
		about string
		h     here
		i     item
		known bool
		s     spot
		now   *stat
		want  verdict
	}{
		{"as it was", h, i, true, s, &st, keeps},
		{"taken away here", h, i, true, s, nil, missing},
		{"changed here", h, i, true, s, &other, changed},
		{"not known any more", h, i, false, spot{is: gone}, &st, clears},
		{"gone there", h, i, true, spot{is: gone}, &st, clears},
		{"gone there and changed here", h, i, true, spot{is: gone}, &other, clears},
		{"moved", h, i, true, spot{path: "c"}, &st, moves},
		{"moved to a name that cannot be", h, i, true, spot{is: refused}, &st, clears},
		{"left out by now, at its place", h, i, true, spot{path: "a/b", is: leftOut}, &st, keeps},
		{"left out, and taken away here", h, i, true, spot{path: "a/b", is: leftOut}, nil, keeps},
		{"left out, and changed here", h, i, true, spot{path: "a/b", is: leftOut}, &other, keeps},
		{"moved to where it is left out", h, i, true, spot{path: "x", is: leftOut}, &st, clears},
		{"its folder is not known", h, i, true, spot{is: adrift}, &st, keeps},
		{"a folder as it was", dir, folder, true, s, nil, keeps},
		{"a folder that moved", dir, folder, true, spot{path: "c"}, nil, moves},
		{"a file that is a folder by now", h, folder, true, s, &st, clears},
	} {
		if got := judge("a/b", c.h, c.i, c.known, c.s, c.now); got != c.want {
			t.Errorf("%s: %d, want %d", c.about, got, c.want)
		}
	}
}

func TestDiffer(t *testing.T) {
	v1, v2 := version{Hash: "one", Size: 1}, version{Hash: "two", Size: 1}
	for _, c := range []struct {
		about string
		p     place
		want  difference
	}{
		{"nothing", place{}, difference{what: same}},
		{"a folder", place{Here: &here{Dir: true}}, difference{what: same}},
		{"new", place{Here: &here{Item: "i", Ver: v1}}, difference{added, true, true}},
		{"gone", place{Told: &told{Item: "i"}}, difference{what: deleted}},
		{"a folder in its place", place{Told: &told{Item: "i"}, Here: &here{Dir: true}}, difference{what: deleted}},
		{"the same", place{Told: &told{"i", v1, "l", 0}, Here: &here{Item: "i", Ver: v1, List: "l"}}, difference{what: same}},
		{"other bytes", place{Told: &told{"i", v1, "l", 0}, Here: &here{Item: "i", Ver: v2, List: "l"}}, difference{modified, true, false}},
		{"other permissions", place{Told: &told{"i", v1, "l", 0}, Here: &here{Item: "i", Ver: v1, List: "m"}}, difference{permissionsOnly, false, true}},
		{"both", place{Told: &told{"i", v1, "l", 0}, Here: &here{Item: "i", Ver: v2, List: "m"}}, difference{modified, true, true}},
		{"other bytes of the same hash", place{Told: &told{"i", v1, "l", 0}, Here: &here{Item: "i", Ver: v1, List: "l", Turn: 1}}, difference{modified, true, false}},
		{"another item of the same bytes", place{Told: &told{"i", v1, "l", 0}, Here: &here{Item: "j", Ver: v1, List: "l"}}, difference{what: same}},
		{"permissions that are known now", place{Told: &told{"i", v1, "", 0}, Here: &here{Item: "i", Ver: v1, List: "l"}}, difference{permissionsOnly, false, true}},
	} {
		if got := differ(c.p); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.about, got, c.want)
		}
	}
}

func TestWhatTheFeedBrings(t *testing.T) {
	was := item{Parent: "p", Name: "n", Type: graph.File, Ver: version{ETag: "1", Hash: "h"}, Perm: &perm{Tag: "=1"}, From: "told"}
	in := graph.Item{ID: "i", Parent: "p", Name: "n", Type: graph.File, ETag: "1", Hash: "h"}
	f := feed{Cycle: 7}
	if _, news := merged(was, true, in, f); news {
		t.Error("what is known already is no news")
	}
	in.Parent = "q"
	if now, news := merged(was, true, in, f); !news || now.Perm.Tag != "" || now.From != "told" {
		t.Errorf("moved: %+v", now)
	}
	in.Parent, in.SharingChanged = "p", true
	if now, _ := merged(was, true, in, f); now.Perm.Tag != "" {
		t.Errorf("shared: %+v", now)
	}
	if now, news := merged(was, true, graph.Item{ID: "i", Deleted: true}, f); !news || !now.Gone || now.Name != "n" {
		t.Errorf("deleted: %+v", now)
	}
	if _, news := merged(item{}, false, graph.Item{ID: "i", Deleted: true}, f); news {
		t.Error("something unknown that is gone is no news")
	}
	dir := item{Parent: "p", Name: "d", Type: graph.Folder, Ver: version{ETag: "1"}, Shared: 3}
	din := graph.Item{ID: "d", Parent: "p", Name: "d", Type: graph.Folder, ETag: "1", Size: 99}
	if _, news := merged(dir, true, din, f); news {
		t.Error("a folder whose size alone changed is no news")
	}
	din.ETag = "2"
	if now, _ := merged(dir, true, din, f); now.Shared != 7 {
		t.Errorf("a folder with another eTag: %+v", now)
	}
	f.Full = 7
	if now, news := merged(dir, true, din, f); !news || now.Seen != 7 {
		t.Errorf("an enumeration: %+v", now)
	}
}

func TestWhereItemsBelong(t *testing.T) {
	items := map[graph.ItemID]item{
		"root": {Root: true, Type: graph.Folder},
		"d":    {Parent: "root", Name: "d", Type: graph.Folder, Shared: 4},
		"e":    {Parent: "d", Name: "e", Type: graph.Folder, Shared: 2},
		"gone": {Parent: "root", Name: "gone", Type: graph.Folder, Gone: true},
		"skip": {Parent: "root", Name: "skip", Type: graph.Folder},
		"evil": {Parent: "root", Name: "../evil", Type: graph.Folder},
		"note": {Parent: "root", Name: "note", Type: graph.Package},
		"c1":   {Parent: "c2", Name: "c1", Type: graph.Folder},
		"c2":   {Parent: "c1", Name: "c2", Type: graph.Folder},
	}
	file := func(parent graph.ItemID, name string) item {
		return item{Parent: parent, Name: name, Type: graph.File, Ver: version{Size: 10}}
	}
	p := &placer{most: 100, take: func(path string, _ bool) bool { return path != "skip" },
		item: func(id graph.ItemID) (item, bool, error) { i, ok := items[id]; return i, ok, nil }}
	big := file("d", "big")
	big.Ver.Size = 101
	lost := file("d", "f")
	lost.Gone = true
	for _, c := range []struct {
		about string
		i     item
		want  spot
	}{
		{"the root", items["root"], spot{}},
		{"at the top", file("root", "f"), spot{path: "f"}},
		{"deep", file("e", "f"), spot{path: "d/e/f", shared: 4}},
		{"gone", lost, spot{is: gone}},
		{"below what is gone", file("gone", "f"), spot{is: gone, above: true}},
		{"below what is left out", file("skip", "f"), spot{path: "skip/f", is: leftOut, above: true}},
		{"too large", big, spot{path: "d/big", is: leftOut, shared: 4}},
		{"in a notebook", file("note", "page.one"), spot{path: "note/page.one", is: leftOut, above: true}},
		{"a shortcut", item{Parent: "root", Name: "s", Type: graph.Shortcut}, spot{path: "s", is: leftOut}},
		{"a name that climbs", file("d", ".."), spot{is: refused}},
		{"a name with a slash", file("d", "a/b"), spot{is: refused}},
		{"below such a name", file("evil", "f"), spot{is: refused, above: true}},
		{"in no folder", file("none", "f"), spot{is: adrift, above: true}},
		{"in a circle", file("c1", "f"), spot{is: adrift, above: true}},
	} {
		got, err := p.of(c.i)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.about, got, err, c.want)
		}
	}
}
