package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
)

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheDocumentationNamesEveryCommandAndFlag(t *testing.T) {
	text := document(t, "docs/CLI.md")
	root := (&app{}).root()
	var check func(c *cobra.Command, path string)
	check = func(c *cobra.Command, path string) {
		if c.Name() == "help" || c.Hidden {
			return
		}
		if (!c.HasSubCommands() || c.Name() == "completion") && !strings.Contains(text, "`"+path) {
			t.Errorf("docs/CLI.md does not name `%s`", path)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" && !strings.Contains(text, "--"+f.Name) {
				t.Errorf("docs/CLI.md does not name --%s of `%s`", f.Name, path)
			}
		})
		if c.Name() == "completion" { // its shells are cobra's
			return
		}
		for _, sub := range c.Commands() {
			check(sub, path+" "+sub.Name())
		}
	}
	check(root, "duskfs")
}

func TestEveryCommandPrintsJSON(t *testing.T) {
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" || c.Hidden {
			return
		}
		if !c.HasSubCommands() && c.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check((&app{}).root())
}

func TestTheDocumentationNamesEverySetting(t *testing.T) {
	text := document(t, "docs/CLI.md")
	for _, k := range config.Keys() {
		if !strings.Contains(text, "`"+k.Name+"`") {
			t.Errorf("docs/CLI.md does not name the setting %s", k.Name)
		}
		if k.Seed != "" && !strings.Contains(text, "`"+k.Seed+"`") {
			t.Errorf("docs/CLI.md does not name the variable %s", k.Seed)
		}
	}
}

func TestTheDocumentationNamesEveryFieldOfStatus(t *testing.T) {
	_, text, _ := strings.Cut(document(t, "docs/CLI.md"), "`status`: one object a mount")
	text, _, _ = strings.Cut(text, "`flush`:")
	var check func(x reflect.Type)
	check = func(x reflect.Type) {
		for x.Kind() == reflect.Slice || x.Kind() == reflect.Pointer {
			x = x.Elem()
		}
		if x.Kind() != reflect.Struct || !strings.HasSuffix(x.PkgPath(), "internal/control") {
			return
		}
		for i := range x.NumField() {
			name, _, _ := strings.Cut(x.Field(i).Tag.Get("json"), ",")
			if !strings.Contains(text, name) {
				t.Errorf("docs/CLI.md does not name the field %s of %s", name, x.Name())
			}
			check(x.Field(i).Type)
		}
	}
	check(reflect.TypeFor[control.Status]())
}

func TestTheReadmeOpensWithTheTwoCommands(t *testing.T) {
	top := strings.Join(strings.SplitN(document(t, "README.md"), "\n", 8)[:7], "\n")
	for _, c := range []string{"go run ./cmd/duskfs demo", "go test ./..."} {
		if !strings.Contains(top, c) {
			t.Errorf("the top of the README lacks %q", c)
		}
	}
}
