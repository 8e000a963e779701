package name

import (
	"strings"
	"unicode/utf8"
)

// mark begins every part of a local name that stands for something that cannot be in one. The service
// allows it in names, and hardly anybody uses it.
const mark = "␛"

// Local returns the name under which the remote's is shown. That is the same name, unless no file here
// can have it: then each byte of it that is in the way is written as ␛ and two hexadecimal digits. A ␛
// of the name itself is ␛1B. Different names stay different, and Remote turns them back. An empty name
// is none and stays so.
func Local(remote string) string {
	if remote == "" || Safe(remote) && !strings.Contains(remote, mark) {
		return remote
	}
	if remote == "." || remote == ".." {
		return mark + "2E" + remote[1:]
	}
	var b strings.Builder
	for i := 0; i < len(remote); {
		r, n := utf8.DecodeRuneInString(remote[i:])
		switch {
		case r == '␛':
			b.WriteString(mark + "1B")
		case r == '/' || r == 0 || r == utf8.RuneError && n == 1:
			escape(&b, remote[i])
		default:
			b.WriteString(remote[i : i+n])
		}
		i += n
	}
	return b.String()
}

const digits = "0123456789ABCDEF"

func escape(b *strings.Builder, c byte) {
	b.WriteString(mark)
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}

// Remote returns the name that the remote has for what is shown as local: the inverse of Local.
func Remote(local string) string {
	if !strings.Contains(local, mark) {
		return local
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(local, mark)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		local = after
		if len(after) < 2 {
			b.WriteString(mark)
			continue
		}
		hi, lo := strings.IndexByte(digits, after[0]), strings.IndexByte(digits, after[1])
		c := byte(hi<<4 | lo)
		switch {
		case hi < 0 || lo < 0:
			b.WriteString(mark)
			continue
		case c == 0x1b:
			b.WriteString(mark)
		case c == '/' || c == 0 || c == '.' || c >= utf8.RuneSelf:
			b.WriteByte(c)
		default:
			b.WriteString(mark)
			continue
		}
		local = after[2:]
	}
}
