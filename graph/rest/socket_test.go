package rest_test

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// TestOverRealSockets does a little of everything over TLS, where a transport has goroutines of
// its own that go on reading a body after the request has failed.
func TestOverRealSockets(t *testing.T) {
	t.Parallel()
	s := graphtest.Start(t, graphtest.Options{})
	must(t, s.Listen("127.0.0.1:0"))
	transport := rest.NewTransport(s.CAPool())
	client, err := rest.New(rest.Options{GraphURL: s.GraphURL(), Tokens: &tokens{s: s}, Transport: transport, Version: "1.2.3", Fragment: fragment})
	must(t, err)
	defer client.Close()
	w := &world{Server: s, t: t, far: s.Me().Drive(), near: client.Drive(graph.DriveID(s.Me().Drive().ID())), client: client}
	root := w.root()

	w.Inject(
		graphtest.Fault{Op: graphtest.OpFragment, Drop: graphtest.DropBefore, Skip: 1},
		graphtest.Fault{Op: graphtest.OpFragment, Drop: graphtest.DropAfter, Skip: 4},
		graphtest.Fault{Op: graphtest.OpItem, Drop: graphtest.DropAfter, Skip: 2},
		graphtest.Fault{Op: graphtest.OpDownload, Drop: graphtest.DropBody, Truncate: 300_000, Skip: 1},
	)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			data, name := noise(3*fragment+n, uint64(n)), string(rune('a'+n))
			i, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: root, Name: name}, data))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			w.holds("/"+name, data)
			got, err := w.read(i, 0, i.Size)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
			again, err := w.near.Upload(w.ctx(), upload(graph.Upload{ID: i.ID, Base: i.Version()}, data[:fragment]))
			if err != nil || again.ID != i.ID {
				t.Errorf("%s: replaced by %+v, %v", name, again, err)
			}
			r, err := w.near.Content(w.ctx(), again.ID, again.Version(), 100, again.Size-100)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			_, _ = io.ReadFull(r, make([]byte, 1000)) // and no more: closing early ends the transfer
			if err := r.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()

	w.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Drop: graphtest.DropAfter})
	_, err = w.near.Mkdir(w.ctx(), root, "d")
	wants(t, err, graph.Lost)
	if _, err := w.far.Stat("/d"); err != nil {
		t.Error("the folder was to be made")
	}
	for _, v := range s.Violations() {
		t.Errorf("against the protocol: %s", v)
	}
}
