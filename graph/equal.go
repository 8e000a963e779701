package graph

import (
	"bytes"
	"errors"
	"io"
)

// EqualBytes reports whether two readers give the same bytes. It reads both no further than to the first
// difference.
func EqualBytes(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 256<<10), make([]byte, 256<<10)
	for {
		n, err := io.ReadFull(a, x)
		m, err2 := io.ReadFull(b, y)
		ended, ended2 := err == io.EOF || err == io.ErrUnexpectedEOF, err2 == io.EOF || err2 == io.ErrUnexpectedEOF
		switch {
		case err != nil && !ended, err2 != nil && !ended2:
			if ended {
				err = nil
			}
			if ended2 {
				err2 = nil
			}
			return false, errors.Join(err, err2)
		case !bytes.Equal(x[:n], y[:m]):
			return false, nil
		case ended || ended2:
			return ended == ended2, nil
		}
	}
}
