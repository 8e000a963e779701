package suite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// place is where a behaviour works: a service and an empty folder.
type place struct {
	T
	graph.Service
	o   Options
	dir graph.Item
}

// tell describes an error without anything that belongs to somebody.
func tell(err error) string {
	var e *graph.Error
	switch {
	case err == nil:
		return "no error"
	case errors.As(err, &e) && e.Status != 0:
		return fmt.Sprintf("%s: %s (%d %s)", e.Op, string(e.Kind), e.Status, e.Code)
	case errors.As(err, &e):
		return fmt.Sprintf("%s: %s", e.Op, string(e.Kind))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err.Error()
	case errors.Is(err, errBody):
		return err.Error()
	}
	return fmt.Sprintf("an error of type %T", err)
}

// must ends the behaviour if there is an error.
func (p *place) must(what string, err error) {
	if err != nil {
		p.Fatalf("%s: %s", what, tell(err))
	}
}

// wants checks the kind of an error.
func (p *place) wants(what string, err error, kinds ...graph.Kind) {
	for _, k := range kinds {
		if errors.Is(err, k) {
			return
		}
	}
	p.Errorf("%s: got %s, want kind %q", what, tell(err), kinds)
}

// then is the time that files are given: whole seconds, which every drive keeps.
var then = time.Date(2011, 10, 9, 8, 7, 6, 0, time.UTC)

// noise makes bytes that no two places share.
func noise(n int, seed uint64) []byte {
	out := make([]byte, (n+7)/8*8)
	x := seed*0x9e3779b97f4a7c15 + 1
	for i := 0; i < len(out); i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(out[i:], x)
	}
	return out[:n]
}

func hashOf(b []byte) graph.Hash {
	h := graph.NewQuickXor()
	_, _ = h.Write(b) // a hash takes everything
	return graph.HashOf(h)
}

// file uploads a new file into a folder.
func (p *place) file(parent graph.ItemID, name string, data []byte) graph.Item {
	i, err := p.Upload(p.Context(), graph.Upload{Parent: parent, Name: name, Size: int64(len(data)), ModTime: then, Body: bytes.NewReader(data)})
	p.must("upload "+name, err)
	return i
}

// replace uploads new bytes for a file.
func (p *place) replace(i graph.Item, data []byte) (graph.Item, error) {
	return p.Upload(p.Context(), graph.Upload{ID: i.ID, Base: i.Version(), Size: int64(len(data)), ModTime: then, Body: bytes.NewReader(data)})
}

func (p *place) folder(parent graph.ItemID, name string) graph.Item {
	i, err := p.Mkdir(p.Context(), parent, name)
	p.must("mkdir "+name, err)
	return i
}

// read reads a range of a file.
func (p *place) read(i graph.Item, off, n int64) ([]byte, error) {
	r, err := p.Content(p.Context(), i.ID, i.Version(), off, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// holds checks that a file, asked for afresh, has these bytes.
func (p *place) holds(id graph.ItemID, name string, data []byte) {
	i, err := p.Item(p.Context(), id)
	p.must("read the item "+name, err)
	if i.Size != int64(len(data)) {
		p.Errorf("%s has %d bytes, want %d", name, i.Size, len(data))
	}
	if i.Hash != "" && i.Hash != hashOf(data) {
		p.Errorf("%s has another hash than its bytes", name)
	}
	if len(data) == 0 || i.Size == 0 {
		return
	}
	got, err := p.read(i, 0, i.Size)
	if err != nil || !bytes.Equal(got, data) {
		p.Errorf("%s: read %d bytes, equal: %v, %s", name, len(got), bytes.Equal(got, data), tell(err))
	}
}

// is checks what an item says of itself.
func (p *place) is(i graph.Item, what graph.Type, parent graph.ItemID, name string) {
	if i.ID == "" || i.Type != what || i.Parent != parent || i.Name != name || i.Deleted || i.Root {
		p.Errorf("the item %q: type %s, name %q, in the right folder: %v, deleted: %v, has an id: %v", name, i.Type, i.Name, i.Parent == parent, i.Deleted, i.ID != "")
	}
}

// listed returns the children of a folder by name, and fails if one comes twice.
func (p *place) listed(id graph.ItemID) map[string]graph.Item {
	out := map[string]graph.Item{}
	for i, err := range p.Children(p.Context(), id) {
		p.must("list", err)
		if _, twice := out[i.Name]; twice {
			p.Errorf("%q is listed twice", i.Name)
		}
		out[i.Name] = i
	}
	return out
}

// lists checks the names in a folder.
func (p *place) lists(id graph.ItemID, names ...string) {
	got := p.listed(id)
	for _, n := range names {
		if _, ok := got[n]; !ok {
			p.Errorf("%q is not listed", n)
		}
	}
	if len(got) != len(names) {
		p.Errorf("%d items are listed, want %d", len(got), len(names))
	}
}

// near reports whether two times are one at the precision every drive keeps.
func near(a, b time.Time) bool { return a.Sub(b).Abs() < time.Second }

// soon asks again and again until what is asked for holds, for as long as the feed may lag.
func (p *place) soon(what string, holds func() bool) {
	wait, spent := 250*time.Millisecond, time.Duration(0)
	for !holds() {
		if spent >= p.o.FeedWait {
			p.Fatalf("after %s still not: %s", p.o.FeedWait, what)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-p.Context().Done():
			t.Stop()
			p.Fatalf("%s: %s", what, tell(p.Context().Err()))
		}
		spent += wait
		wait = min(2*wait, 10*time.Second)
	}
}
