package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/duskfs/duskfs"

// source is one Go file of the module.
type source struct {
	file    string // slash-separated, from the module's root
	pkg     string // folder of the file, from the module's root
	test    bool
	imports []string // paths; those of the module itself relative to it
	doc     string   // package comment
	name    string   // package clause
	text    string
}

// root finds the folder of go.mod above the working directory.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = up
	}
}

// sources reads and parses every Go file of the module, hidden folders, testdata and nested
// modules left out.
func sources(t *testing.T) []source {
	t.Helper()
	top := root(t)
	var all []source
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p == top {
				return nil
			}
			if strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		s, err := read(top, p)
		if err != nil {
			return err
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found %d Go files only: the walk is broken", len(all))
	}
	return all
}

func read(top, p string) (source, error) {
	text, err := os.ReadFile(p)
	if err != nil {
		return source{}, err
	}
	f, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return source{}, err
	}
	rel, err := filepath.Rel(top, p)
	if err != nil {
		return source{}, err
	}
	rel = filepath.ToSlash(rel)
	s := source{
		file: rel, pkg: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"),
		doc: packageComment(f), name: f.Name.Name, text: string(text),
	}
	for _, i := range f.Imports {
		q, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, strings.TrimPrefix(q, module+"/"))
	}
	return s, nil
}

func packageComment(f *ast.File) string {
	if f.Doc == nil {
		return ""
	}
	return f.Doc.Text()
}
