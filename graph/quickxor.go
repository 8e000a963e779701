package graph

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"hash"
)

// The quickXorHash of graph-facts §12: byte i of the stream is XORed into a vector of 160 bits at
// bit 11·i mod 160, wrapping around, and the length is XORed into the last eight bytes.
const (
	quickXorSize  = 20  // bytes of the sum
	quickXorShift = 11  // bits between the places of two bytes that follow each other
	quickXorCycle = 160 // bytes after which places repeat
	quickXorRing  = quickXorShift * quickXorCycle
)

// NewQuickXor returns the streaming form of the only hash that every kind of drive gives for a
// file. It finds changes and damage and is no cryptographic hash: collisions are easy to make.
func NewQuickXor() hash.Hash { return &quickXor{} }

// HashOf writes the sum of what was written to h, a hash of [NewQuickXor], the way the service
// spells it. Like Sum it leaves h as it is.
func HashOf(h hash.Hash) Hash {
	var sum [quickXorSize]byte
	return Hash(base64.StdEncoding.EncodeToString(h.Sum(sum[:0])))
}

// quickXor gathers the stream in a ring whose length is a multiple of the cycle, long enough that
// whole runs are XORed at once; the bits are put into their places by Sum alone.
type quickXor struct {
	ring [quickXorRing]byte
	n    int64 // bytes written
}

func (q *quickXor) Write(p []byte) (int, error) {
	written := len(p)
	at := int(q.n % quickXorRing)
	q.n += int64(written)
	for len(p) > 0 {
		run := min(len(p), quickXorRing-at)
		dst := q.ring[at : at+run]
		subtle.XORBytes(dst, dst, p[:run])
		p, at = p[run:], 0
	}
	return written, nil
}

func (q *quickXor) Sum(b []byte) []byte {
	var sum [quickXorSize]byte
	for i := range quickXorCycle {
		var v byte
		for j := i; j < quickXorRing; j += quickXorCycle {
			v ^= q.ring[j]
		}
		bit := quickXorShift * i % (8 * quickXorSize)
		at, shift := bit/8, bit%8
		sum[at] ^= v << shift
		sum[(at+1)%quickXorSize] ^= byte(uint16(v) >> (8 - shift))
	}
	length := binary.LittleEndian.AppendUint64(nil, uint64(q.n))
	tail := sum[quickXorSize-len(length):]
	subtle.XORBytes(tail, tail, length)
	return append(b, sum[:]...)
}

func (q *quickXor) Reset()         { *q = quickXor{} }
func (q *quickXor) Size() int      { return quickXorSize }
func (q *quickXor) BlockSize() int { return quickXorCycle }
