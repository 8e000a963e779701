package refresh_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// service is a drive in memory. Its feed tells the latest state of what changed since a place.
type service struct {
	mu      sync.Mutex
	items   map[graph.ItemID]graph.Item
	bodies  map[graph.ItemID]string
	changed map[graph.ItemID]int // the clock when an item last changed, also of deleted ones
	clock   int
	version int
	page    int // items a page of the feed

	hidden map[graph.ItemID]bool // left out of the feed, as the service does now and then
	forgot bool                  // every place but Start is forgotten
	fail   func(op string) error // may fail a call

	deltas, starts, gets, lists int
}

func newService() *service {
	return &service{
		items:   map[graph.ItemID]graph.Item{"root": {ID: "root", Name: "root", Type: graph.Folder, Root: true, ETag: "root-1"}},
		bodies:  map[graph.ItemID]string{},
		changed: map[graph.ItemID]int{"root": 0},
		hidden:  map[graph.ItemID]bool{},
		page:    3,
	}
}

func hashOf(text string) graph.Hash {
	h := graph.NewQuickXor()
	io.WriteString(h, text)
	return graph.HashOf(h)
}

var morning = time.Date(2026, 3, 4, 7, 0, 0, 0, time.UTC)

// touch gives an item a new eTag and puts it into the feed.
func (s *service) touch(i graph.Item) {
	s.clock++
	s.version++
	i.ETag = fmt.Sprintf("%s-%d", i.ID, s.version)
	s.items[i.ID], s.changed[i.ID] = i, s.clock
}

func (s *service) folder(id, parent graph.ItemID, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touch(graph.Item{ID: id, Parent: parent, Name: name, Type: graph.Folder, ModTime: morning})
}

func (s *service) file(id, parent graph.ItemID, name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies[id] = text
	s.touch(graph.Item{
		ID: id, Parent: parent, Name: name, Type: graph.File, Size: int64(len(text)), Hash: hashOf(text),
		CTag: fmt.Sprintf("c%d", s.version), ModTime: morning.Add(time.Duration(s.version) * time.Minute),
	})
}

// write changes the bytes of a file.
func (s *service) write(id graph.ItemID, text string) {
	s.mu.Lock()
	i := s.items[id]
	s.mu.Unlock()
	s.file(id, i.Parent, i.Name, text)
}

func (s *service) move(id, parent graph.ItemID, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.items[id]
	i.Parent, i.Name = parent, name
	s.touch(i)
}

// remove deletes an item and all below it. Only the item itself comes in the feed.
func (s *service) remove(id graph.ItemID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	s.changed[id] = s.clock
	s.drop(id)
}

func (s *service) drop(id graph.ItemID) {
	delete(s.items, id)
	for child, i := range maps.Clone(s.items) {
		if i.Parent == id {
			delete(s.changed, child)
			s.drop(child)
		}
	}
}

func (s *service) failing(op string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(op)
}

// Delta gives places the form clock/offset, where the clock is that of the last page before.
func (s *service) Delta(ctx context.Context, from graph.Link) (graph.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deltas++
	if err := cmp.Or(ctx.Err(), s.failing("delta")); err != nil {
		return graph.Page{}, err
	}
	if from == graph.Latest {
		return graph.Page{Next: graph.Link(fmt.Sprintf("%d/0", s.clock)), Done: true}, nil
	}
	since, offset := -1, 0
	if from == graph.Start {
		s.starts++
	} else {
		if s.forgot {
			s.forgot = false
			return graph.Page{}, &graph.Error{Op: "delta", Kind: graph.Restart}
		}
		a, b, _ := strings.Cut(string(from), "/")
		since, _ = strconv.Atoi(a)
		offset, _ = strconv.Atoi(b)
	}
	var ids []graph.ItemID
	for id, at := range s.changed {
		if _, lives := s.items[id]; at > since && !s.hidden[id] && (lives || since >= 0) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b graph.ItemID) int { return cmp.Compare(s.changed[a], s.changed[b]) })
	page := graph.Page{}
	for _, id := range ids[min(offset, len(ids)):min(offset+s.page, len(ids))] {
		i, lives := s.items[id]
		if !lives {
			i = graph.Item{ID: id, Deleted: true}
		}
		page.Items = append(page.Items, i)
	}
	if offset += s.page; offset < len(ids) {
		page.Next = graph.Link(fmt.Sprintf("%d/%d", since, offset))
	} else {
		page.Next, page.Done = graph.Link(fmt.Sprintf("%d/0", s.clock)), true
	}
	return page, nil
}

func (s *service) Item(ctx context.Context, id graph.ItemID) (graph.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	if err := cmp.Or(ctx.Err(), s.failing("item")); err != nil {
		return graph.Item{}, err
	}
	i, lives := s.items[id]
	if !lives {
		return graph.Item{}, &graph.Error{Op: "item", Kind: graph.NotExist, Item: string(id)}
	}
	return i, nil
}

func (s *service) Root(ctx context.Context) (graph.Item, error) { return s.Item(ctx, "root") }

func (s *service) Child(ctx context.Context, parent graph.ItemID, name string) (graph.Item, error) {
	for i, err := range s.Children(ctx, parent) {
		if err != nil || strings.EqualFold(i.Name, name) {
			return i, err
		}
	}
	return graph.Item{}, graph.NotExist
}

func (s *service) Children(ctx context.Context, id graph.ItemID) iter.Seq2[graph.Item, error] {
	return func(yield func(graph.Item, error) bool) {
		s.mu.Lock()
		s.lists++
		err := cmp.Or(ctx.Err(), s.failing("children"))
		items := slices.Collect(maps.Values(s.items))
		s.mu.Unlock()
		if err != nil {
			yield(graph.Item{}, err)
			return
		}
		for _, i := range items {
			if i.Parent == id && !yield(i, nil) {
				return
			}
		}
	}
}

func (s *service) Content(ctx context.Context, id graph.ItemID, v graph.Version, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.items[id].Version().Same(v) {
		return nil, &graph.Error{Op: "download", Kind: graph.Changed}
	}
	return io.NopCloser(bytes.NewReader([]byte(s.bodies[id])[off : off+n])), nil
}
