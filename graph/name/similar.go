package name

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// Similar reports whether two names are so alike that a drive's collation may take them for the same, though
// [Same] does not: it knows æ = ae and its like, accents, and compatibility forms (graph-facts §11.4). It is for finding
// the name that a refusal is about, and decides nothing.
func Similar(a, b string) bool { return Same(a, b) || collated(a) == collated(b) }

func collated(name string) string {
	if !utf8.ValidString(name) {
		return name
	}
	bare := transform.Chain(norm.NFKD, runes.Remove(runes.In(unicode.Mn)), norm.NFC)
	folded, _, err := transform.String(bare, Fold(name))
	if err != nil {
		return name
	}
	return strings.NewReplacer("æ", "ae", "œ", "oe", "ø", "o", "ß", "ss", "ð", "d", "þ", "th", "ł", "l", "đ", "d").Replace(folded)
}
