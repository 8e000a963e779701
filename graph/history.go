package graph

import (
	"context"
	"io"
	"time"
)

// Past is one version of the bytes of a file as the service keeps them.
type Past struct {
	ID      string    // such as "3.0"; opaque
	Size    int64     // bytes
	ModTime time.Time // when the service took it, UTC
	By      string    // display name of who made it; may be empty
}

// History reads the versions of files. A [Service] may be one.
type History interface {
	// Versions returns the versions of a file, the current one first.
	Versions(ctx context.Context, id ItemID) ([]Past, error)
	// PastContent opens all bytes of a version. The caller closes the reader; a short body is an error of
	// Read, never a silent EOF.
	PastContent(ctx context.Context, id ItemID, p Past) (io.ReadCloser, error)
}
