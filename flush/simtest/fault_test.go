package simtest_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	faults      = flag.Bool("faults", false, "plant every fault of testdata/faults and live until it is caught")
	faultLives  = flag.Int("fault-lives", 3300, "lives until a planted fault counts as missed")
	onlyFault   = flag.String("fault", "", "plant this one fault alone")
	updateTable = flag.Bool("update", false, "write testdata/faults/caught.txt anew")
)

// planted is one fault: patches of files of the module.
type planted struct {
	name, why string
	files     map[string][]hunk // by path from the root of the module
}

// hunk replaces lines. Where they stand is told by the lines themselves: old is there once.
type hunk struct{ old, new string }

// plantedFaults reads testdata/faults.
func plantedFaults(t *testing.T) []planted {
	t.Helper()
	paths, err := filepath.Glob("testdata/faults/*.patch")
	if err != nil {
		t.Fatal(err)
	}
	var all []planted
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		f := planted{name: strings.TrimSuffix(filepath.Base(p), ".patch"), files: map[string][]hunk{}}
		f.why, _, _ = strings.Cut(string(text), "\n")
		file := ""
		for line := range strings.Lines(string(text)) {
			switch {
			case strings.HasPrefix(line, "--- "):
			case strings.HasPrefix(line, "+++ b/"):
				file = strings.TrimSpace(line[6:])
			case strings.HasPrefix(line, "@@"):
				f.files[file] = append(f.files[file], hunk{})
			case file != "":
				h := &f.files[file][len(f.files[file])-1]
				if line[0] != '+' {
					h.old += line[1:]
				}
				if line[0] != '-' {
					h.new += line[1:]
				}
			}
		}
		all = append(all, f)
	}
	return all
}

// apply patches files of the module into a folder and returns an overlay for the go command, which
// takes them in the place of the real ones.
func (f planted) apply(root, dir string) (overlay string, err error) {
	replace := map[string]string{}
	for path, hunks := range f.files {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return "", err
		}
		s := string(text)
		for _, h := range hunks {
			if n := strings.Count(s, h.old); n != 1 || h.old == h.new {
				return "", fmt.Errorf("%s: what is to be replaced is there %d times:\n%s", path, n, h.old)
			}
			s = strings.Replace(s, h.old, h.new, 1)
		}
		to := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(to, []byte(s), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, path)] = to
	}
	if len(replace) == 0 {
		return "", errors.New("it patches nothing")
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestPlantedFaultsFitTheCode(t *testing.T) {
	all := plantedFaults(t)
	if len(all) < 20 {
		t.Errorf("%d faults, want at least 20", len(all))
	}
	table, err := os.ReadFile("testdata/faults/caught.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if _, err := f.apply(moduleRoot(t), t.TempDir()); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		if !strings.Contains(string(table), "\n"+f.name+" ") {
			t.Errorf("%s is not in the table: run the tests with -faults -update", f.name)
		}
	}
}

// TestFaultsAreCaught plants faults one by one. Each must be caught by some life.
func TestFaultsAreCaught(t *testing.T) {
	if !*faults {
		t.Skip("only with -faults: it builds the module once for each of them")
	}
	lines := []string{"# In which life each planted fault was caught, the sorts of lives taking turns. Written by -faults -update."}
	for _, f := range plantedFaults(t) {
		if *onlyFault != "" && f.name != *onlyFault {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			began := time.Now()
			caught := f.hunt(t)
			if caught == "" {
				t.Errorf("not caught in %d lives: %s", *faultLives, f.why)
				return
			}
			t.Logf("%s, after %v", caught, time.Since(began).Round(time.Second))
			lines = append(lines, fmt.Sprintf("%s caught in %s", f.name, caught))
		})
	}
	if *updateTable && *onlyFault == "" && !t.Failed() {
		slices.Sort(lines)
		if err := os.WriteFile("testdata/faults/caught.txt", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	lifeRun  = regexp.MustCompile(`=== RUN   TestLives/(life_\d+:_\w+)`)
	lifeSaid = regexp.MustCompile(`(?m)^ *(?:\w+_test|world|cachetest)\.go:\d+: (.*)|^panic: (.*)|^fatal error: (.*)`)
)

// hunt builds the tests with the fault in them and lives until one fails. It returns which and how,
// nothing if none did.
func (f planted) hunt(t *testing.T) string {
	t.Helper()
	dir, root := t.TempDir(), moduleRoot(t)
	overlay, err := f.apply(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "faulty.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", program, "./flush/simtest")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the fault does not compile: %v\n%s", err, out)
	}
	out, failed := attempt(t, program, "^TestLives$", "-hunt", "-lives", fmt.Sprint(*faultLives))
	if !failed {
		if _, failed = attempt(t, program, "^TestKilledAtEveryStep$", "-crash"); failed {
			return "a death at every step"
		}
		return ""
	}
	if strings.Contains(out, "panic: test timed out") {
		t.Fatal("the lives took too long: that catches nothing")
	}
	life := "no life"
	if all := lifeRun.FindAllStringSubmatchIndex(out, -1); len(all) > 0 {
		last := all[len(all)-1]
		life = strings.ReplaceAll(out[last[2]:last[3]], "_", " ")
		out = out[last[1]:] // lives that went well say something too
	}
	said := ""
	if m := lifeSaid.FindStringSubmatch(out); m != nil {
		said = strings.TrimSpace(m[1] + m[2] + m[3])
	}
	return life + ": " + said[:min(len(said), 60)]
}

// attempt runs tests of a program with a fault in it and reports whether they failed.
func attempt(t *testing.T, program, tests string, flags ...string) (out string, failed bool) {
	t.Helper()
	run := exec.CommandContext(t.Context(), program, append([]string{"-test.run", tests, "-test.v", "-test.timeout", "30m"}, flags...)...)
	b, err := run.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(b), err != nil
}
