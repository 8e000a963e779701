package house

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// top lists what may lie at the top of the repository besides dot files.
var top = map[string]bool{
	"cmd": true, "fs": true, "cache": true, "flush": true, "graph": true, "docs": true,
	"go.mod": true, "go.sum": true, "README.md": true, "LICENSE": true, "staticcheck.conf": true,
}

func TestTopLevelIsFixed(t *testing.T) {
	dir := root(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		n := e.Name()
		if top[n] || strings.HasPrefix(n, ".") || n == "duskfs" && !e.IsDir() || strings.HasSuffix(n, ".test") || strings.HasSuffix(n, ".out") {
			continue // the binary and test leftovers are ignored by git
		}
		t.Errorf("%s lies at the top of the repository", n)
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	docs := map[string]string{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if s.doc != "" && docs[s.pkg] != "" {
			t.Errorf("%s: the package has a second package comment", s.file)
		}
		docs[s.pkg] += s.doc
		if s.doc != "" {
			want := "Package " + s.name + " "
			if s.name == "main" {
				want = "Command "
			}
			if !strings.HasPrefix(s.doc, want) {
				t.Errorf("%s: the package comment does not begin with %q", s.file, want)
			}
		}
	}
	for pkg, doc := range docs {
		if doc == "" {
			t.Errorf("package %s has no comment that says what it owns", pkg)
		}
	}
}

func TestNothingIsLeftForLater(t *testing.T) {
	mark := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b(\([^)]+\): \S)?`)
	for _, s := range sources(t) {
		for _, m := range mark.FindAllStringSubmatch(s.text, -1) {
			if m[2] == "" {
				t.Errorf("%s: a %s without owner and reason", s.file, m[1])
			}
		}
	}
}

func TestNobodyPanicsOrExits(t *testing.T) {
	bad := regexp.MustCompile(`(?m)^[^/\n]*\b(log\.Fatal\w*|os\.Exit|panic)\(`)
	for _, s := range sources(t) {
		if s.test || s.pkg == "cmd/duskfs" {
			continue
		}
		if m := bad.FindStringSubmatch(s.text); m != nil {
			t.Errorf("%s calls %s: return an error, main exits", s.file, m[1])
		}
	}
}
