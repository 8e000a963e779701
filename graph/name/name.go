// Package name knows names: which ones the remote can hold, which two are the same to it, which
// stay on this machine, and which ones the program makes itself. It is pure, and the only place
// with such knowledge; everybody else asks.
package name

import (
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Rule says why the remote would refuse a name, in a sentence for the person who chose it. A Rule
// is an error, so that errors.Is(err, name.TooLong) tells the one that has an errno of its own.
type Rule string

// Error returns the sentence.
func (r Rule) Error() string { return string(r) }

// The rules of graph-facts §11.1. Two more are known and not kept here, since a name alone does
// not decide them: "forms" is taken at the root of a library, and a SharePoint folder must not
// begin with "~". The service refuses those itself.
const (
	Empty     Rule = "a name must not be empty"
	Encoding  Rule = "the name is not valid UTF-8"
	TooLong   Rule = "the name is longer than 255 characters"
	Character Rule = `OneDrive allows none of these in a name: " * : < > ? / \ |`
	Control   Rule = "OneDrive allows no control characters, such as a newline, in a name"
	Space     Rule = "OneDrive allows no space at the beginning or end of a name"
	Dot       Rule = "OneDrive allows no dot at the end of a name"
	Reserved  Rule = "OneDrive reserves this name for itself"
	Vti       Rule = `OneDrive allows no "_vti_" in a name`
	OwnerFile Rule = `OneDrive allows no "~$" at the beginning of a name`
)

const (
	maxNameUnits = 255 // UTF-16 units; never more than a name's bytes, so 255 bytes always fit
	maxPathUnits = 400 // graph-facts §11.2; UTF-16 units, the careful reading of "characters"
)

// Check reports whether the remote may hold the name: nil, or the first [Rule] that forbids it.
// A nil answer is no promise, as administrators can forbid more (file types, "#" and "%").
func Check(name string) error {
	switch {
	case name == "":
		return Empty
	case !utf8.ValidString(name):
		return Encoding
	case units(name) > maxNameUnits:
		return TooLong
	}
	for _, r := range name {
		if r < 0x20 || 0x7f <= r && r <= 0x9f {
			return Control
		}
		if forbidden(r) {
			return Character
		}
	}
	switch {
	case name[0] == ' ' || name[len(name)-1] == ' ':
		return Space
	case name[len(name)-1] == '.':
		return Dot
	case strings.HasPrefix(name, "~$"):
		return OwnerFile
	}
	lower := strings.ToLower(name)
	switch {
	case strings.Contains(lower, "_vti_"):
		return Vti
	case reserved(lower):
		return Reserved
	}
	return nil
}

// forbidden reports whether the service allows the character in no name.
func forbidden(r rune) bool {
	switch r {
	case '"', '*', ':', '<', '>', '?', '/', '\\', '|':
		return true
	}
	return false
}

// reserved tells names that the service keeps for itself. With an extension ("con.txt") they are
// let pass: whether the service refuses those is not known, and it can say so itself.
func reserved(lower string) bool {
	switch lower {
	case ".lock", "con", "prn", "aux", "nul", "desktop.ini":
		return true
	}
	if len(lower) != len("com0") {
		return false
	}
	stem, digit := lower[:3], lower[3]
	return (stem == "com" || stem == "lpt") && '0' <= digit && digit <= '9'
}

// Safe reports whether a name that came from the remote may enter the tree. Remote names are
// hostile input: one that fails here could climb out of a folder or is no name at all.
func Safe(name string) bool {
	return name != "" && name != "." && name != ".." &&
		!strings.ContainsAny(name, "/\x00") && utf8.ValidString(name)
}

// PathTooLong reports whether a path is over the service's limit of 400 characters. The path is
// the decoded one below the drive's root, and web the drive's address in a browser: the service counts
// the site and library that it names too. Without an address it may refuse a path somewhat shorter.
func PathTooLong(web, path string) bool {
	n := units(strings.TrimPrefix(path, "/"))
	if u, err := url.Parse(web); err == nil {
		if before := strings.Trim(u.Path, "/"); before != "" {
			n += units(before) + 1
		}
	}
	return n > maxPathUnits
}

// units counts UTF-16 units, in which Windows and so the service count.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += unitsOf(r)
	}
	return n
}

func unitsOf(r rune) int {
	if r >= 0x10000 {
		return 2
	}
	return 1
}

// FoldVersion is stored beside keys that Fold made. It changes whenever Fold would answer
// differently for any name, new Unicode tables included; the keys are then made anew.
const FoldVersion = 1

// Fold returns the key of a name: two names with one key cannot live in one folder. It is
// canonical caseless matching of Unicode (full case folding, every normalization form equal). The
// server's collation knows more (æ = ae on some drives, CJK compatibility forms): where it calls
// two keys equal, its answer "name already taken" stands.
//
// A name that is not UTF-8 is its own key.
func Fold(name string) string {
	ascii, lower := true, true
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
		if 'A' <= name[i] && name[i] <= 'Z' {
			lower = false
		}
	}
	switch {
	case ascii && lower:
		return name
	case ascii:
		return strings.ToLower(name)
	case !utf8.ValidString(name):
		return name
	}
	folded := cases.Fold().String(norm.NFD.String(name))
	return norm.NFC.String(strings.Map(cherokee, folded))
}

// cherokee folds small Cherokee letters to the capitals, as Unicode does for this script alone.
// Package cases of x/text v0.43.0 swaps the two instead.
func cherokee(r rune) rune {
	switch {
	case 0xab70 <= r && r <= 0xabbf:
		return r - 0xab70 + 0x13a0
	case 0x13f8 <= r && r <= 0x13fd:
		return r - 0x13f8 + 0x13f0
	}
	return r
}

// Same reports whether two names cannot live in one folder.
func Same(a, b string) bool { return a == b || Fold(a) == Fold(b) }

// Backup reports whether name is a form under which programs keep the old state of a file called
// of while they write the new one. Case does not matter. With N the name and S its stem:
//
//	N~  N.bak  N.orig  N.old  N.backup  N.save  N.~1~     editors, patch, sed -i.bak, GLib, KDE
//	S.bak  S.orig  S.old  S.wbk  S~                       the extension replaced
//	.N.bak  .N.orig  .N.old  Backup of S.wbk              hidden; Word
func Backup(name, of string) bool {
	n, o := Fold(name), Fold(of)
	if n == o || o == "" {
		return false
	}
	stem, ext := split(o)
	if n == "backup of "+stem+".wbk" {
		return true
	}
	if backupSuffix(n, o) || backupSuffix(strings.TrimPrefix(n, "."), o) {
		return true
	}
	if ext == "" {
		return false
	}
	rest, ok := strings.CutPrefix(n, stem)
	if !ok {
		return false
	}
	switch rest {
	case ".bak", ".orig", ".old", ".wbk", "~":
		return true
	}
	return false
}

// backupSuffix reports whether n is o with a backup's suffix appended.
func backupSuffix(n, o string) bool {
	rest, ok := strings.CutPrefix(n, o)
	if !ok {
		return false
	}
	switch rest {
	case "~", ".bak", ".orig", ".old", ".backup", ".save":
		return true
	}
	number, ok := strings.CutPrefix(rest, ".~")
	if !ok {
		return false
	}
	number, ok = strings.CutSuffix(number, "~")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// split cuts a name into stem and extension (with its dot). The dot of a hidden file starts no
// extension, nor does one followed by what people write in sentences; ".tar.gz" is one.
func split(name string) (stem, ext string) {
	ext = path.Ext(name)
	stem = name[:len(name)-len(ext)]
	if strings.Trim(stem, ".") == "" || len(ext) > 16 || strings.ContainsAny(ext, " ") || ext == "." {
		return name, ""
	}
	if inner := path.Ext(stem); strings.EqualFold(inner, ".tar") && len(inner) < len(stem) {
		return stem[:len(stem)-len(inner)], inner + ext
	}
	return stem, ext
}
