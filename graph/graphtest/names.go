package graphtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// fold returns the key under which a name is unique in its folder: NFC and NFD are one name, and
// so are upper and lower case (graph-facts §11.4).
func fold(name string) string {
	ascii := true
	for i := 0; i < len(name); i++ {
		if name[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return strings.ToLower(name)
	}
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(name)))
}

// sameForm reports whether two names differ in nothing but their Unicode form.
func sameForm(a, b string) bool { return norm.NFC.String(a) == norm.NFC.String(b) }

// utf16Name is a name as JSON has it. The service's names are UTF-16, in which half of a pair may stand alone: as an
// escape it goes into JSON all the same, which package json would not do.
func utf16Name(name string) any {
	if utf8.ValidString(name) {
		return name
	}
	b := []byte{'"'}
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		half := name[i:]
		switch {
		case r != utf8.RuneError || n > 1:
			part, _ := json.Marshal(name[i : i+n]) // a character always marshals
			b = append(b, part[1:len(part)-1]...)
		case len(half) >= 3 && half[0] == 0xed && half[1] >= 0xa0:
			b = fmt.Appendf(b, `\u%04x`, 0xd000|int(half[1]&0x3f)<<6|int(half[2]&0x3f))
			n = 3
		default:
			b = append(b, `\ufffd`...)
		}
		i += n
	}
	return json.RawMessage(append(b, '"'))
}

var (
	reservedNames = map[string]bool{
		".lock": true, "con": true, "prn": true, "aux": true, "nul": true, "desktop.ini": true,
		"com0": true, "com1": true, "com2": true, "com3": true, "com4": true,
		"com5": true, "com6": true, "com7": true, "com8": true, "com9": true,
		"lpt0": true, "lpt1": true, "lpt2": true, "lpt3": true, "lpt4": true,
		"lpt5": true, "lpt6": true, "lpt7": true, "lpt8": true, "lpt9": true,
	}
)

// badName says why a name is refused in a place, or "" if it is fine (graph-facts §11.1).
func badName(name string, folder, atRoot, library bool) string {
	low := strings.ToLower(name)
	switch {
	case name == "" || name == "." || name == "..":
		return "The name is empty or not a name."
	case !utf8.ValidString(name):
		return "The name is not valid UTF-8."
	case strings.ContainsAny(name, `"*:<>?/\|`):
		return "The name contains characters that are not allowed."
	case strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || 0x7f <= r && r <= 0x9f }):
		return "The name contains control characters."
	case strings.HasPrefix(name, " ") || strings.HasSuffix(name, " "):
		return "The name begins or ends with a space."
	case strings.HasSuffix(name, "."):
		return "The name ends with a period."
	case reservedNames[low]:
		return "The name is reserved."
	case strings.Contains(low, "_vti_"):
		return "The name contains _vti_."
	case strings.HasPrefix(name, "~$"):
		return "The name begins with ~$."
	case library && folder && strings.HasPrefix(name, "~"):
		return "A folder name must not begin with a tilde."
	case library && folder && atRoot && low == "forms":
		return "The name is reserved at the root of a library."
	case utf8.RuneCountInString(name) > 255:
		return "The name is too long."
	}
	return ""
}
