package name

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxHostUnits   = 40
	temporaryStart = ".duskfs-"
	temporaryEnd   = ".tmp"
)

// Conflict returns the name for our side of a conflict: "name (conflict HOST YYYY-MM-DD HHMM).ext",
// from the second on with the number n behind the time. The time is written in its own location.
// The result fits into a name's length, by cutting the stem, and is legal if the name was.
func Conflict(name, host string, at time.Time, n int) string {
	stem, ext := split(name)
	mark := " (conflict " + hostName(host) + " " + at.Format("2006-01-02 1504")
	if n > 1 {
		mark += fmt.Sprintf(" %d", n)
	}
	mark += ")"
	if units(mark)+units(ext) >= maxNameUnits { // an extension that long is none
		stem, ext = name, ""
	}
	return cut(stem, maxNameUnits-units(mark)-units(ext)) + mark + ext
}

// hostName makes the name of a machine fit to stand inside a file name.
func hostName(host string) string {
	host = strings.ToValidUTF8(host, "")
	host = strings.Map(func(r rune) rune {
		if r < 0x20 || 0x7f <= r && r <= 0x9f || forbidden(r) {
			return -1
		}
		return r
	}, host)
	host = strings.TrimSpace(cut(strings.TrimSpace(host), maxHostUnits))
	if Check(host) == Vti {
		host = strings.ReplaceAll(host, "_", "-")
	}
	if host == "" {
		return "computer"
	}
	return host
}

// cut shortens s to at most n UTF-16 units, between characters.
func cut(s string, n int) string {
	for i, r := range s {
		if n -= unitsOf(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

// Temporary returns the name under which an item is parked while another takes its place. It is
// legal on the remote, sent like any other, and the same for the same id, so that a flush that was
// cut short finds what it parked. The id must tell items of one folder apart.
func Temporary(id string) string {
	safe := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r <= 0x20 || 0x7f <= r && r <= 0x9f || forbidden(r) {
			return '-'
		}
		return r
	}, id)
	name := temporaryStart + cut(safe, 200) + temporaryEnd
	if Check(name) != nil { // "_vti_" inside the id
		name = temporaryStart + strings.ReplaceAll(cut(safe, 200), "_", "-") + temporaryEnd
	}
	return name
}

// IsTemporary reports whether a name is one that Temporary makes.
func IsTemporary(name string) bool {
	return strings.HasPrefix(name, temporaryStart) && strings.HasSuffix(name, temporaryEnd)
}
