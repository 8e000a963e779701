package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/duskfs/duskfs/graph"
)

func smallFile(p *place) {
	data := noise(1234, 1)
	i := p.file(p.dir.ID, "small.bin", data)
	p.is(i, graph.File, p.dir.ID, "small.bin")
	if !near(i.ModTime, then) {
		p.Errorf("the upload answers with the time %s, want %s", i.ModTime, then)
	}
	p.holds(i.ID, "small.bin", data)
	again, err := p.Child(p.Context(), p.dir.ID, "small.bin")
	p.must("find it by name", err)
	if again.ID != i.ID || !near(again.ModTime, then) {
		p.Errorf("found by name: same item %v, time %s", again.ID == i.ID, again.ModTime)
	}
}

func emptyFile(p *place) {
	i := p.file(p.dir.ID, "empty", nil)
	p.is(i, graph.File, p.dir.ID, "empty")
	p.holds(i.ID, "empty", nil)
	data := noise(100, 1)
	j, err := p.replace(i, data)
	p.must("fill it", err)
	p.holds(i.ID, "empty", data)
	_, err = p.replace(j, nil)
	p.must("empty it again", err)
	p.holds(i.ID, "empty", nil)
}

func largeFile(p *place) {
	data := noise(int(p.o.Large), 3)
	var sessions []string
	var sent []int64
	i, err := p.Upload(p.Context(), graph.Upload{Parent: p.dir.ID, Name: "large.bin", Size: p.o.Large, ModTime: then, Body: bytes.NewReader(data),
		Begun: func(s string) error { sessions = append(sessions, s); return nil },
		Sent:  func(n int64) { sent = append(sent, n) }})
	p.must("upload", err)
	if len(sessions) < 2 || sessions[0] == "" || sessions[len(sessions)-1] != "" {
		p.Errorf("the address of the session was told %d times, the first and the last in order: %v", len(sessions), len(sessions) > 1 && sessions[0] != "")
	}
	if len(sent) == 0 || sent[len(sent)-1] != p.o.Large {
		p.Errorf("progress ends short of the file: told %d times", len(sent))
	}
	if i.Size != p.o.Large || !near(i.ModTime, then) {
		p.Errorf("the upload answers with %d bytes of %s", i.Size, i.ModTime)
	}
	r, err := p.Content(p.Context(), i.ID, i.Version(), 0, p.o.Large)
	p.must("open", err)
	defer r.Close()
	h := graph.NewQuickXor()
	n, err := io.Copy(h, r)
	if err != nil || n != p.o.Large || graph.HashOf(h) != hashOf(data) {
		p.Errorf("read %d bytes, the same: %v, %s", n, graph.HashOf(h) == hashOf(data), tell(err))
	}
}

func ranges(p *place) {
	data := noise(100_000, 4)
	i := p.file(p.dir.ID, "ranges.bin", data)
	for _, r := range [][2]int64{{0, 1}, {0, 100_000}, {1, 1}, {99_999, 1}, {50_000, 50_000}, {4096, 8192}} {
		got, err := p.read(i, r[0], r[1])
		if want := data[r[0] : r[0]+r[1]]; err != nil || !bytes.Equal(got, want) {
			p.Errorf("%d bytes from %d: got %d, the right ones: %v, %s", r[1], r[0], len(got), bytes.Equal(got, want), tell(err))
		}
	}
	r, err := p.Content(p.Context(), i.ID, i.Version(), 0, i.Size)
	p.must("open", err)
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		p.Errorf("read the first bytes: %s", tell(err))
	}
	if err := r.Close(); err != nil {
		p.Errorf("close before the end: %s", tell(err))
	}
}

func replaced(p *place) {
	i := p.file(p.dir.ID, "f.bin", noise(500, 1))
	data := noise(700, 2)
	j, err := p.replace(i, data)
	p.must("replace", err)
	p.is(j, graph.File, p.dir.ID, "f.bin")
	if j.ID != i.ID {
		p.Errorf("the item is another one")
	}
	if j.ETag == i.ETag || j.Version().Same(i.Version()) {
		p.Errorf("the version did not change")
	}
	p.holds(i.ID, "f.bin", data)
	p.lists(p.dir.ID, "f.bin")
}

func staleBase(p *place) {
	i := p.file(p.dir.ID, "f.bin", noise(500, 1))
	theirs := noise(600, 2)
	_, err := p.replace(i, theirs)
	p.must("replace", err)
	_, err = p.replace(i, noise(700, 3))
	p.wants("replace what has changed", err, graph.Changed)
	p.holds(i.ID, "f.bin", theirs)
}

func oldVersion(p *place) {
	old := noise(500, 1)
	i := p.file(p.dir.ID, "f.bin", old)
	_, err := p.replace(i, noise(500, 2))
	p.must("replace", err)
	got, err := p.read(i, 0, 500)
	if err == nil && bytes.Equal(got, old) {
		return // a service that still has the old version may give it
	}
	p.wants("read the old version", err, graph.Changed)
}

func nameTaken(p *place) {
	data := noise(500, 1)
	i := p.file(p.dir.ID, "taken.bin", data)
	p.folder(p.dir.ID, "folder")
	for _, name := range []string{"taken.bin", "folder"} {
		for _, size := range []int{0, 300} {
			b := noise(size, 2)
			_, err := p.Upload(p.Context(), graph.Upload{Parent: p.dir.ID, Name: name, Size: int64(size), ModTime: then, Body: bytes.NewReader(b)})
			p.wants(fmt.Sprintf("upload %d bytes as %s", size, name), err, graph.Exist)
		}
	}
	p.holds(i.ID, "taken.bin", data)
	p.lists(p.dir.ID, "taken.bin", "folder")
}

func timeSet(p *place) {
	data := noise(500, 1)
	i := p.file(p.dir.ID, "f.bin", data)
	for _, at := range []time.Time{then.Add(time.Hour), time.Date(1999, 12, 31, 23, 59, 58, 0, time.UTC)} {
		j, err := p.Update(p.Context(), i.ID, graph.Change{ModTime: at}, "")
		p.must("set the time", err)
		if j.ID != i.ID || !near(j.ModTime, at) {
			p.Errorf("got the time %s, want %s", j.ModTime, at)
		}
		k, err := p.Item(p.Context(), i.ID)
		p.must("read it again", err)
		if !near(k.ModTime, at) || !k.Version().Same(i.Version()) {
			p.Errorf("read again: the time is %s, want %s; bytes the same: %v", k.ModTime, at, k.Version().Same(i.Version()))
		}
	}
	p.holds(i.ID, "f.bin", data)
}

var errBody = errors.New("the body broke, on purpose")

// broken reads well up to a place.
type broken struct {
	data []byte
	from int64
}

func (b broken) ReadAt(buf []byte, off int64) (int, error) {
	if off+int64(len(buf)) > b.from {
		return 0, errBody
	}
	return bytes.NewReader(b.data).ReadAt(buf, off)
}

func brokenUpload(p *place) {
	old := noise(500, 1)
	i := p.file(p.dir.ID, "f.bin", old)
	data := noise(900_000, 2)
	_, err := p.Upload(p.Context(), graph.Upload{ID: i.ID, Base: i.Version(), Size: int64(len(data)), ModTime: then, Body: broken{data, 600_000}})
	if err == nil {
		p.Errorf("an upload whose body broke is said to have worked")
	}
	p.holds(i.ID, "f.bin", old)
	_, err = p.Upload(p.Context(), graph.Upload{Parent: p.dir.ID, Name: "g.bin", Size: int64(len(data)), ModTime: then, Body: broken{data, 600_000}})
	if err == nil {
		p.Errorf("an upload whose body broke is said to have worked")
	}
	p.file(p.dir.ID, "g.bin", data) // nothing holds the name
	_, err = p.replace(i, data)
	p.must("replace afterwards", err)
}

func givenUp(p *place) {
	data := noise(900_000, 2)
	ctx, cancel := context.WithCancelCause(p.Context())
	defer cancel(nil)
	_, err := p.Upload(ctx, graph.Upload{Parent: p.dir.ID, Name: "f.bin", Size: int64(len(data)), ModTime: then, Body: bytes.NewReader(data),
		Begun: func(string) error { cancel(graph.Changed); return nil }})
	if err == nil {
		p.Errorf("an upload that was given up is said to have worked")
	}
	if _, err := p.Child(ctx, p.dir.ID, "f.bin"); err == nil {
		p.Errorf("a call that was given up before it began gave an answer")
	}
	if _, err := p.Child(p.Context(), p.dir.ID, "f.bin"); !errors.Is(err, graph.NotExist) {
		p.Errorf("the file after all: %s", tell(err))
	}
}

func parallel(p *place) {
	const n = 4
	var all sync.WaitGroup
	items, errs := make([]graph.Item, n), make([]error, n)
	for k := range n {
		all.Go(func() {
			data := noise(50_000+k, uint64(k)+1)
			items[k], errs[k] = p.Upload(p.Context(), graph.Upload{Parent: p.dir.ID, Name: fmt.Sprintf("file %d", k), Size: int64(len(data)), ModTime: then, Body: bytes.NewReader(data)})
		})
	}
	all.Wait()
	for k := range n {
		p.must("upload", errs[k])
		p.holds(items[k].ID, items[k].Name, noise(50_000+k, uint64(k)+1))
	}
}
