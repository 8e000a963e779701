package graphtest

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
)

// quickXor is the running quickXorHash of a stream, straight from its definition (graph-facts
// §12): byte i is XORed into a 160-bit vector at bit (11·i) mod 160, wrapping; at the end the
// length, as a little-endian int64, is XORed into the last eight bytes. Its zero value is the
// hash of nothing, and a copy of it is a snapshot.
type quickXor struct {
	cell [3]uint64 // bits 0–63, 64–127, 128–159
	pos  int       // next bit position
	n    uint64    // bytes so far
}

const quickBits = 160

// Write never fails.
func (q *quickXor) Write(p []byte) (int, error) {
	pos := q.pos
	c := q.cell
	for _, b := range p {
		v := uint64(b)
		switch i := pos >> 6; i {
		case 0, 1:
			off := pos & 63
			c[i] ^= v << off
			if off > 56 {
				c[i+1] ^= v >> (64 - off)
			}
		default:
			off := pos - 128
			c[2] ^= v << off & (1<<32 - 1)
			if off > 24 {
				c[0] ^= v >> (32 - off)
			}
		}
		pos += 11
		if pos >= quickBits {
			pos -= quickBits
		}
	}
	q.pos, q.cell = pos, c
	q.n += uint64(len(p))
	return len(p), nil
}

// skip is Write of so many zeros.
func (q *quickXor) skip(n int) {
	q.pos = (q.pos + 11*(n%quickBits)) % quickBits
	q.n += uint64(n)
}

// String returns the hash of what was written so far in standard base64.
func (q *quickXor) String() string {
	var out [20]byte
	binary.LittleEndian.PutUint64(out[0:], q.cell[0])
	binary.LittleEndian.PutUint64(out[8:], q.cell[1])
	binary.LittleEndian.PutUint32(out[16:], uint32(q.cell[2]))
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], q.n)
	for i, b := range n {
		out[12+i] ^= b
	}
	return base64.StdEncoding.EncodeToString(out[:])
}

// mix spreads the bits of two numbers (the splitmix64 finaliser): identifiers and generated
// bytes come from it, so that the same seed gives the same world.
func mix(a, b uint64) uint64 {
	z := a ^ bits.RotateLeft64(b, 32) + 0x9e3779b97f4a7c15*(b+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
