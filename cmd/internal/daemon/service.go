package daemon

import (
	"context"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/rest"
)

// Service finds a drive and returns it without a cache in between.
func (a *Account) Service(ctx context.Context, spec rest.Spec) (graph.Drive, graph.Service, error) {
	d, err := a.client.Find(ctx, spec)
	if err != nil {
		return graph.Drive{}, nil, err
	}
	return d, a.client.Drive(d.ID), nil
}
