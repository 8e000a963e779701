package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
)

func TestPlans(t *testing.T) {
	cases := []struct {
		name   string
		before []string
		edits  []string
		want   string
	}{
		{"nothing to do", []string{"write /a 1"}, nil, ""},
		{"a new file", nil, []string{"write /a 1"}, "0 create /a\n"},
		{"parents first", nil, []string{"mkdir /d", "mkdir /d/e", "write /d/e/a 1"},
			"0 mkdir /d\n1 mkdir /d/e after [0]\n2 create /d/e/a after [1]\n"},
		{"parents first, though the child is older", []string{"write /a 1"}, []string{"mv /a /b", "mkdir /d", "mv /b /d/b"},
			"0 mkdir /d\n1 move /d/b from /a after [0]\n"},
		{"new bytes", []string{"write /a 1"}, []string{"write /a 2"}, "0 replace /a\n"},
		{"a new time alone", []string{"write /a 1"}, []string{"touch /a"}, "0 touch /a\n"},
		{"a move carries the time", []string{"write /a 1"}, []string{"touch /a", "mv /a /b"}, "0 move /b from /a\n"},
		{"a move with new bytes", []string{"write /a 1"}, []string{"write /a 2", "mv /a /b"},
			"0 move /b from /a\n1 replace /b\n"},
		{"another case of a name", []string{"write /a 1"}, []string{"mv /a /A"}, "0 move /A from /a\n"},
		{"a swap of names", []string{"write /a 1", "write /b 2"}, []string{"mv /a /t", "mv /b /a", "mv /t /b"},
			"0 park /a from /b as .duskfs-b2.tmp\n1 move /b from /a after [0]\n2 move /a from /b after [0 1]\n"},
		{"a rotation of three", []string{"write /a 1", "write /b 2", "write /c 3"},
			[]string{"mv /a /t", "mv /b /a", "mv /c /b", "mv /t /c"},
			"0 park /a from /b as .duskfs-b2.tmp\n1 move /b from /c after [0]\n2 move /c from /a after [1]\n3 move /a from /b after [0 2]\n"},
		{"a chain of names frees the last first", []string{"write /a 1", "write /b 2"}, []string{"mv /b /c", "mv /a /b"},
			"0 move /c from /b\n1 move /b from /a after [0]\n"},
		{"folder replaced by a file", []string{"mkdir /d", "write /d/a 1"}, []string{"rm /d", "write /d 2"},
			"0 create /d as .duskfs-d1.tmp\n1 delete /d after [0] with 1 below\n2 move /d after [0 1]\n"},
		{"file replaced by a folder", []string{"write /d 1"}, []string{"rm /d", "mkdir /d", "write /d/a 2"},
			"0 delete /d\n1 mkdir /d after [0]\n2 create /d/a after [1]\n"},
		{"file replaced by a new one, late", []string{"write /a 1"}, []string{"rm /a", "write /a 2"},
			"0 create /a as .duskfs-a1.tmp\n1 delete /a after [0]\n2 move /a after [0 1]\n"},
		{"file replaced by one that was elsewhere", []string{"write /a 1", "write /b 2"}, []string{"mv /b /a"},
			"0 delete /a\n1 move /a from /b after [0]\n"},
		{"a save by rename that left the backup", []string{"write /a 1"}, []string{"mv /a /a~", "write /a 2"},
			"0 move /a~ from /a\n1 create /a after [0]\n"},
		{"out of a folder that is deleted", []string{"mkdir /d", "write /d/a 1", "write /d/b 2"}, []string{"mv /d/a /a", "rm /d"},
			"0 move /a from /d/a\n1 delete /d after [0] with 1 below\n"},
		{"a file takes the name of its own folder", []string{"mkdir /d", "write /d/a 1"}, []string{"mv /d/a /t", "rm /d", "mv /t /d"},
			"0 park /d from /d/a as .duskfs-a2.tmp\n1 delete /d after [0]\n2 move /d from /d/a after [0 1]\n"},
		{"a folder goes below its own child", []string{"mkdir /a", "mkdir /a/b"}, []string{"mv /a/b /b", "mv /a /b/a"},
			"0 move /b from /a/b\n1 move /b/a from /a after [0]\n"},
		{"deletions come last", []string{"write /a 1", "write /b 2"}, []string{"rm /a", "write /b 3", "write /c 4"},
			"0 replace /b\n1 create /c\n2 delete /a\n"},
		{"a folder with all in it is one deletion", []string{"mkdir /d", "mkdir /d/e", "write /d/e/a 1", "write /d/b 2"}, []string{"rm /d"},
			"0 delete /d with 3 below\n"},
		{"a folder that was moved in the meantime", []string{"mkdir /d", "write /d/a 1", "mkdir /e"}, []string{"mv /d /e/d", "write /e/d/b 1", "rm /e/d/a"},
			"0 move /e/d from /d\n1 create /e/d/b\n2 delete /e/d/a\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := build(t, c.before...)
			w.edit(t, c.edits...)
			p := plan.Make(w.view(), plan.Options{})
			if got := describe(p.Steps); got != c.want {
				t.Errorf("planned\n%swant\n%s", got, c.want)
			}
			carryOut(t, w, p)
		})
	}
}

type fataler interface{ Fatalf(string, ...any) }

// carryOut runs a plan and compares the trees.
func carryOut(t fataler, w *world, p plan.Plan) {
	for i, s := range p.Steps {
		if err := w.run(s); err != nil {
			t.Fatalf("step %d: %v\n%s", i, err, describe(p.Steps))
		}
	}
	if d := w.differences(); len(d) > 0 {
		t.Fatalf("trees differ:\n%s\nafter\n%s", strings.Join(d, "\n"), describe(p.Steps))
	}
	if again := plan.Make(w.view(), plan.Options{}); len(again.Steps) > 0 {
		t.Fatalf("a second flush would send\n%s", describe(again.Steps))
	}
}

func TestARemovedFolderWhoseChildCannotMoveIsDeletedPieceByPiece(t *testing.T) {
	w := build(t, "mkdir /d", "write /d/a 1", "write /d/b 2", "mkdir /d/e", "write /d/e/c 3")
	w.edit(t, "mv /d/a /a", "rm /d")
	ino := w.find("/a")
	n := w.nodes[ino]
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	n.Deferred = &cache.Deferral{Next: now.Add(time.Hour)}
	w.nodes[ino] = n
	p := plan.Make(w.view(), plan.Options{Due: now})
	if got, want := describe(p.Steps), "0 delete /d/b\n1 delete /d/e with 1 below\n"; got != want {
		t.Errorf("planned\n%swant\n%s", got, want)
	}
	if p.Waiting != 1 {
		t.Errorf("Waiting = %d", p.Waiting)
	}
	for _, s := range p.Steps {
		if err := w.run(s); err != nil {
			t.Fatal(err)
		}
	}
	carryOut(t, w, plan.Make(w.view(), plan.Options{Due: now.Add(2 * time.Hour)}))
}

func TestWhatNeedsADeferredChangeWaitsToo(t *testing.T) {
	w := build(t, "write /a 1", "write /b 2")
	w.edit(t, "mkdir /d", "mv /a /d/a", "mv /b /a", "write /c 3")
	ino := w.find("/d")
	n := w.nodes[ino]
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	n.Deferred = &cache.Deferral{Next: now.Add(time.Hour)}
	w.nodes[ino] = n
	p := plan.Make(w.view(), plan.Options{Due: now})
	if got, want := describe(p.Steps), "0 create /c\n"; got != want || p.Waiting != 3 {
		t.Errorf("planned\n%swant\n%sWaiting = %d", got, want, p.Waiting)
	}
	if got := plan.Make(w.view(), plan.Options{}); len(got.Steps) != 4 {
		t.Errorf("asked for by hand, it plans\n%s", describe(got.Steps))
	}
}

func TestPathsTakeWithThemWhatTheyNeed(t *testing.T) {
	w := build(t, "write /a 1", "write /b 2", "mkdir /old")
	w.edit(t, "mkdir /d", "mkdir /d/e", "write /d/e/f 1", "mkdir /other", "write /dd 1", "mv /a /x", "mv /b /a", "rm /old")
	cases := []struct {
		path, want string
	}{
		{"/d/e", "0 mkdir /d\n1 mkdir /d/e after [0]\n2 create /d/e/f after [1]\n"},
		{"d", "0 mkdir /d\n1 mkdir /d/e after [0]\n2 create /d/e/f after [1]\n"},
		{"/a", "0 move /x from /a\n1 move /a from /b after [0]\n"},
		{"/b", "0 move /x from /a\n1 move /a from /b after [0]\n"},
		{"/old", "0 delete /old\n"},
		{"/none", ""},
	}
	for _, c := range cases {
		p := plan.Make(w.view(), plan.Options{Paths: []string{c.path}})
		if got := describe(p.Steps); got != c.want {
			t.Errorf("%s: planned\n%swant\n%s", c.path, got, c.want)
		}
	}
}

func many(t *testing.T, n, gone int) *world {
	t.Helper()
	w := newWorld()
	w.edit(t, "mkdir /d")
	for i := range n {
		w.write(fmt.Sprintf("/d/%d", i), "1")
	}
	w.sync()
	for i := range gone {
		w.remove(fmt.Sprintf("/d/%d", i))
	}
	return w
}

func TestGuard(t *testing.T) {
	cases := []struct {
		name        string
		items, gone int
		o           plan.Options
		held        int
	}{
		{"few of few", 30, 19, plan.Options{}, 0},
		{"twenty of few", 30, 20, plan.Options{}, 20},
		{"twenty of many", 300, 20, plan.Options{}, 0},
		{"a hundred of very many", 2000, 100, plan.Options{}, 0},
		{"more than a hundred of very many", 2000, 101, plan.Options{}, 101},
		{"confirmed", 2000, 101, plan.Options{AllowDeletes: true}, 0},
		{"share of an unknown whole", 30, 20, plan.Options{Partial: true}, 0},
		{"switched off", 2000, 101, plan.Options{Guard: plan.Guard{Max: -1}}, 0},
		{"own limit", 300, 6, plan.Options{Guard: plan.Guard{Max: 5, Min: 1000, Percent: 100}}, 6},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := many(t, c.items, c.gone)
			w.edit(t, "write /new 1")
			p := plan.Make(w.view(), c.o)
			if len(p.Guarded) != c.held {
				t.Errorf("%d held back, want %d", len(p.Guarded), c.held)
			}
			if want := 1 + c.gone - c.held; len(p.Steps) != want {
				t.Errorf("%d steps, want %d", len(p.Steps), want)
			}
		})
	}
}

func TestGuardCountsWhatIsInAFolder(t *testing.T) {
	w := many(t, 150, 0)
	w.edit(t, "rm /d")
	p := plan.Make(w.view(), plan.Options{})
	if len(p.Steps) != 0 || len(p.Guarded) != 1 || len(p.Guarded[0].Known) != 150 {
		t.Errorf("planned\n%sguarded\n%s", describe(p.Steps), describe(p.Guarded))
	}
}

func TestGuardLetsReplacementsPass(t *testing.T) {
	w := many(t, 150, 150)
	for i := range 150 {
		w.write(fmt.Sprintf("/d/%d", i), "2")
	}
	p := plan.Make(w.view(), plan.Options{})
	if len(p.Guarded) != 0 {
		t.Errorf("%d held back", len(p.Guarded))
	}
	carryOut(t, w, p)
}

func TestLocalOnlyIsNeverSent(t *testing.T) {
	w := build(t)
	w.edit(t, "write /a 1", "write /.DS_Store 1")
	n := w.nodes[w.find("/.DS_Store")]
	n.LocalOnly = true
	w.nodes[n.Ino] = n
	if got, want := describe(plan.Make(w.view(), plan.Options{}).Steps), "0 create /a\n"; got != want {
		t.Errorf("planned\n%swant\n%s", got, want)
	}
}

func TestSummary(t *testing.T) {
	w := build(t, "write /a 1", "write /b 1")
	w.edit(t, "write /c 12345", "rm /a", "mv /b /d")
	s := plan.Make(w.view(), plan.Options{}).Summary()
	if s.Requests != 4 || s.Bytes != 5 || len(s.Steps) != 3 {
		t.Errorf("%+v", s)
	}
	if s.Steps[0] != (plan.Summand{Op: plan.Move, Path: "/d", From: "/b"}) {
		t.Errorf("%+v", s.Steps[0])
	}
	if s.Units != 6 || s.Estimate(time.Second, 2, 5) != 3*time.Second {
		t.Errorf("%d units, %v", s.Units, s.Estimate(time.Second, 2, 5))
	}
}

// life makes random edits between which everything is agreed once.
func life(t *rapid.T, w *world) {
	names := []string{"a", "A", "b", "B", "c", "d"}
	anywhere := func(label string) string {
		n := rapid.IntRange(1, 3).Draw(t, label)
		p := ""
		for range n {
			p += "/" + rapid.SampledFrom(names).Draw(t, label)
		}
		return p
	}
	edits := func(n int) {
		for range n {
			switch rapid.IntRange(0, 9).Draw(t, "edit") {
			case 0, 1:
				w.mkdir(anywhere("mkdir"))
			case 2, 3:
				w.write(anywhere("write"), fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "bytes")))
			case 4:
				w.remove(anywhere("rm"))
			case 5:
				w.touch(anywhere("touch"), time.Date(2026, 2, 1, 0, 0, int(w.seq), 0, time.UTC))
			default:
				w.move(anywhere("from"), anywhere("to"))
			}
		}
	}
	edits(rapid.IntRange(0, 30).Draw(t, "before"))
	w.sync()
	edits(rapid.IntRange(0, 30).Draw(t, "after"))
}

func TestEveryLifeEndsEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		life(t, w)
		carryOut(t, w, plan.Make(w.view(), plan.Options{Guard: plan.Guard{Max: -1}}))
	})
}

func TestEveryLifeCanStopAnywhereAndBePlannedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		life(t, w)
		for range 3 {
			p := plan.Make(w.view(), plan.Options{Guard: plan.Guard{Max: -1}})
			for _, s := range p.Steps[:rapid.IntRange(0, len(p.Steps)).Draw(t, "stop")] {
				if err := w.run(s); err != nil {
					t.Fatalf("%v\n%s", err, describe(p.Steps))
				}
			}
		}
		carryOut(t, w, plan.Make(w.view(), plan.Options{Guard: plan.Guard{Max: -1}}))
	})
}

func TestEveryLifeMayRunInAnyOrderThatHonoursAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		life(t, w)
		p := plan.Make(w.view(), plan.Options{Guard: plan.Guard{Max: -1}})
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1))
		done := make([]bool, len(p.Steps))
		for range p.Steps {
			var ready []int
			for i, s := range p.Steps {
				waits := done[i] || slices.ContainsFunc(s.After, func(d int) bool { return !done[d] })
				for j := range i {
					waits = waits || !done[j] && s.Ino == p.Steps[j].Ino
				}
				if !waits {
					ready = append(ready, i)
				}
			}
			if len(ready) == 0 {
				t.Fatalf("nothing can go on:\n%s", describe(p.Steps))
			}
			i := ready[rnd.IntN(len(ready))]
			done[i] = true
			if err := w.run(p.Steps[i]); err != nil {
				t.Fatalf("step %d: %v\n%s", i, err, describe(p.Steps))
			}
		}
		if d := w.differences(); len(d) > 0 {
			t.Fatalf("trees differ:\n%s\nafter\n%s", strings.Join(d, "\n"), describe(p.Steps))
		}
	})
}

func TestSamePlanEveryTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		life(t, w)
		first := describe(plan.Make(w.view(), plan.Options{}).Steps)
		if again := describe(plan.Make(w.clone().view(), plan.Options{}).Steps); again != first {
			t.Fatalf("first\n%sthen\n%s", first, again)
		}
	})
}

func TestFailedStepsBlockOnlyWhatNeedsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		life(t, w)
		p := plan.Make(w.view(), plan.Options{Guard: plan.Guard{Max: -1}})
		failed := map[int]bool{}
		for i, s := range p.Steps {
			if slices.ContainsFunc(s.After, func(d int) bool { return failed[d] }) || rapid.IntRange(0, 9).Draw(t, "fate") == 0 {
				failed[i] = true
				continue
			}
			if err := w.run(s); err != nil {
				t.Fatalf("step %d: %v\n%s", i, err, describe(p.Steps))
			}
		}
		carryOut(t, w, plan.Make(w.view(), plan.Options{Guard: plan.Guard{Max: -1}}))
	})
}
