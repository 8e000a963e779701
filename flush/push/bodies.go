package push

import (
	"context"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
)

// Bodies is where the bytes are of what is sent. That of a mount is its content store; that of an upload is
// a plain folder.
type Bodies interface {
	// Local opens the bytes of a node that is sent. fs.ErrNotExist if there are none: the plan is old.
	Local(ino cache.Ino) (Body, error)
}

// Body is an open file that may be written to meanwhile.
type Body interface {
	Size() int64
	ModTime() time.Time
	// Seal returns the bytes as they are now, as of sequence seq.
	Seal(ctx context.Context, seq cache.Seq) (Snapshot, error)
	Close() error
}

// Snapshot is a file as it is to be sent. It ends, and ReadAt fails with content.ErrUnsealed, when somebody
// writes to the file.
type Snapshot interface {
	source
	ModTime() time.Time
	// Freeze makes a copy that no writer reaches.
	Freeze() (*content.Frozen, error)
	Release()
}

// contentBodies are the bodies of a mount.
type contentBodies struct{ store *content.Store }

func (c contentBodies) Local(ino cache.Ino) (Body, error) {
	f, err := c.store.Local(uint64(ino))
	if err != nil {
		return nil, err
	}
	return contentBody{f}, nil
}

type contentBody struct{ *content.File }

func (b contentBody) Seal(_ context.Context, seq cache.Seq) (Snapshot, error) {
	s, err := b.File.Seal(uint64(seq))
	if err != nil {
		return nil, err
	}
	return s, nil
}
