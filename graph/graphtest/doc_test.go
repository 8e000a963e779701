package graphtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph/graphtest"
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

// docs/EMULATOR.md names every admin endpoint, and every field of what is sent to them.
func TestTheDocumentationNamesEveryAdminEndpoint(t *testing.T) {
	doc, admin := read(t, "../../docs/EMULATOR.md"), read(t, "admin*.go")
	named := regexp.MustCompile(`case "([A-Z]+) ([a-z-]+)"|case "([a-z-]+)":`).FindAllStringSubmatch(admin, -1)
	if len(named) < 50 {
		t.Fatalf("%d endpoints", len(named))
	}
	for _, m := range named {
		method, what := m[1], m[2]
		if m[3] != "" {
			method, what = "GET", m[3]
		}
		if !regexp.MustCompile("`" + method + " " + what + "[`?]").MatchString(doc) {
			t.Errorf("EMULATOR.md does not name %s %s", method, what)
		}
	}
	for _, v := range []any{graphtest.Quirk{}, graphtest.Fault{}, graphtest.Grant{}, graphtest.Rules{}, graphtest.Manners{}, graphtest.Counts{}, graphtest.Request{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "-" && !strings.Contains(doc, "`"+name+"`") {
				t.Errorf("EMULATOR.md does not name %q of %T", name, v)
			}
		}
	}
}

// The example is a script of another language, and does what the text says.
func TestAScriptDrivesTheEmulator(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here")
	}
	_, script, _ := strings.Cut(read(t, "../../docs/EMULATOR.md"), "```python\n")
	script, rest, ok := strings.Cut(script, "```\n")
	if !ok {
		t.Fatal("no example")
	}
	s := graphtest.Start(t, graphtest.Options{})
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), python, "-c", script)
	c.Env = append(s.Env(), "PATH="+os.Getenv("PATH"))
	out, err := c.CombinedOutput()
	want := "0 404\n1 404\nplan.txt 4 3 []\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(want) {
		if !strings.Contains(rest, "`"+strings.TrimSpace(line)+"`") {
			t.Errorf("the text does not say that it prints %q", line)
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
