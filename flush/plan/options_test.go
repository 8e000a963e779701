package plan_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
)

func TestOrder(t *testing.T) {
	w := build(t, "write /m 1", "write /gone 1", "write /r 22")
	w.edit(t, "write /large 333333", "write /r 4444", "mv /m /n", "rm /gone", "mkdir /d", "write /d/small 1")
	for _, c := range []struct {
		order plan.Order
		want  string
	}{
		{"", "/d /n /d/small /r /large /gone"},
		{plan.Small, "/d /n /d/small /r /large /gone"},
		{plan.Large, "/d /n /large /r /d/small /gone"},
		{plan.Oldest, "/d /large /r /n /d/small /gone"},
	} {
		var got []string
		for _, s := range plan.Make(w.view(), plan.Options{Order: c.order}).Steps {
			got = append(got, s.Path)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: %v, want %s", c.order, got, c.want)
		}
	}
	for _, s := range []string{"small", "large", "oldest"} {
		if o, err := plan.ParseOrder(s); err != nil || string(o) != s {
			t.Errorf("%s: %v, %v", s, o, err)
		}
	}
	if _, err := plan.ParseOrder("random"); err == nil {
		t.Error("no error for an order that is none")
	}
}

func TestAFileThatBecameEmptyWaitsToBeConfirmed(t *testing.T) {
	w := build(t, "write /a 12", "write /b 12", "write /none 1")
	w.write("/none", "")
	carryOut(t, w, plan.Make(w.view(), plan.Options{AllowDeletes: true}))
	w.write("/a", "")
	w.write("/none", "")
	w.write("/fresh", "")
	w.edit(t, "write /b 3", "mv /a /moved")
	p := plan.Make(w.view(), plan.Options{})
	if got, want := describe(p.Steps), "0 move /moved from /a\n1 replace /none\n2 create /fresh\n3 replace /b\n"; got != want {
		t.Errorf("planned\n%swant\n%s", got, want)
	}
	if len(p.Emptied) != 1 || p.Emptied[0].Path != "/moved" || p.Emptied[0].Base.Size != 2 || p.Waiting != 0 {
		t.Errorf("held back: %+v, waiting %d", p.Emptied, p.Waiting)
	}
	if p := plan.Make(w.view(), plan.Options{Paths: []string{"/b"}}); len(p.Emptied) != 0 || len(p.Steps) != 1 {
		t.Errorf("told of what was not asked for: %+v", p)
	}
	n := w.nodes[w.find("/moved")]
	n.Emptied = true
	w.nodes[n.Ino] = n
	if p := plan.Make(w.view(), plan.Options{}); len(p.Emptied) != 0 || len(p.Steps) != 5 {
		t.Errorf("emptied by a program, and held back: %+v", p.Emptied)
	}
	n.Emptied = false
	w.nodes[n.Ino] = n
	if p := plan.Make(w.view(), plan.Options{AllowDeletes: true}); len(p.Emptied) != 0 || len(p.Steps) != 5 {
		t.Errorf("confirmed, and held back: %+v", p.Emptied)
	}
}

func TestWithoutDeletionsReplacementsPass(t *testing.T) {
	w := build(t, "write /a 1", "write /b 1", "mkdir /d", "write /d/c 1")
	w.edit(t, "rm /a", "write /a 2", "rm /b", "rm /d")
	p := plan.Make(w.view(), plan.Options{NoDeletes: true, AllowDeletes: true})
	if got, want := describe(p.Steps), "0 create /a as .duskfs-a1.tmp\n1 delete /a after [0]\n2 move /a after [0 1]\n"; got != want {
		t.Errorf("planned\n%swant\n%s", got, want)
	}
	if s := p.Summary(); s.Kept != 3 || s.Guarded != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

func TestChangesAreTold(t *testing.T) {
	w := build(t, "write /a 1", "write /b 22", "mkdir /d", "write /d/e 1", "write /x 1", "write /t 1", "mkdir /old", "mkdir /old/deep", "write /old/deep/f 1")
	w.edit(t, "write /a 333", "write /b 4444", "mv /b /c", "rm /d", "write /new 55555", "mkdir /dir", "rm /x", "touch /t", "rm /old/deep")
	want := []plan.Change{
		{Kind: plan.Modified, Path: "/a", OldSize: 1, Size: 3},
		{Kind: plan.Renamed, Path: "/c", From: "/b", OldSize: 2, Size: 4},
		{Kind: plan.Modified, Path: "/c", OldSize: 2, Size: 4},
		{Kind: plan.Deleted, Path: "/d", Dir: true, Items: 2},
		{Kind: plan.New, Path: "/dir", Dir: true},
		{Kind: plan.New, Path: "/new", Size: 5},
		{Kind: plan.Deleted, Path: "/old/deep", Dir: true, Items: 2},
		{Kind: plan.Dated, Path: "/t", OldSize: 1, Size: 1},
		{Kind: plan.Deleted, Path: "/x", OldSize: 1},
	}
	got := plan.Changes(w.view())
	for i := range got {
		got[i].Since, got[i].Ino, got[i].Item = want[0].Since, 0, ""
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if got := plan.Changes(w.view(), "/b", "/old"); len(got) != 2 || got[0].From != "/b" || got[1].Path != "/old/deep" {
		t.Errorf("limited: %+v", got)
	}
	if got := plan.Changes(cache.View{}); len(got) != 0 {
		t.Errorf("nothing pending: %+v", got)
	}
}

func TestWhatWasDeletedWithAFolderIsAskedForByItself(t *testing.T) {
	w := build(t, "mkdir /d", "mkdir /d/e", "write /d/e/f 1", "write /d/e/g 1", "write /d/h 1")
	w.edit(t, "rm /d/e/f", "rm /d/e/g", "rm /d/e", "rm /d/h", "rm /d")
	for _, c := range []struct{ path, change, steps string }{
		{"/d/e/f", "/d/e/f", "0 delete /d/e/f\n"},
		{"/d/e", "/d/e", "0 delete /d/e with 2 below\n"},
		{"/d", "/d", "0 delete /d with 4 below\n"},
		{"/", "/d", "0 delete /d with 4 below\n"},
	} {
		if got := plan.Changes(w.view(), c.path); len(got) != 1 || got[0].Path != c.change {
			t.Errorf("%s: changes %+v", c.path, got)
		}
		if got := describe(plan.Make(w.view(), plan.Options{Paths: []string{c.path}}).Steps); got != c.steps {
			t.Errorf("%s: planned\n%swant\n%s", c.path, got, c.steps)
		}
	}
	if got := plan.Make(w.view(), plan.Options{Paths: []string{"/d/e/f", "/d/h"}}); len(got.Steps) != 2 {
		t.Errorf("two: %+v", got.Steps)
	}
}
