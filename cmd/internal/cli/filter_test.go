package cli

import "testing"

func TestFilterTakesWhatItsPatternsSay(t *testing.T) {
	list := func(s ...string) []string { return s }
	for _, c := range []struct {
		what   string
		filter filter
		path   string
		dir    bool
		want   bool
	}{
		{"an excluded name, at any depth", filter{exclude: list("*.tmp")}, "a/b/x.tmp", false, false},
		{"another name", filter{exclude: list("*.tmp")}, "a/b/x.txt", false, true},
		{"an excluded folder", filter{exclude: list("node_modules/")}, "web/node_modules", true, false},
		{"a file below an excluded folder", filter{exclude: list("node_modules/")}, "web/node_modules/a/b.js", false, false},
		{"a file with the name of an excluded folder", filter{exclude: list("node_modules/")}, "web/node_modules", false, true},
		{"a pattern with a slash starts at the top", filter{exclude: list("/build")}, "sub/build", true, true},
		{"a pattern with a slash, at the top", filter{exclude: list("/build")}, "build", true, false},
		{"any folders between", filter{exclude: list("a/**/z")}, "a/b/c/z", false, false},
		{"an exception comes later", filter{exclude: list("*.log", "!keep.log")}, "keep.log", false, true},
		{"no exception below an excluded folder", filter{exclude: list("old/", "!old/keep.log")}, "old/keep.log", false, false},
		{"an included file", filter{include: list("*.pdf")}, "a/x.pdf", false, true},
		{"a file that is not included", filter{include: list("*.pdf")}, "a/x.txt", false, false},
		{"a folder is looked into whatever is included", filter{include: list("*.pdf")}, "a", true, true},
		{"all of an included folder", filter{include: list("docs/")}, "docs/a/x.txt", false, true},
		{"what is excluded stays so", filter{include: list("docs/"), exclude: list("*.txt")}, "docs/x.txt", false, false},
		{"a type, in any letter case", filter{types: list("pdf", ".DOCX")}, "a/x.Docx", false, true},
		{"no such type", filter{types: list("pdf")}, "a/pdf", false, false},
		{"a folder has no type", filter{types: list("pdf")}, "a", true, true},
	} {
		take, err := c.filter.take()
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if got := take(c.path, c.dir); got != c.want {
			t.Errorf("%s: taken %v, want %v", c.what, got, c.want)
		}
	}
}

func TestFilterRefusesWhatNamesNothing(t *testing.T) {
	for _, f := range []filter{{include: []string{""}}, {exclude: []string{"/"}}, {exclude: []string{"a[b"}}, {types: []string{"a/b"}}, {types: []string{""}}} {
		if _, err := f.take(); statusOf(err) != exitUsage {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

func TestNoFilterIsNone(t *testing.T) {
	if take, err := (&filter{}).take(); take != nil || err != nil {
		t.Errorf("a function: %v, %v", take != nil, err)
	}
}
