package fstest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// Remote is a drive in memory that serves listings and bytes, and counts what it is asked for. It
// knows nothing of how the service behaves; that is graphtest's.
type Remote struct {
	store *cache.Store
	num   cache.DriveNum

	mu      sync.Mutex
	items   map[graph.ItemID]*remoteItem // guarded by mu
	places  map[place]*remoteItem        // guarded by mu: the same by where they are
	last    int                          // guarded by mu: number of the item made last
	offline bool                         // guarded by mu
	hang    chan struct{}                // guarded by mu: not nil: reads wait until it is closed
	reads   int                          // guarded by mu
	bytes   int64                        // guarded by mu
	lists   int                          // guarded by mu
}

type place struct {
	parent graph.ItemID
	name   string
}

type remoteItem struct {
	item  graph.Item
	bytes []byte
	gen   int
}

// Date is the modification time of what Put makes.
var Date = time.Date(2024, 5, 17, 10, 30, 0, 0, time.UTC)

const rootID graph.ItemID = "root"

func newRemote() *Remote {
	r := &Remote{items: map[graph.ItemID]*remoteItem{}, places: map[place]*remoteItem{}}
	r.items[rootID] = &remoteItem{item: graph.Item{ID: rootID, Type: graph.Folder, Root: true, Name: "root", ETag: "root,1", ModTime: Date}}
	return r
}

func (r *Remote) root() graph.Item { return r.items[rootID].item }

// child finds an item by name. The caller has mu.
func (r *Remote) child(parent graph.ItemID, name string) *remoteItem {
	return r.places[place{parent, name}]
}

// Mkdir makes a folder and those above it, and returns its id.
func (r *Remote) Mkdir(p string) graph.ItemID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mkdir(p)
}

func (r *Remote) mkdir(p string) graph.ItemID {
	id := rootID
	for _, name := range strings.Split(strings.Trim(p, "/"), "/") {
		if name == "" {
			continue
		}
		it := r.child(id, name)
		if it == nil {
			it = r.add(graph.Item{Parent: id, Name: name, Type: graph.Folder})
		}
		id = it.item.ID
	}
	return id
}

func (r *Remote) add(item graph.Item) *remoteItem {
	r.last++
	item.ID = graph.ItemID(fmt.Sprintf("item-%d", r.last))
	item.ModTime = Date
	it := &remoteItem{item: item}
	r.items[item.ID], r.places[place{item.Parent, item.Name}] = it, it
	it.touch()
	return it
}

func (it *remoteItem) touch() {
	it.gen++
	it.item.ETag = fmt.Sprintf("%s,%d", it.item.ID, it.gen)
	if it.item.Type == graph.File {
		it.item.CTag = fmt.Sprintf("c:%s,%d", it.item.ID, it.gen)
		it.item.Size = int64(len(it.bytes))
		h := graph.NewQuickXor()
		h.Write(it.bytes)
		it.item.Hash = graph.HashOf(h)
	}
}

// Put makes a file, or gives the one that is there new bytes, without telling anybody.
func (r *Remote) Put(p string, b []byte) graph.ItemID {
	r.mu.Lock()
	defer r.mu.Unlock()
	parent := r.mkdir(path.Dir(p))
	it := r.child(parent, path.Base(p))
	if it == nil {
		it = r.add(graph.Item{Parent: parent, Name: path.Base(p), Type: graph.File})
	}
	it.bytes = bytes.Clone(b)
	it.touch()
	return it.item.ID
}

// SetOffline makes every call fail, or work again.
func (r *Remote) SetOffline(off bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offline = off
}

// Hang makes reads wait until the function that it returns is called.
func (r *Remote) Hang() (resume func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := make(chan struct{})
	r.hang = c
	return sync.OnceFunc(func() {
		close(c)
		r.mu.Lock()
		r.hang = nil
		r.mu.Unlock()
	})
}

// Reads counts the calls of Content so far and the bytes that they were asked for.
func (r *Remote) Reads() (calls int, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads, r.bytes
}

// Lists counts the calls of List so far.
func (r *Remote) Lists() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lists
}

// Content is fs.Remote's.
func (r *Remote) Content(ctx context.Context, id graph.ItemID, v graph.Version, off, n int64) (io.ReadCloser, error) {
	r.mu.Lock()
	r.reads++
	r.bytes += n
	it, offline, hang := r.items[id], r.offline, r.hang
	r.mu.Unlock()
	if offline {
		return nil, &graph.Error{Op: "read", Kind: graph.Offline, Item: string(id)}
	}
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case it == nil:
		return nil, &graph.Error{Op: "read", Kind: graph.NotExist, Item: string(id)}
	case !it.item.Version().Same(v):
		return nil, &graph.Error{Op: "read", Kind: graph.Changed, Item: string(id)}
	case off+n > int64(len(it.bytes)):
		return nil, &graph.Error{Op: "read", Kind: graph.Invalid, Item: string(id), Message: "range beyond the end"}
	}
	return io.NopCloser(bytes.NewReader(it.bytes[off : off+n])), nil
}

// List is fs.Remote's: it applies the children of a folder.
func (r *Remote) List(ctx context.Context, folder cache.Ino) error {
	n, err := r.store.Tree().Get(folder)
	if err != nil {
		return err
	}
	if n.Base == nil {
		return fmt.Errorf("listing %q, which the remote has not", n.Name)
	}
	r.mu.Lock()
	r.lists++
	var items []graph.Item
	for _, it := range r.items {
		if it.item.Parent == n.Base.Item {
			items = append(items, it.item)
		}
	}
	offline := r.offline
	r.mu.Unlock()
	if offline {
		return &graph.Error{Op: "children", Kind: graph.Offline, Item: string(n.Base.Item)}
	}
	sort.Slice(items, func(i, j int) bool { return items[i].Name < items[j].Name })
	return r.store.Inbox(r.num).List(folder, items)
}
