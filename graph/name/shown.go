package name

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// mark begins every part of a local name that stands for something that cannot be in one. The service
// allows it in names, and hardly anybody uses it.
const mark = "␛"

// nameless is how a name of nothing is shown. Local makes it of no other: behind its marks are two digits.
const nameless = mark + "0"

// Local returns the name under which the remote's is shown. That is the same name, unless no file here
// can have it: then each byte of it that is in the way is written as ␛ and two hexadecimal digits. A ␛
// of the name itself is ␛1B, and an empty name ␛0. Different names stay different, and Remote turns them back.
func Local(remote string) string {
	if remote == "" {
		return nameless
	}
	if Safe(remote) && !strings.Contains(remote, mark) {
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

// Remote returns the name that the remote has for what is shown as local: the inverse of Local, and of
// Twin after it.
func Remote(local string) string {
	if !strings.Contains(local, mark) {
		return local
	}
	if local = Plain(local); local == nameless {
		return ""
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

// twin begins what tells a twin: ␛~ and the first digits of the hash of its name, before the extension.
const twin = mark + "~"

// Twins is how many names Twin has for one.
const Twins = (2*sha256.Size - leastDigits) / 2

const leastDigits = 4

// Twin returns the nth name, from 0 to below Twins, for what the remote calls local too where that name is
// taken here: by one that [Same] calls the same, and the remote does not. It depends on nothing but the
// spelling, so that it is the same whenever it is made. Plain turns it back.
func Twin(local string, n int) string {
	stem, ext := split(local)
	return stem + twin + digest(local)[:leastDigits+2*n] + ext
}

func digest(local string) string {
	sum := sha256.Sum256([]byte(local))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// Plain returns the name that Twin was given. What is no name of Twin's is returned as it is.
func Plain(local string) string {
	i := strings.LastIndex(local, twin)
	if i < 0 {
		return local
	}
	after := local[i+len(twin):]
	rest := strings.TrimLeft(after, digits)
	n := len(after) - len(rest) - leastDigits
	if n < 0 || n%2 != 0 || n/2 >= Twins {
		return local
	}
	if plain := local[:i] + rest; Twin(plain, n/2) == local {
		return plain
	}
	return local
}
