package rest

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// wireName is a name as it comes, empty if none does.
//
// A name of the service is a run of UTF-16, and half of a pair may stand alone in it. As JSON that is an
// escape such as \ud800, of which package json makes the same sign whichever half it was. Here it becomes
// the three bytes in which UTF-8 would write it: no valid UTF-8, so that name.Local shows it under another
// name, and no two names become one.
type wireName struct {
	text string
	here bool
}

func (n *wireName) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = wireName{}
		return nil
	}
	text, err := decodeName(b)
	*n = wireName{text: text, here: err == nil}
	return err
}

// decodeName decodes a JSON string.
func decodeName(b []byte) (string, error) {
	var out []byte
	from := 0 // what is before was decoded
	flush := func(to int) error {
		if from == to {
			return nil
		}
		part := b[from:to]
		if from > 0 {
			part = append([]byte{'"'}, part...)
		}
		if to < len(b) {
			part = append(bytes.Clone(part), '"')
		}
		var s string
		err := json.Unmarshal(part, &s)
		out = append(out, s...)
		return err
	}
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		u, ok := escaped(b[i:])
		switch {
		case !ok:
			i++ // what is escaped is no escape itself
		case u < 0xd800 || u > 0xdfff:
			i += 5
		default:
			if low, ok := escaped(b[min(i+6, len(b)):]); ok && u < 0xdc00 && low >= 0xdc00 && low <= 0xdfff {
				i += 11
				continue
			}
			if err := flush(i); err != nil {
				return "", err
			}
			out = append(out, 0xe0|byte(u>>12), 0x80|byte(u>>6&0x3f), 0x80|byte(u&0x3f))
			from = i + 6
			i += 5
		}
	}
	if err := flush(len(b)); err != nil {
		return "", err
	}
	return string(out), nil
}

// escaped reads the escape at the beginning of b: \u and four hexadecimal digits.
func escaped(b []byte) (uint64, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	u, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return u, err == nil
}
