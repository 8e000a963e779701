package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLossesAreShown keeps the table of docs/LOSSES.md: every row names tests, and they are there.
func TestLossesAreShown(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "LOSSES.md"))
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	defined := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && p != root:
			return filepath.SkipDir
		case strings.HasSuffix(p, ".txtar"):
			have[d.Name()] = true
		case strings.HasSuffix(p, "_test.go"):
			source, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			for _, m := range defined.FindAllStringSubmatch(string(source), -1) {
				have[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+|[\\w-]+\\.txtar)`")
	rows := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| What happens") {
			continue
		}
		rows++
		all := named.FindAllStringSubmatch(line, -1)
		if len(all) == 0 {
			t.Errorf("no test is named: %s", line)
		}
		for _, m := range all {
			if !have[m[1]] {
				t.Errorf("there is no %s", m[1])
			}
		}
	}
	if rows < 30 {
		t.Errorf("%d rows: the table was not read", rows)
	}
}
