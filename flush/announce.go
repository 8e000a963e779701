package flush

import (
	"context"
	"errors"

	"github.com/duskfs/duskfs/graph"
)

// tell announces something.
func (k *keeper) tell(n Notice) {
	if k.o.Notify != nil {
		n.Drive, n.Name, n.At = k.d.Num, k.d.Name, k.o.Now()
		k.o.Notify(n)
	}
}

// begins announces something that lasts, unless that was done already.
func (k *keeper) begins(n Notice) {
	k.mu.Lock()
	known := k.told[n.Kind]
	k.told[n.Kind] = true
	k.mu.Unlock()
	if !known {
		k.tell(n)
	}
}

// ends takes in that something announced has ended, and reports whether it was announced.
func (k *keeper) ends(kinds ...NoticeKind) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	any := false
	for _, kind := range kinds {
		any = any || k.told[kind]
		delete(k.told, kind)
	}
	return any
}

// judge announces what the end of a cycle says about sign-in and network. Being offline is nobody's concern
// while there is nothing to send.
func (k *keeper) judge(err error) {
	switch {
	case errors.Is(err, graph.SignIn):
		k.begins(Notice{Kind: NoticeSignIn, Text: "the service refuses the sign-in, and nothing is sent until that is mended", Err: err})
	case errors.Is(err, graph.Offline):
		if p, perr := k.outbox.Pending(); perr == nil && p.Items > 0 {
			k.begins(Notice{Kind: NoticeOffline, Text: "the service is out of reach; what is unsent is kept and sent later"})
		}
	case err == nil:
		if k.ends(NoticeSignIn, NoticeOffline) {
			k.tell(Notice{Kind: NoticeBack, Text: "the service is in reach again"})
		}
	}
}

// watch announces how a flush ended that nobody has asked for.
func (k *keeper) watch(ctx context.Context, r DriveResult, err error) {
	switch {
	case ctx.Err() != nil, errors.Is(err, context.Canceled), errors.Is(err, ErrStopped):
		return
	case errors.Is(err, graph.SignIn), errors.Is(err, graph.Offline): // judge has told of them
	case err != nil:
		k.begins(Notice{Kind: NoticeFailed, Text: "a flush ended early: " + err.Error()})
	default:
		k.ends(NoticeFailed)
	}
	if r.Guarded+r.Emptied > 0 {
		k.begins(Notice{Kind: NoticeGuarded, Text: "deletions, or files that became empty, wait to be confirmed; `duskfs flush --confirm-deletes` sends them"})
	} else if err == nil {
		k.ends(NoticeGuarded)
	}
	if r.Deferred > 0 {
		k.begins(Notice{Kind: NoticeDeferred, Text: "not everything could be sent; `duskfs status` says why"})
	} else if err == nil && r.Sent > 0 {
		k.ends(NoticeDeferred)
	}
}
