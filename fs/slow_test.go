package fs_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
	"github.com/duskfs/duskfs/graph"
)

// drip is a remote whose every answer brings one piece and then nothing more.
type drip struct{ fs.Remote }

func (d drip) Content(ctx context.Context, item graph.ItemID, v graph.Version, off, n int64) (io.ReadCloser, error) {
	r, err := d.Remote.Content(ctx, item, v, off, n)
	if err != nil {
		return nil, err
	}
	return &drops{ctx: ctx, r: r, left: 128 << 10}, nil
}

type drops struct {
	ctx  context.Context
	r    io.ReadCloser
	left int
}

func (d *drops) Read(p []byte) (int, error) {
	if d.left == 0 {
		<-d.ctx.Done()
		return 0, d.ctx.Err()
	}
	n, err := d.r.Read(p[:min(len(p), d.left)])
	d.left -= n
	return n, err
}

func (d *drops) Close() error { return d.r.Close() }

func TestASlowLineIsNoDeadOne(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 400<<10/16)
	w := fstest.NewWorld(t, func(w *fstest.World, o *fs.Options) {
		w.Remote.Put("/f", data)
		o.Drives[0].Remote = drip{w.Remote}
		o.Timeout = 50 * time.Millisecond
	})
	a, err := w.FS.Lookup(context.Background(), fs.Root, "f")
	if err != nil {
		t.Fatal(err)
	}
	h, err := w.FS.Open(context.Background(), a.Ino, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	got := make([]byte, len(data))
	if n, err := h.ReadAt(context.Background(), got, 0); err != nil && err != io.EOF || n != len(data) {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	if !bytes.Equal(got, data) {
		t.Error("other bytes came")
	}
}

// A handle that goes while another one comes, writes and goes must not leave the old size behind.
func TestTheLastOfTwoWritersIsRecorded(t *testing.T) {
	ctx := context.Background()
	w := fstest.NewWorld(t, nil)
	h, a, err := w.FS.Create(ctx, fs.Root, "f", os.O_RDWR, 0o644, fs.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	h.Release()
	for i := range 3000 {
		var both sync.WaitGroup
		for k := range 2 {
			both.Go(func() {
				h, err := w.FS.Open(ctx, a.Ino, os.O_RDWR)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := h.WriteAt(ctx, []byte("x"), int64(10*i+5*k)); err != nil {
					t.Error(err)
				}
				h.Release()
			})
		}
		both.Wait()
		got, err := w.FS.GetAttr(ctx, a.Ino)
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(10*i + 6); got.Size != want {
			t.Fatalf("round %d: the size is %d, want %d", i, got.Size, want)
		}
	}
}
