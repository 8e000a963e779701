package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/rest"
)

func spec(t *testing.T, s string) rest.Spec {
	t.Helper()
	x, err := rest.ParseSpec(s)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestFoldersOfSeveralDrivesHaveNamesOfTheirOwn(t *testing.T) {
	var drives []drive
	for _, c := range []struct {
		spec string
		d    graph.Drive
	}{
		{"me", graph.Drive{Name: "whatever"}}, {"user:bob@x.example", graph.Drive{Name: "OneDrive", Owner: "Bob"}}, {"drive:1", graph.Drive{Name: "Documents"}},
		{"sharepoint", graph.Drive{Name: "Documents", Site: "Eng", WebURL: "https://c.example/sites/eng/Shared%20Documents"}},
		{"drive:2", graph.Drive{Name: "documents"}}, {"drive:3", graph.Drive{Name: "a/b"}}, {"drive:4", graph.Drive{Name: ".."}},
		{"sharepoint", graph.Drive{Name: "Plans", Site: "Eng", WebURL: "https://c.example/sites/eng/Plans"}},
		{"sharepoint", graph.Drive{Name: "plans", Site: "Eng", WebURL: "https://c.example/sites/eng/plans2"}},
		{"sharepoint", graph.Drive{Name: "Plans", Site: "eng", WebURL: "https://c.example/teams/eng/Plans"}},
		{"sharepoint", graph.Drive{Name: "x/y", Site: "Bob", WebURL: "https://c.example/sites/bob/x"}},
		{"sharepoint", graph.Drive{Name: "Lists", WebURL: "https://c.example/sites/nameless/Lists"}},
		{"sharepoint", graph.Drive{Name: "Docs", Site: "A/B", WebURL: "https://c.example/sites/ab/Docs"}},
	} {
		drives = append(drives, drive{spec: spec(t, c.spec), info: cache.DriveInfo{Drive: c.d}})
	}
	want := []string{"OneDrive", "Bob", "Documents", "Eng/Documents", "documents (2)", "a-b", "Drive", "Eng/Plans", "Eng/plans (2)", "eng (2)/Plans", "Bob (2)/x-y",
		"nameless/Lists", "A-B (2)/Docs"}
	if got := folderNames(drives); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDrivesAreListedAsOneTypesThem(t *testing.T) {
	library := graph.Drive{ID: "b!1", Type: "documentLibrary", Name: "Plans", WebURL: "https://contoso.sharepoint.example/sites/A%20B/Shared%20Plans"}
	for _, c := range []struct {
		name string
		d    graph.Drive
		own  bool
		want string
	}{
		{"own", graph.Drive{ID: "b!1", Type: "business"}, true, "me"},
		{"somebody's", graph.Drive{ID: "b!1", Type: "business"}, false, "drive:b!1"},
		{"library", library, false, "site:contoso.sharepoint.example:/sites/A B#Plans"},
		{"library without address", graph.Drive{ID: "b!1", Type: "documentLibrary", Name: "Plans"}, false, "drive:b!1"},
		{"library of the root site", graph.Drive{ID: "b!1", Type: "documentLibrary", Name: "P", WebURL: "https://h.example/P"}, false, "drive:b!1"},
	} {
		if got := typed(c.d, c.own); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestPathsAreFoundInTheirDrives(t *testing.T) {
	one := &mount{point: "/m", drives: []drive{{name: "OneDrive", info: cache.DriveInfo{Num: 3}}}}
	two := &mount{point: "/m", drives: []drive{{name: "OneDrive", info: cache.DriveInfo{Num: 3}}, {name: "Plans", info: cache.DriveInfo{Num: 5}}}}
	grouped := &mount{point: "/m", drives: []drive{{name: "Eng/Plans", info: cache.DriveInfo{Num: 3}}, {name: "Eng/Docs", info: cache.DriveInfo{Num: 4}},
		{name: "Engine", info: cache.DriveInfo{Num: 5}}}}
	lonely := &mount{point: "/m", drives: []drive{{name: "Eng/Plans", info: cache.DriveInfo{Num: 3}}}}
	for _, c := range []struct {
		m    *mount
		path string
		want []flush.Path
	}{
		{grouped, "/m", []flush.Path{{Drive: 3, Path: "/"}, {Drive: 4, Path: "/"}, {Drive: 5, Path: "/"}}},
		{grouped, "/m/Eng", []flush.Path{{Drive: 3, Path: "/"}, {Drive: 4, Path: "/"}}},
		{grouped, "/m/Eng/Docs", []flush.Path{{Drive: 4, Path: "/"}}},
		{grouped, "/m/Eng/Docs/a/b", []flush.Path{{Drive: 4, Path: "/a/b"}}},
		{grouped, "/m/Engine/a", []flush.Path{{Drive: 5, Path: "/a"}}},
		{grouped, "/m/Eng/Docs2", nil},
		{lonely, "/m/Eng/Plans/a", []flush.Path{{Drive: 3, Path: "/a"}}},
		{lonely, "/m", []flush.Path{{Drive: 3, Path: "/"}}},
		{one, "/m", []flush.Path{{Drive: 3, Path: "/"}}},
		{one, "/m/a/b", []flush.Path{{Drive: 3, Path: "/a/b"}}},
		{two, "/m", []flush.Path{{Drive: 3, Path: "/"}, {Drive: 5, Path: "/"}}},
		{two, "/m/Plans", []flush.Path{{Drive: 5, Path: "/"}}},
		{two, "/m/Plans/a", []flush.Path{{Drive: 5, Path: "/a"}}},
		{two, "/m/Other/a", nil},
		{one, "/elsewhere", nil},
		{one, "/m/../etc", nil},
	} {
		got, err := c.m.locate(c.path)
		if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%d drives, %s: %v, %v; want %v", len(c.m.drives), c.path, got, err, c.want)
		}
	}
}

func TestTheLibrariesOfTheLastTimeAreRemembered(t *testing.T) {
	dir := t.TempDir()
	b := openBook(dir)
	if err := errors.Join(b.set("me:", "b!0"), b.setUnder(everyLibrary, []graph.DriveID{"b!1", "b!2"}), b.setUnder(everyLibrary, []graph.DriveID{"b!2"})); err != nil {
		t.Fatal(err)
	}
	b = openBook(dir)
	if got := b.under(everyLibrary); len(got) != 1 || got[0] != "b!2" || b.ids["me:"] != "b!0" {
		t.Errorf("remembered %v", b.ids)
	}
}

func TestNamesOfDrivesAreRemembered(t *testing.T) {
	dir := t.TempDir()
	if err := openBook(dir).set("me:alice", "b!1"); err != nil {
		t.Fatal(err)
	}
	b := openBook(dir)
	if b.ids["me:alice"] != "b!1" || len(b.ids) != 1 {
		t.Errorf("remembered %v", b.ids)
	}
	if info, err := os.Stat(b.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(b.file, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b := openBook(dir); len(b.ids) != 0 {
		t.Errorf("a torn file gave %v", b.ids)
	}
}

func TestOnlySilenceOfTheServiceIsAnExcuse(t *testing.T) {
	for kind, want := range map[graph.Kind]bool{
		graph.Offline: true, graph.Throttled: true, graph.Failed: true, graph.Lost: true,
		graph.SignIn: false, graph.NotExist: false, graph.Denied: false, graph.Invalid: false,
	} {
		if got := outOfReach(&graph.Error{Kind: kind}); got != want {
			t.Errorf("%s: %t", kind, got)
		}
	}
}

func TestAStateFolderInsideTheMountpointIsRefused(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	inside := filepath.Join(dir, "state")
	for _, c := range []*config.Config{{Mountpoint: dir, StateDir: inside}, {Mountpoint: dir, StateDir: dir}} {
		c.Drives = []rest.Spec{spec(t, "me")}
		if _, err := Check(c); err == nil || !strings.Contains(err.Error(), "choose another mountpoint") {
			t.Errorf("got %v", err)
		}
		if _, err := os.Lstat(inside); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("something was made: %v", err)
		}
	}
	// By way of a link, it is seen once the folder is there.
	link := filepath.Join(outside, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	_, err := Check(&config.Config{Drives: []rest.Spec{spec(t, "me")}, Mountpoint: dir, StateDir: filepath.Join(link, "state")})
	if err == nil || !strings.Contains(err.Error(), "choose another mountpoint") {
		t.Errorf("by a link: %v", err)
	}
}

func TestACAFileWithoutACertificateIsAMistakeOfTheConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Connect(&config.Config{Tenant: "t", Client: "c", Secret: "s", CAFile: file}, "test", nil)
	var ce *config.Error
	if !errors.As(err, &ce) || !strings.Contains(err.Error(), "no certificate in") {
		t.Errorf("got %v", err)
	}
}

func TestAMountWasRefreshedWhenItsLastDriveWas(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	if got := earlierOrSet(false, &late, &early); got != &early {
		t.Errorf("got %v", got)
	}
	if got := earlierOrSet(false, &late, nil); got != nil {
		t.Errorf("one drive never was, got %v", got)
	}
	if got := earlierOrSet(true, nil, &late); got != &late {
		t.Errorf("the first: %v", got)
	}
}
