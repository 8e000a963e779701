package graph_test

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph"
)

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestQuickXorKnownVectors(t *testing.T) {
	var counting []byte
	for range 5 {
		for b := range 256 {
			counting = append(counting, byte(b))
		}
	}
	cases := []struct {
		name string
		in   []byte
		want graph.Hash
	}{
		{"empty", nil, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
		{"1 byte", decode(t, "Sg=="), "SgAAAAAAAAAAAAAAAQAAAAAAAAA="},
		{"2 bytes", decode(t, "tbQ="), "taAFAAAAAAAAAAAAAgAAAAAAAAA="},
		{"4 bytes", decode(t, "jRRDVA=="), "jaDAEKgAAAAAAAAABAAAAAAAAAA="},
		{"15 bytes wrap around", decode(t, "gQaybEqS/4UlDc8e4IJm"), "gDCALNigBEn8oxAlZ8AzPAAOQZg="},
		{"21 bytes", decode(t, "DWAAX5/CIfrmErgZa8ot6ZraeSbu"), "LR2Z0PjuRYGKQB/mhQAuMrAGZbQ="},
		{"33 bytes", decode(t, "qQ70RB++JAR5ljNv3lJt1PpqETPsckopfonItu18Cr3E"), "FkJaeg/0Z5+euShYlLpE2tJh+Lo="},
		{"41 bytes", decode(t, "0n7nl3YJtipy6yeUbVPWtc2h45WbF9u8hTz5tNwj3dZZwfXWkk+GN3g="), "YJLNK7JR64j9aODWfqDvEe/u6NU="},
		{"hello", []byte("hello"), "aCgDG9jwBgAAAAAABQAAAAAAAAA="},
		{"hello world", []byte("hello world\n"), "aCgDG9jwBhDc4Q1ybAMZFAAAAAA="},
		{"longer than a cycle", []byte(strings.Repeat("a", 200)), "j3/84x//+Mc//vGPt/zjfve73/0="},
		{"collides with zeros", counting, "AAAAAAAAAAAAAAAAAAUAAAAAAAA="},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := graph.NewQuickXor()
			h.Write(c.in)
			if got := graph.HashOf(h); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestQuickXorIsTheSameHoweverTheStreamIsCut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 10_000)
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	whole := graph.NewQuickXor()
	whole.Write(data)
	want := graph.HashOf(whole)
	for range 50 {
		h := graph.NewQuickXor()
		for rest := data; len(rest) > 0; {
			n := 1 + rnd.IntN(min(len(rest), 4000))
			if wrote, err := h.Write(rest[:n]); wrote != n || err != nil {
				t.Fatalf("Write gave %d, %v", wrote, err)
			}
			h.Sum(nil) // looking does not disturb
			rest = rest[n:]
		}
		if got := graph.HashOf(h); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestQuickXorAgreesWithTheBitByBitDefinition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, size := range []int{0, 1, 159, 160, 161, 1759, 1760, 1761, 5000} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		var want [20]byte
		flip := func(bit int) { bit %= 160; want[bit/8] ^= 1 << (bit % 8) }
		for i, b := range data {
			for k := range 8 {
				if b>>k&1 == 1 {
					flip(11*i + k)
				}
			}
		}
		for k := range 8 {
			want[12+k] ^= byte(size >> (8 * k))
		}
		h := graph.NewQuickXor()
		h.Write(data)
		if got := h.Sum(nil); !bytes.Equal(got, want[:]) {
			t.Errorf("size %d: got %x, want %x", size, got, want)
		}
	}
}

func TestQuickXorResetForgetsAll(t *testing.T) {
	h := graph.NewQuickXor()
	h.Write([]byte("something"))
	h.Reset()
	h.Write([]byte("hello"))
	if got, want := graph.HashOf(h), graph.Hash("aCgDG9jwBgAAAAAABQAAAAAAAAA="); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func BenchmarkQuickXor(b *testing.B) {
	data := make([]byte, 1<<20)
	h := graph.NewQuickXor()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		h.Write(data)
	}
}
