package flush_test

import (
	"strings"
	"testing"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// refusals are the ways in which the service refuses one change: how that comes about, how it ends, and what
// people read of it.
var refusals = []struct {
	name   string
	fresh  bool // a new file, else a changed one
	begin  func(w *simtest.World) error
	end    func(w *simtest.World) error
	kind   graph.Kind
	advice string // for people
	words  string // of the service
}{
	{"open in Office", false, lock(0), lock(-1), graph.Locked, "somebody has it open", "423"},
	{"open in Office, told otherwise", false, lock(1), lock(-1), graph.Locked, "somebody has it open", ""},
	{"open in Office, told in a third way", false, lock(2), lock(-1), graph.Locked, "somebody has it open", ""},
	{"checked out", false, func(w *simtest.World) error { return w.Far.Checkout("/stuck.txt") },
		func(w *simtest.World) error { return w.Far.CheckIn("/stuck.txt") }, graph.Locked, "checked out", "423"},
	{"a library in which files must be checked out first", false, refuse(graphtest.Fault{Op: "write", Place: "/stuck.txt", Status: 423, Code: "notAllowed", Message: "The file is not checked out.", Times: -1}), mend,
		graph.Locked, "checked out", "not checked out"},
	{"a library whose formula refuses", true, refuse(graphtest.Fault{Op: "write", Place: "/stuck.txt", Status: 500, Code: "generalException", Message: "List data validation failed.", Times: -1}), mend,
		graph.Failed, "every flush tries it again", "validation failed"},
	{"an upload that is under way from elsewhere", false, refuse(graphtest.Fault{Op: graphtest.OpCreateSession, Place: "/stuck.txt", Status: 409, Code: "resourceModified", Message: "An upload session is under way.", Times: -1}), mend,
		"", "every flush tries it again", "upload session is under way"},
	{"a refused name", true, refuse(graphtest.Fault{Op: "write", Place: "/stuck.txt", Status: 400, Code: "invalidRequest", Message: "The provided name cannot contain these characters.", Times: -1}), mend,
		graph.Invalid, "another name", "cannot contain"},
	{"no space left", true, func(w *simtest.World) error { w.Far.SetQuota(40); return nil }, func(w *simtest.World) error { w.Far.SetQuota(0); return nil },
		graph.Full, "drive is full", ""},
	{"not allowed", true, refuse(graphtest.Fault{Op: "write", Place: "/stuck.txt", Status: 403, Code: "accessDenied", Message: "Access denied.", Times: -1}), mend,
		graph.Denied, "ask the owner", "Access denied"},
	{"too large", true, refuse(graphtest.Fault{Op: "write", Place: "/stuck.txt", Status: 413, Code: "maxFileSizeExceeded", Message: "The file is too large.", Times: -1}), mend,
		graph.Invalid, "split it", "too large"},
}

func lock(form int) func(*simtest.World) error {
	return func(w *simtest.World) error { return w.Far.Lock("/stuck.txt", form) }
}

func refuse(f graphtest.Fault) func(*simtest.World) error {
	return func(w *simtest.World) error { w.Server.Inject(f); return nil }
}

func mend(w *simtest.World) error { w.Server.ClearFaults(); return nil }

func TestEveryRefusalIsDeferredByItself(t *testing.T) {
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(d *graphtest.Drive) {
				put(t, d, "/gone", "x")
				if !c.fresh {
					put(t, d, "/stuck.txt", "base")
				}
			}, func(t *testing.T, w *simtest.World) {
				must(t, w.Write("/stuck.txt", simtest.Data("ours", 100)), c.begin(w),
					w.Mkdir("/d"), w.Write("/d/empty", nil), w.Remove("/gone"))
				all, err := w.Engine.Flush(t.Context(), flush.Request{})
				must(t, err)
				r := all.Drives[0]
				if r.Sent != 3 || r.Deferred+r.Conflicts != 1 || r.Left != 1 || !all.InPart() {
					t.Errorf("flush: %+v %+v", r, r.Receipt)
				}
				p := w.Engine.Status().Drives[0].Pending
				if len(p.Deferred) != 1 {
					t.Fatalf("pending: %+v", p)
				}
				d := p.Deferred[0]
				if d.Path != "/stuck.txt" || c.kind != "" && d.Kind != c.kind || !strings.Contains(d.Reason, c.advice) || !strings.Contains(d.Reason, c.words) ||
					!d.Next.After(w.Now()) || d.Tries != 1 {
					t.Errorf("deferred: %+v", d)
				}
				scheduled, err := w.Engine.Flush(t.Context(), flush.Request{Scheduled: true})
				must(t, err)
				if r := scheduled.Drives[0]; r.Receipt != nil {
					t.Errorf("a scheduled flush tried it too early: %+v", r.Receipt)
				}
				// An explicit flush tries it now, and it stays until it succeeds.
				if r := w.Flush(); r.Receipt == nil || r.Sent != 0 || r.Left != 1 {
					t.Errorf("asked for: %+v", r)
				}
				if p := w.Engine.Status().Drives[0].Pending; len(p.Deferred) != 1 || p.Deferred[0].Tries != 2 || !p.Deferred[0].Next.After(d.Next) {
					t.Errorf("after a second try: %+v", p.Deferred)
				}
				must(t, c.end(w))
				if r := w.Flush(); r.Sent != 1 || r.Left != 0 {
					t.Errorf("when nothing refuses it any more: %+v", r)
				}
				w.Equal()
				w.Quiet()
			})
		})
	}
}
