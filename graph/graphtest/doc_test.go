package graphtest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	var all strings.Builder
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(raw)
	}
	return all.String()
}

func TestThePackageCommentNamesEveryAdminEndpoint(t *testing.T) {
	doc, admin := read(t, "doc.go"), read(t, "admin.go")
	named := regexp.MustCompile(`case "([A-Z]+) ([a-z-]+)"|case "([a-z-]+)":`).FindAllStringSubmatch(admin, -1)
	if len(named) < 30 {
		t.Fatalf("%d endpoints", len(named))
	}
	for _, m := range named {
		method, what := m[1], m[2]
		if m[3] != "" {
			method, what = "GET", m[3]
		}
		if !regexp.MustCompile(`//\t`+method+` +`+what+`\b`).MatchString(doc) && !(what == "checkin" && strings.Contains(doc, "and checkin")) {
			t.Errorf("doc.go does not name %s %s", method, what)
		}
	}
}

func TestTheDocumentationNamesTestsThatExist(t *testing.T) {
	_, text, _ := strings.Cut(read(t, "../../docs/GRAPH.md"), "\n## The emulator")
	tests := read(t, "*_test.go") + read(t, "suite/*_test.go")
	named := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(text, -1)
	if len(named) < 15 {
		t.Fatalf("%d tests named", len(named))
	}
	for _, name := range named {
		if !strings.Contains(tests, "\nfunc "+name+"(t *testing.T)") {
			t.Errorf("docs/GRAPH.md names %s, which does not exist", name)
		}
	}
}
