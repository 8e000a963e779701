package rest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// TestTheTablesNameTestsThatExist keeps the tables of docs/GRAPH.md true: each row names tests, and they exist; each quirk and each
// row of the test of errors is there.
func TestTheTablesNameTestsThatExist(t *testing.T) {
	top := filepath.Join("..", "..")
	raw, err := os.ReadFile(filepath.Join(top, "docs", "GRAPH.md"))
	must(t, err)
	_, text, _ := strings.Cut(string(raw), "### Errors")
	text, _, _ = strings.Cut(text, "\n## ")
	sources := map[string]string{}
	named := regexp.MustCompile("`([a-z/]+) (Test\\w+)(/[^`]+)?`")
	for row := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(row, "| ") || strings.HasSuffix(row, "| Tests |") {
			continue
		}
		tests := named.FindAllStringSubmatch(row, -1)
		if len(tests) == 0 {
			t.Errorf("no test in the row %s", row)
		}
		for _, m := range tests {
			pkg, name, part := m[1], m[2], strings.TrimPrefix(m[3], "/")
			if _, ok := sources[pkg]; !ok {
				files, err := filepath.Glob(filepath.Join(top, filepath.FromSlash(pkg), "*_test.go"))
				must(t, err)
				for _, f := range files {
					raw, err := os.ReadFile(f)
					must(t, err)
					sources[pkg] += string(raw)
				}
			}
			if !strings.Contains(sources[pkg], "\nfunc "+name+"(t *testing.T)") {
				t.Errorf("%s has no %s", pkg, name)
			}
			if part != "" && !strings.Contains(sources[pkg], fmt.Sprintf("{%q,", part)) {
				t.Errorf("%s has no row %q", name, part)
			}
		}
	}
	for _, r := range graphtest.Catalogue() {
		if !strings.Contains(text, fmt.Sprintf("\n| Q%d ", r.Number)) {
			t.Errorf("Q%d has no row", r.Number)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\t\t\{"([^"]+)", ask`).FindAllStringSubmatch(sources["graph/rest"], -1) {
		if !strings.Contains(text, "TestEachErrorOfTheTable/"+m[1]+"`") {
			t.Errorf("the error %q has no row", m[1])
		}
	}
}
