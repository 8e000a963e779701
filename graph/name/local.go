package name

import (
	"fmt"
	"path"
	"slices"
)

// DefaultLocalOnly lists the patterns of names that are litter of an operating system or of an
// editor at work: nobody wants them in a shared library, and some of them the service refuses.
func DefaultLocalOnly() []string {
	return []string{
		// macOS
		".DS_Store", "._*", ".Spotlight-V100", ".Trashes", ".fseventsd",
		".DocumentRevisions-V100", ".TemporaryItems", ".apdisk", "*.sb-????????-??????",
		// Linux desktops, FUSE and NFS
		".Trash-*", ".xdg-volume-info", ".fuse_hidden*", ".nfs*", ".goutputstream-*",
		// Microsoft Office, LibreOffice, Emacs, vim
		"~$*", "~WRD*.tmp", "~WRL*.tmp", ".~lock.*#", ".#*", ".*.sw[a-p]",
		// Windows
		"Thumbs.db", "desktop.ini",
	}
}

// LocalOnly tells names that live on this machine and are never sent. The zero value matches
// nothing. It is immutable and may be shared.
type LocalOnly struct {
	exact    map[string]bool // folded
	patterns []string        // folded, with wildcards
}

// NewLocalOnly makes a matcher of shell patterns: "*" any run, "?" one character, "[a-p]" one of a
// range, "\" takes the next character literally. Case and Unicode form do not matter, as they do
// not for the remote. An empty or malformed pattern, or one with a slash, is an error.
func NewLocalOnly(patterns []string) (LocalOnly, error) {
	l := LocalOnly{exact: map[string]bool{}}
	for _, p := range patterns {
		folded := Fold(p)
		if _, err := path.Match(folded, ""); err != nil || p == "" {
			return LocalOnly{}, fmt.Errorf("local-only pattern %q is malformed", p)
		}
		if slices.Contains([]byte(p), '/') {
			return LocalOnly{}, fmt.Errorf("local-only pattern %q has a slash: patterns are matched against single names", p)
		}
		if wild(folded) {
			l.patterns = append(l.patterns, folded)
		} else {
			l.exact[folded] = true
		}
	}
	return l, nil
}

func wild(pattern string) bool {
	for _, r := range pattern {
		switch r {
		case '*', '?', '[', '\\':
			return true
		}
	}
	return false
}

// Match reports whether the name is never sent.
func (l LocalOnly) Match(name string) bool {
	folded := Fold(name)
	if l.exact[folded] {
		return true
	}
	for _, p := range l.patterns {
		if ok, err := path.Match(p, folded); ok && err == nil {
			return true
		}
	}
	return false
}
