package graphtest

import (
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
