package name_test

import (
	"testing"

	"github.com/duskfs/duskfs/graph/name"
)

func TestDefaultLocalOnlyNames(t *testing.T) {
	local, err := name.NewLocalOnly(name.DefaultLocalOnly())
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]bool{
		".DS_Store": true, "._report.docx": true, ".Trashes": true, ".Trash-1000": true,
		"report.docx.sb-4f2a9c11-Xy12zA": true, "~$report.docx": true, "~WRD0001.tmp": true,
		"~WRL0003.tmp": true, ".~lock.report.odt#": true, ".#notes.org": true,
		".notes.txt.swp": true, ".notes.txt.swo": true, ".goutputstream-8F3KQ2": true,
		"Thumbs.db": true, "thumbs.DB": true, "desktop.ini": true, ".fuse_hidden0000001": true,
		".nfs000000000123": true, ".xdg-volume-info": true,
		"report.docx": false, "notes.swp": false, ".notes.swz": false, ".gitignore": false,
		"DS_Store": false, "a~$b": false, "x.sb-short": false, "~backup": false, "": false,
	} {
		if got := local.Match(in); got != want {
			t.Errorf("Match(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestLocalOnlyPatternsOfOnesOwn(t *testing.T) {
	local, err := name.NewLocalOnly([]string{"node_modules", "*.É"})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]bool{
		"node_modules": true, "NODE_MODULES": true, "x.e\u0301": true, "node_module": false, ".DS_Store": false,
	} {
		if got := local.Match(in); got != want {
			t.Errorf("Match(%q) = %v, want %v", in, got, want)
		}
	}
	if (name.LocalOnly{}).Match(".DS_Store") {
		t.Error("the zero value matches")
	}
}

func TestMalformedPatternsAreRefused(t *testing.T) {
	for _, p := range []string{"", "[a-", "a/b", `a\`} {
		if _, err := name.NewLocalOnly([]string{p}); err == nil {
			t.Errorf("pattern %q is taken", p)
		}
	}
}
