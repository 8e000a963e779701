package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// promises is the page that says what holds each promise.
const promises = "docs/SEMANTICS.md"

// TestPromisesAreHeldByTests fails if the page of promises names a test, a script or a case of a test that does
// not exist, or has a promise that names none.
func TestPromisesAreHeldByTests(t *testing.T) {
	top := root(t)
	page, err := os.ReadFile(filepath.Join(top, promises))
	if err != nil {
		t.Fatal(err)
	}
	tests, cases := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if !s.test && s.pkg != "fs/fstest" {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), s.file, s.text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				tests[n.Name.Name] = true
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					cases[text] = true
				}
			}
			return true
		})
	}
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)`|`([\\w-]+\\.txtar)`|\"([^\"]+)\"")
	table := ""
	for i, line := range strings.Split(string(page), "\n") {
		if strings.HasPrefix(line, "| Promise |") {
			table = "promises"
		} else if line == "" {
			table = ""
		}
		var holders int
		for _, m := range named.FindAllStringSubmatch(line, -1) {
			holders++
			switch {
			case m[1] != "" && !tests[m[1]]:
				t.Errorf("%s:%d: there is no test %s", promises, i+1, m[1])
			case m[2] != "":
				if _, err := os.Stat(filepath.Join(top, "cmd/internal/cli/testdata", m[2])); err != nil {
					t.Errorf("%s:%d: there is no script %s", promises, i+1, m[2])
				}
			case m[3] != "" && !cases[m[3]]:
				t.Errorf("%s:%d: no test has a case %q", promises, i+1, m[3])
			}
		}
		if table != "" && holders == 0 && !strings.HasPrefix(line, "| Promise |") && !strings.HasPrefix(line, "|---") {
			t.Errorf("%s:%d: nothing holds this promise", promises, i+1)
		}
	}
}
