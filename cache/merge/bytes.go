package merge

import (
	"path"
	"strings"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// written reports whether a node's bytes are local work.
func written(n *cache.Node) bool { return n.Written && !n.Dir }

// moved reports whether an item is elsewhere than its base.
func moved(base *cache.Base, in graph.Item) bool {
	return base.Parent != in.Parent || base.Name != in.Name
}

// contentChanged reports whether the bytes of an item are others than its base's: the hash differs,
// or where one is unknown the size or the cTag do. An eTag alone never says so: it counts renames
// and shares too.
func contentChanged(base *cache.Base, in graph.Item) bool {
	switch {
	case base.Dir || in.Type == graph.Folder:
		return false
	case base.Size != in.Size:
		return true
	case base.Hash != "" && in.Hash != "":
		return base.Hash != in.Hash
	case base.CTag != "" && in.CTag != "":
		return base.CTag != in.CTag
	}
	return false
}

// likeness is what is known about two runs of bytes.
type likeness uint8

const (
	different likeness = iota
	same
	unhashed // the local bytes must be read to tell
)

// compare compares the local bytes of a node with the incoming item's. What has no hash is the same
// as nothing.
func compare(c cache.Case, n *cache.Node) likeness {
	in := c.Incoming
	switch {
	case in.Hash == "":
		return different
	case c.LocalHash != "":
		if c.LocalSize == in.Size && c.LocalHash.Equal(in.Hash) && !c.Unlike {
			return same
		}
		return different
	case n.Size != in.Size && !openFor(c, n):
		return different // the size of a file that is open may not have been settled yet
	}
	return unhashed
}

func openFor(c cache.Case, n *cache.Node) bool {
	if n == c.Node {
		return c.Open
	}
	return c.HolderOpen
}

// rewriteWithin is how long after an upload the service may still rewrite the file by itself.
const rewriteWithin = 15 * time.Minute

// rewritten tells the work of the service from that of a person: it puts properties of the library
// into Office, PDF and HTML files some seconds after they were uploaded, and leaves the time that
// was sent with them (Q14). Local work on top of it is no conflict.
func rewritten(c cache.Case) bool {
	base, in := c.Node.Base, c.Incoming
	if base.ModTime.IsZero() || !base.ModTime.Equal(in.ModTime) || c.Now.Sub(base.At) > rewriteWithin {
		return false
	}
	switch strings.ToLower(path.Ext(in.Name)) {
	case ".docx", ".docm", ".dotx", ".xlsx", ".xlsm", ".xltx", ".pptx", ".pptm", ".potx", ".ppsx",
		".doc", ".xls", ".ppt", ".vsdx", ".pub", ".mpp", ".pdf", ".html", ".htm":
		return true
	}
	return false
}
