package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// What a service may be besides. One that is not is skipped.

func batches(p *place) {
	b, ok := p.Service.(graph.Batcher)
	if !ok {
		p.Skipf("the service makes no batches")
	}
	gone, kept := p.file(p.dir.ID, "gone", noise(10, 1)), p.file(p.dir.ID, "kept", noise(10, 2))
	calls := []graph.Call{
		{Do: graph.DoDelete, ID: gone.ID},
		{Do: graph.DoUpdate, ID: kept.ID, Change: graph.Change{Name: "renamed"}, IfMatch: kept.ETag},
		{Do: graph.DoMkdir, Parent: p.dir.ID, Name: "new 00"},
		{Do: graph.DoMkdir, Parent: p.dir.ID, Name: "NEW 00"}, // one of the two
	}
	for n := 1; n < 20; n++ { // more than one request takes
		calls = append(calls, graph.Call{Do: graph.DoMkdir, Parent: p.dir.ID, Name: fmt.Sprintf("new %02d", n)})
	}
	results := b.Batch(p.Context(), calls)
	if len(results) != len(calls) {
		p.Fatalf("%d results for %d calls", len(results), len(calls))
	}
	taken := 0
	for n, r := range results {
		switch {
		case errors.Is(r.Err, graph.Exist) && (n == 2 || n == 3):
			taken++
		case r.Err != nil:
			p.Errorf("call %d: %s", n, tell(r.Err))
		}
	}
	if taken != 1 {
		p.Errorf("of two folders with one name %d were refused", taken)
	}
	got := p.listed(p.dir.ID)
	if len(got) != 21 || got["renamed"].ID != kept.ID {
		p.Errorf("%d items are listed, want 21; the renamed one is there: %v", len(got), got["renamed"].ID == kept.ID)
	}
}

func history(p *place) {
	h, ok := p.Service.(graph.History)
	if !ok {
		p.Skipf("the service tells no versions")
	}
	old, now := noise(1000, 1), noise(1200, 2)
	i := p.file(p.dir.ID, "f.bin", old)
	_, err := p.replace(i, now)
	p.must("replace", err)
	all, err := h.Versions(p.Context(), i.ID)
	p.must("versions", err)
	if len(all) != 2 || all[0].Size != int64(len(now)) || all[1].Size != int64(len(old)) {
		p.Fatalf("%d versions, want the new one and the old one", len(all))
	}
	r, err := h.PastContent(p.Context(), i.ID, all[1])
	p.must("the old version", err)
	got, err := io.ReadAll(r)
	p.must("read the old version", errors.Join(err, r.Close()))
	if !bytes.Equal(got, old) {
		p.Errorf("the old version has %d other bytes", len(got))
	}
}

func sharing(p *place) {
	s, ok := p.Service.(graph.Sharing)
	if !ok {
		p.Skipf("the service tells no permissions")
	}
	i := p.file(p.dir.ID, "f.bin", noise(10, 1))
	one, err := s.Permissions(p.Context(), i.ID)
	if errors.Is(err, graph.Denied) {
		p.Skipf("permissions may not be read")
	}
	p.must("permissions", err)
	most := graph.NoLevel
	for _, g := range one {
		most = max(most, g.Level())
		if g.Link == nil && len(g.To) == 0 {
			p.Errorf("a permission of nobody, with roles %q", g.Roles)
		}
	}
	if most < graph.Edit {
		p.Errorf("nobody may write the file; the highest of %d levels is %q", len(one), most)
	}
	many := s.PermissionsOf(p.Context(), []graph.ItemID{p.dir.ID, i.ID})
	if len(many) != 2 || many[1].Item != i.ID {
		p.Fatalf("%d answers for 2 items", len(many))
	}
	for _, g := range many {
		p.must("permissions of many", g.Err)
	}
	if len(many[1].All) != len(one) {
		p.Errorf("the file has %d permissions alone, and %d among others", len(one), len(many[1].All))
	}
}

// noticeWait is how long a notice of a change may take. They come within seconds, which nobody promises.
const noticeWait = 90 * time.Second

func notices(p *place) {
	n, ok := p.Service.(graph.Notifier)
	if !ok {
		p.Skipf("the service gives no notices of changes")
	}
	ctx, cancel := context.WithTimeout(p.Context(), noticeWait)
	defer cancel()
	heard, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() {
		ended <- n.Notices(ctx, func() {
			select {
			case heard <- struct{}{}:
			default:
			}
		})
	}()
	defer func() { cancel(); <-ended }()
	wait := func(what string) {
		select {
		case <-heard:
		case err := <-ended:
			ended <- err
			if errors.Is(err, graph.NoNotices) {
				p.Skipf("the drive gives no notices of changes")
			}
			p.Fatalf("%s: %s", what, tell(err))
		}
	}
	wait("the connection")
	p.file(p.dir.ID, "f.bin", noise(10, 1))
	began := time.Now()
	wait("the notice of a new file")
	p.Logf("a notice came after %s", time.Since(began).Round(100*time.Millisecond))
}
