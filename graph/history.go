package graph

import (
	"context"
	"io"
	"strconv"
	"strings"
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

// Counted says how many changes the service has counted from one tag of an item to another, such as "{GUID},7" or
// "c:{GUID},9". cTags count changes of the bytes, eTags others too. ok is false for tags that tell nothing, such as those
// of personal drives (graph-facts §3.1).
func Counted(before, after string) (n int64, ok bool) {
	a, n, ok := counter(before)
	b, m, ok2 := counter(after)
	return m - n, ok && ok2 && a == b
}

// counter takes a tag apart.
func counter(tag string) (id string, n int64, ok bool) {
	tag = strings.Trim(tag, `"`)
	i := strings.LastIndexByte(tag, ',')
	if i < 0 || !strings.Contains(tag[:i], "{") {
		return "", 0, false
	}
	n, err := strconv.ParseInt(tag[i+1:], 10, 64)
	return tag[:i], n, err == nil
}
