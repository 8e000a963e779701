package flush

import (
	"context"
	"errors"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/graph"
)

// hidden notes a file that was sent and could not be checked in.
func (k *keeper) hidden(item graph.ItemID, path, reason string) {
	k.note.addUnpublished(k.d.Num, unpublished{Item: item, Path: path, Reason: reason, Since: k.o.Now().UTC(), Tries: 1})
}

// publish tries again to check in what earlier flushes have sent and could not check in.
func (f *flight) publish(ctx context.Context) error {
	list := f.note.unpublished(f.d.Num)
	c, ok := f.d.Service.(graph.CheckIner)
	if len(list) == 0 || !ok {
		return nil
	}
	var left []unpublished
	for i, u := range list {
		_, err := push.CheckIn(ctx, c, u.Item)
		switch {
		case errors.Is(err, graph.NotExist):
			continue // deleted there meanwhile
		case graph.Stops(ctx, err):
			f.note.setUnpublished(f.d.Num, append(left, list[i:]...))
			return err
		}
		step := cache.ReceiptStep{Op: "check in", Path: u.Path, Item: string(u.Item), Outcome: string(push.Sent)}
		if err != nil {
			f.res.Deferred++
			u.Reason, u.Tries = push.Unpublished(err), u.Tries+1
			step.Outcome, step.Reason = string(push.Deferred), u.Reason
			left = append(left, u)
		} else {
			f.res.Sent++
		}
		f.receipt.Steps = append(f.receipt.Steps, step)
		f.items = append(f.items, ReceiptItem{Op: step.Op, Path: u.Path, Item: u.Item, Outcome: step.Outcome, Reason: step.Reason})
	}
	f.note.setUnpublished(f.d.Num, left)
	return nil
}
