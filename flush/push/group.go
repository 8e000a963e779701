package push

import (
	"context"
	"sync"

	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
)

// maxBatch is how many steps make their calls together: as many as the service takes in one request
// (graph-facts §8).
const maxBatch = 20

// light reports whether a step is a single small call, which can be made with others. Deletions of
// folders are not: their content is listed before.
func light(s plan.Step) bool {
	switch s.Op {
	case plan.Mkdir, plan.Move, plan.Park, plan.Touch:
		return true
	case plan.Delete:
		return !s.Dir
	}
	return false
}

// group makes the first calls of several steps together. Each step is carried out as if it were
// alone, with a seat in the group in place of the service: its first call waits until every step of the group has
// made one or has ended, and whoever comes last makes them all. Calls after the first, to look and to try
// again, are made alone.
type group struct {
	batch graph.Batcher

	mu      sync.Mutex // guards what follows; a leaf
	left    int        // steps that have neither called nor ended
	calls   []graph.Call
	answers []chan graph.Result
	ids     []string // of the requests made; read after an answer has come
}

// call adds a call, and returns how it ended.
func (g *group) call(ctx context.Context, c graph.Call) graph.Result {
	answer := make(chan graph.Result, 1)
	g.arrive(ctx, func() { g.calls, g.answers = append(g.calls, c), append(g.answers, answer) })
	r := <-answer
	graph.NoteRequests(ctx, g.ids...)
	return r
}

// arrive counts a step, and makes all calls if it was the last.
func (g *group) arrive(ctx context.Context, enter func()) {
	g.mu.Lock()
	enter()
	g.left--
	last := g.left == 0
	g.mu.Unlock()
	if !last || len(g.calls) == 0 {
		return
	}
	var made graph.Requests
	results := g.batch.Batch(made.In(ctx), g.calls) // nobody else comes any more
	g.ids = made.IDs()
	for i, r := range results {
		g.answers[i] <- r
	}
}

// seat is the service for one step of a group.
type seat struct {
	Service
	group *group
	used  bool // by the step's goroutine alone
}

// leave tells the group that the step has ended.
func (s *seat) leave(ctx context.Context) {
	if !s.used {
		s.used = true
		s.group.arrive(ctx, func() {})
	}
}

// first makes the step's first call with those of the others; ok is false for later ones.
func (s *seat) first(ctx context.Context, c graph.Call) (r graph.Result, ok bool) {
	if s.used {
		return r, false
	}
	s.used = true
	return s.group.call(ctx, c), true
}

// Mkdir implements graph.Writer.
func (s *seat) Mkdir(ctx context.Context, parent graph.ItemID, name string) (graph.Item, error) {
	if r, ok := s.first(ctx, graph.Call{Do: graph.DoMkdir, Parent: parent, Name: name}); ok {
		return r.Item, r.Err
	}
	return s.Service.Mkdir(ctx, parent, name)
}

// Update implements graph.Writer.
func (s *seat) Update(ctx context.Context, id graph.ItemID, c graph.Change, ifMatch string) (graph.Item, error) {
	if r, ok := s.first(ctx, graph.Call{Do: graph.DoUpdate, ID: id, Change: c, IfMatch: ifMatch}); ok {
		return r.Item, r.Err
	}
	return s.Service.Update(ctx, id, c, ifMatch)
}

// Delete implements graph.Writer.
func (s *seat) Delete(ctx context.Context, id graph.ItemID, ifMatch string) error {
	if r, ok := s.first(ctx, graph.Call{Do: graph.DoDelete, ID: id, IfMatch: ifMatch}); ok {
		return r.Err
	}
	return s.Service.Delete(ctx, id, ifMatch)
}
