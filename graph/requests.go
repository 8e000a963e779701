package graph

import (
	"context"
	"sync"
)

// Requests collects the service's ids of the requests that may have changed something and were made with a
// context, so that a record of them can be looked up by whoever runs the service. It keeps the last ten, and is safe for
// concurrent use.
type Requests struct {
	mu  sync.Mutex
	ids []string
}

const mostRequests = 10

type requestsKey struct{}

// In returns a context whose requests are collected here, and in no other Requests.
func (r *Requests) In(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestsKey{}, r)
}

// IDs returns the ids so far, oldest first.
func (r *Requests) IDs() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ids...)
}

// NoteRequests enters ids for whoever collects those of a context. Implementations of [Writer] call it.
func NoteRequests(ctx context.Context, ids ...string) {
	r, ok := ctx.Value(requestsKey{}).(*Requests)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if id != "" {
			r.ids = append(r.ids, id)
		}
	}
	if over := len(r.ids) - mostRequests; over > 0 {
		r.ids = append([]string(nil), r.ids[over:]...)
	}
}
