package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// count gives a number with its noun: "1 change", "3 changes".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// size gives bytes for people: "4.2 MB".
func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// ago gives a moment as people speak of it.
func ago(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return humanize.Time(*t)
}

// sizes gives bytes before and after: to the byte where the difference would not be seen.
func sizes(now, before int64) string {
	a, b := size(now), size(before)
	if a == b && now != before {
		a, b = humanize.Comma(now)+" B", humanize.Comma(before)+" B"
	}
	return a + ", was " + b
}

// visible makes one line of text that a terminal shows as it is: what would steer the terminal, break the
// line or turn the direction of letters is written as its code. Names and words come from others.
func visible(text string) string {
	if strings.IndexFunc(text, steers) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1, r < utf8.RuneSelf && steers(r):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case steers(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	return b.String()
}

// steers reports whether a terminal does something else with a character than to show it.
func steers(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

// are is the verb of a number of things.
func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
