package content_test

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/duskfs/duskfs/cache/content"
)

// TestABodyThatIsAgreedHasNoByteThatWasNotSent lets writers, who mark and unseal, meet a sender,
// who seals, reads and agrees. Whatever was agreed must be what was read under that seal.
func TestABodyThatIsAgreedHasNoByteThatWasNotSent(t *testing.T) {
	s := open(t, t.TempDir())
	f, err := s.Create(1, 1, content.Tag{})
	ok(t, err)
	defer f.Close()
	_, err = f.WriteAt(make([]byte, 8), 0)
	ok(t, err)

	var seq, marked atomic.Uint64 // the store's counter, and the node's last mark
	seq.Store(1)
	mark := func() uint64 {
		n := seq.Add(1)
		for {
			old := marked.Load()
			if old >= n || marked.CompareAndSwap(old, n) {
				return n
			}
		}
	}
	write := func(v uint64) {
		p := binary.BigEndian.AppendUint64(nil, v)
		for {
			_, err := f.WriteAt(p, 0)
			if err == nil {
				return
			}
			if !errors.Is(err, content.ErrSealed) {
				t.Error(err)
				return
			}
			if err := f.Unseal(mark(), content.Tag{}); err != nil && !errors.Is(err, content.ErrSealed) {
				t.Error(err)
				return
			}
		}
	}
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := range uint64(200) {
				write(uint64(w)<<32 | i)
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()

	agreed := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		planned := seq.Load()
		snap, err := f.Seal(planned)
		ok(t, err)
		sent := make([]byte, 8)
		if _, err := snap.ReadAt(sent, 0); errors.Is(err, content.ErrUnsealed) {
			snap.Release()
			continue
		}
		if marked.Load() > planned {
			snap.Release()
			continue // stale: plan again
		}
		fits, err := f.Agreed(planned, (&remote{bytes: sent}).version())
		ok(t, err)
		if fits {
			agreed++
			// Nobody can have written: a writer would have unsealed, and Agreed said no.
			now := make([]byte, 8)
			if _, err := snap.ReadAt(now, 0); err == nil && string(now) != string(sent) {
				t.Fatalf("agreed on %x, which was never sent: %x", now, sent)
			}
		}
		snap.Release()
	}
	if agreed == 0 {
		t.Fatal("nothing was ever agreed")
	}
}

func TestASealIsTakenOver(t *testing.T) {
	s := open(t, t.TempDir())
	f, err := s.Create(1, 1, content.Tag{})
	ok(t, err)
	defer f.Close()
	first, err := f.Seal(4)
	ok(t, err)
	second, err := f.Seal(8)
	ok(t, err)
	want(t, f.Unseal(6, content.Tag{}), content.ErrSealed)
	first.Release()
	first.Release()
	ok(t, f.Unseal(9, content.Tag{}))
	<-first.Broken()
	<-second.Broken()
	second.Release()
}

func TestASnapshotOutlivesItsFile(t *testing.T) {
	s := open(t, t.TempDir())
	f, err := s.Create(1, 1, content.Tag{})
	ok(t, err)
	_, err = f.WriteAt([]byte("ours"), 0)
	ok(t, err)
	ok(t, f.SetModTime(noon))
	snap, err := f.Seal(2)
	ok(t, err)
	defer snap.Release()
	ok(t, f.Close())
	p := make([]byte, 4)
	if _, err := snap.ReadAt(p, 0); err != nil || string(p) != "ours" || snap.Size() != 4 || !snap.ModTime().Equal(noon) {
		t.Fatalf("%q, %v, %d, %v", p, err, snap.Size(), snap.ModTime())
	}
	// The time of the bytes may change under the seal; what is being sent does not.
	g, err := s.Local(1)
	ok(t, err)
	defer g.Close()
	ok(t, g.SetModTime(noon.Add(1)))
	if !snap.ModTime().Equal(noon) {
		t.Fatal("the snapshot's time moved")
	}
}
