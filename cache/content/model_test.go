package content_test

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/duskfs/duskfs/cache/content"
)

// TestABodyBehavesLikeBytesInMemory does random things with one body, crashes included, beside a
// model that is nothing but a slice.
func TestABodyBehavesLikeBytesInMemory(t *testing.T) {
	dir, ino := t.TempDir(), uint64(0)
	rapid.Check(t, func(t *rapid.T) {
		ino += 256 // another body in the same folder
		s, err := content.Open(dir, content.Options{FreeFloor: 1})
		check(t, err)

		there := &remote{bytes: random(rapid.IntRange(0, 400_000).Draw(t, "size"))}
		model := bytes.Clone(there.bytes)
		local, seq, sealed := false, uint64(1), uint64(0)
		var f *content.File
		reopen := func() {
			if local {
				f, err = s.Local(ino)
			} else {
				f, err = s.Version(ino, there.version(), noon)
			}
			check(t, err)
		}
		reopen()
		// ready makes the body writable, as a writer does who was refused.
		ready := func(err error) bool {
			switch {
			case errors.Is(err, content.ErrSealed):
			case err != nil:
				t.Fatal(err)
			default:
				return true
			}
			check(t, f.Hydrate(t.Context(), there.source, 0, f.Size()))
			want := sealed >= seq
			if err := f.Unseal(seq, content.Tag{}); errors.Is(err, content.ErrSealed) != want {
				t.Fatalf("unsealed at %d, sealed at %d: %v", seq, sealed, err)
			} else if err == nil {
				local, sealed = true, 0
			}
			seq++
			return false
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			off := rapid.IntRange(0, len(model)+1000).Draw(t, "off")
			n := rapid.IntRange(1, 150_000).Draw(t, "n")
			p := random(n)
			switch rapid.SampledFrom([]string{"read", "write", "append", "truncate", "empty", "seal", "agree", "close", "crash"}).Draw(t, "step") {
			case "read":
				check(t, f.Hydrate(t.Context(), there.source, int64(off), int64(n)))
				got := make([]byte, n)
				k, _ := f.ReadAt(got, int64(off))
				if want := model[min(off, len(model)):min(off+n, len(model))]; !bytes.Equal(got[:k], want) {
					t.Fatalf("read %d bytes at %d, want %d", k, off, len(want))
				}
			case "write":
				if _, err := f.WriteAt(p, int64(off)); ready(err) {
					model = append(model, make([]byte, max(0, off+n-len(model)))...)
					copy(model[off:], p)
				}
			case "append":
				if at, err := f.Append(p); ready(err) {
					if at != int64(len(model)) {
						t.Fatalf("appended at %d of %d", at, len(model))
					}
					model = append(model, p...)
				}
			case "truncate":
				if ready(f.Truncate(int64(off))) {
					model = append(model, make([]byte, max(0, off-len(model)))...)[:off]
				}
			case "empty":
				if err := f.UnsealEmpty(seq, content.Tag{}); err == nil {
					local, sealed, model = true, 0, nil
				} else if sealed < seq {
					t.Fatal(err)
				}
				seq++
			case "seal":
				if !local {
					continue
				}
				snap, err := f.Seal(seq)
				check(t, err)
				got := make([]byte, snap.Size())
				_, _ = snap.ReadAt(got, 0)
				if !bytes.Equal(got, model) {
					t.Fatal("the snapshot has other bytes")
				}
				snap.Release()
				sealed = seq
			case "agree":
				fits, err := f.Agreed(sealed, (&remote{bytes: model}).version())
				check(t, err)
				if fits != (local && sealed > 0) {
					t.Fatalf("agreed: %v, local: %v, sealed at %d", fits, local, sealed)
				}
				if fits {
					there, local = &remote{bytes: bytes.Clone(model)}, false
					sealed = max(sealed, 1)
				}
			case "close":
				check(t, f.Close())
				sealed = 0 // a body that nobody uses forgets the seal of local work
				reopen()
			case "crash":
				s, err = content.Open(dir, content.Options{FreeFloor: 1})
				check(t, err)
				sealed = 0
				reopen()
			}
			if f.Size() != int64(len(model)) {
				t.Fatalf("size %d, want %d", f.Size(), len(model))
			}
		}
		check(t, f.Hydrate(t.Context(), there.source, 0, f.Size()))
		got := make([]byte, f.Size())
		_, _ = f.ReadAt(got, 0)
		if !bytes.Equal(got, model) {
			t.Fatal("other bytes at the end")
		}
		check(t, s.Close())
	})
}

func check(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
