package rest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

func TestMkdir(t *testing.T) {
	simply(t, func(w *world) {
		d, err := w.near.Mkdir(w.ctx(), w.root(), "100% neu #1")
		must(t, err)
		if d.Type != graph.Folder || d.Name != "100% neu #1" || d.Parent != w.root() {
			t.Errorf("got %+v", d)
		}
		_, err = w.near.Mkdir(w.ctx(), w.root(), "100% NEU #1")
		wants(t, err, graph.Exist)
		w.put("/file", nil)
		_, err = w.near.Mkdir(w.ctx(), w.root(), "file")
		wants(t, err, graph.Exist)
		_, err = w.near.Mkdir(w.ctx(), "nothing", "x")
		wants(t, err, graph.NotExist)
		_, err = w.near.Mkdir(w.ctx(), w.root(), "a:b")
		wants(t, err, graph.Invalid)
	})
}

func TestMkdirAnsweredWithNothingIsLookedUp(t *testing.T) {
	simply(t, func(w *world) {
		w.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Empty: true}, graphtest.Fault{Op: graphtest.OpItem, Status: 404, Skip: 1, Times: 4})
		root := w.root()
		var d graph.Item
		n := w.counted(func() {
			var err error
			d, err = w.near.Mkdir(w.ctx(), root, "d")
			must(t, err)
		}, graphtest.OpMkdir)
		if n != 1 || d.Name != "d" || d.ID == "" {
			t.Errorf("%d requests made %+v", n, d)
		}
	})
}

func TestMkdirUnderAParentNotSeenYet(t *testing.T) {
	simply(t, func(w *world) {
		root := w.root()
		w.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Status: 404, Times: 2})
		if _, err := w.near.Mkdir(w.ctx(), root, "d"); err != nil {
			t.Error(err)
		}
	})
}

// A write whose answer is lost is made once and never again.
func TestWritesWithoutAnAnswerAreLost(t *testing.T) {
	writes := map[string]func(*world, context.Context, graph.Item) error{
		graphtest.OpMkdir: func(w *world, ctx context.Context, i graph.Item) error {
			_, err := w.near.Mkdir(ctx, i.Parent, "d")
			return err
		},
		graphtest.OpUpdate: func(w *world, ctx context.Context, i graph.Item) error {
			_, err := w.near.Update(ctx, i.ID, graph.Change{Name: "b"}, "")
			return err
		},
		graphtest.OpDelete: func(w *world, ctx context.Context, i graph.Item) error { return w.near.Delete(ctx, i.ID, "") },
		graphtest.OpPut: func(w *world, ctx context.Context, i graph.Item) error {
			_, err := w.near.Upload(ctx, graph.Upload{Parent: i.Parent, Name: "empty"})
			return err
		},
		graphtest.OpCreateSession: func(w *world, ctx context.Context, i graph.Item) error {
			_, err := w.near.Upload(ctx, upload(graph.Upload{Parent: i.Parent, Name: "new"}, []byte("x")))
			return err
		},
	}
	faults := map[string]graphtest.Fault{
		"answer lost":  {Drop: graphtest.DropAfter},
		"request lost": {Drop: graphtest.DropBefore},
		"500":          {Status: 500}, "502": {Status: 502, Body: "<html>"}, "503": {Status: 503}, "504 yet done": {Status: 504, Work: true},
	}
	for op, write := range writes {
		for name, fault := range faults {
			t.Run(op+" "+name, func(t *testing.T) {
				simply(t, func(w *world) {
					i := w.put("/a", []byte("x"))
					fault.Op, fault.Times = op, -1
					w.Inject(fault)
					n := w.counted(func() { wants(t, write(w, w.ctx(), i), graph.Lost) }, op)
					if n != 1 {
						t.Errorf("%d requests", n)
					}
				})
			})
		}
		t.Run(op+" throttled", func(t *testing.T) {
			simply(t, func(w *world) {
				i := w.put("/a", []byte("x"))
				w.Inject(graphtest.Fault{Op: op, Status: 429, RetryAfter: 100}, graphtest.Fault{Op: op, Status: 503, RetryAfter: 10})
				if err := write(w, w.ctx(), i); err != nil {
					t.Error(err)
				}
				if left := w.ClearFaults(); left > 0 {
					t.Errorf("%d faults were not met", left)
				}
			})
		})
		t.Run(op+" given up", func(t *testing.T) {
			simply(t, func(w *world) {
				i := w.put("/a", []byte("x"))
				ctx, stop := context.WithCancel(w.ctx())
				stop()
				if err := write(w, ctx, i); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestUpdate(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/a", []byte("x"))
		dir, err := w.near.Mkdir(w.ctx(), w.root(), "d")
		must(t, err)
		moved, err := w.near.Update(w.ctx(), i.ID, graph.Change{Parent: dir.ID, Name: "B", ModTime: yesterday}, i.ETag)
		must(t, err)
		if moved.ID != i.ID || moved.Parent != dir.ID || moved.Name != "B" || !moved.ModTime.Equal(yesterday) || moved.ETag == i.ETag {
			t.Errorf("got %+v", moved)
		}
		if moved.Version().CTag != i.CTag {
			t.Error("a move changed the bytes")
		}
		_, err = w.near.Update(w.ctx(), i.ID, graph.Change{Name: "c"}, i.ETag)
		wants(t, err, graph.Changed)
		w.put("/d/taken", nil)
		_, err = w.near.Update(w.ctx(), i.ID, graph.Change{Name: "TAKEN"}, "")
		wants(t, err, graph.Exist)
		w.Inject(graphtest.Fault{Op: graphtest.OpUpdate, Status: 204, Work: true})
		dated, err := w.near.Update(w.ctx(), i.ID, graph.Change{Name: "b"}, "")
		if err != nil || dated.Name != "b" {
			t.Errorf("answered with nothing: %+v, %v", dated, err)
		}
		_, err = w.near.Update(w.ctx(), "nothing", graph.Change{Name: "c"}, "")
		wants(t, err, graph.NotExist)
	})
}

func TestDelete(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/a/b/c", []byte("x"))
		wants(t, w.near.Delete(w.ctx(), i.ID, `"{00000000-0000-0000-0000-000000000000},9"`), graph.Changed)
		must(t, w.near.Delete(w.ctx(), i.ID, i.ETag))
		wants(t, w.near.Delete(w.ctx(), i.ID, ""), graph.NotExist)
		must(t, w.near.Delete(w.ctx(), w.at("/a").ID, ""))
		_, err := w.near.Item(w.ctx(), i.ID)
		wants(t, err, graph.NotExist)
	})
}

func TestRefusalsHaveTheirKinds(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/a", []byte("x"))
		cases := []struct {
			fault graphtest.Fault
			want  graph.Kind
		}{
			{graphtest.Fault{Status: 400}, graph.Invalid},
			{graphtest.Fault{Status: 403}, graph.Denied},
			{graphtest.Fault{Status: 409, Code: "nameAlreadyExists"}, graph.Exist},
			{graphtest.Fault{Status: 409, Code: "nameAlreadyExists", Inner: "similarRelationshipNameAlreadyExists"}, graph.Exist},
			{graphtest.Fault{Status: 409, Code: "resourceModified"}, graph.Changed},
			{graphtest.Fault{Status: 409, Code: "conflict"}, graph.Changed},
			{graphtest.Fault{Status: 412, Code: "notAllowed"}, graph.Changed},
			{graphtest.Fault{Status: 413, Body: "<html>", Type: "text/html"}, graph.Invalid},
			{graphtest.Fault{Status: 423}, graph.Locked},
			{graphtest.Fault{Status: 423, Code: "accessDenied"}, graph.Locked},
			{graphtest.Fault{Status: 403, Code: "notAllowed", Inner: "resourceLocked"}, graph.Locked},
			{graphtest.Fault{Status: 501}, graph.Failed},
			{graphtest.Fault{Status: 507}, graph.Full},
			{graphtest.Fault{Status: 403, Code: "quotaLimitReached"}, graph.Full},
		}
		for _, c := range cases {
			c.fault.Op = graphtest.OpUpdate
			w.Inject(c.fault)
			_, err := w.near.Update(w.ctx(), i.ID, graph.Change{Name: "b"}, "")
			wants(t, err, c.want)
			var e *graph.Error
			if !errors.As(err, &e) || e.Status != c.fault.Status || e.Op != "update" || e.Item != string(i.ID) || e.Message == "" {
				t.Errorf("%+v gave %#v", c.fault, err)
			}
		}
		for form := range 3 {
			must(t, w.far.Lock("/a", form))
			_, err := w.near.Update(w.ctx(), i.ID, graph.Change{Name: "b"}, "")
			wants(t, err, graph.Locked)
		}
	})
}
