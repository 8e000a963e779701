package house

import (
	"path"
	"strings"
	"testing"
)

// floors says on which floor a package lives. A package imports packages of lower floors only.
// A package that is not listed here fails the test: where it belongs is a decision.
// Fractions order the rooms of one floor.
var floors = map[string]float64{
	"cmd/duskfs":           7.9,
	"cmd/internal/cli":     7.8,
	"cmd/internal/daemon":  7.5,
	"cmd/internal/config":  6,
	"cmd/internal/control": 6,
	"cmd/internal/house":   0,

	"fs/fusemount": 6,

	"flush":        5,
	"flush/upload": 5.5,
	"cache/mirror": 5,

	"fs":            4,
	"cache/refresh": 4,
	"flush/push":    4,

	"cache/merge": 3,
	"flush/plan":  3,

	"cache": 2,

	"cache/content":  1,
	"graph/rest":     1,
	"graph/auth":     1,
	"flush/schedule": 1,

	"graph":      0,
	"graph/name": 0,
}

// testFloors are packages that tests alone may import (see alsoUse for the two exceptions). They
// import what is below the floor given.
var testFloors = map[string]float64{
	"graph/graphtest":       0.5, // graph alone; see TestGraphtestStandsAlone
	"graph/graphtest/suite": 0.8,
	"cache/cachetest":       2.5,
	"fs/fstest":             6.5,
	"flush/simtest":         6.5,
}

// alsoUse names the product files, by the beginning of their names, that may import graphtest.
var alsoUse = []string{"cmd/internal/cli/demo", "cmd/internal/cli/emulator"}

// suiteUse is the one product file that may import the suite: it runs it on a real account.
const suiteUse = "cmd/internal/cli/selftest"

// equals lists the pairs of one floor that may see each other, with the reason.
var equals = map[[2]string]string{
	{"graph/name", "graph"}: "names speak of ids and items; graph knows nothing of names",
}

// rooms says which package alone may import a third-party module.
var rooms = map[string]string{
	"github.com/hanwen/go-fuse":                                  "fs/fusemount",
	"github.com/dgraph-io/badger":                                "cache",
	"modernc.org/sqlite":                                         "cache",
	"github.com/AzureAD/microsoft-authentication-library-for-go": "graph/auth",
	"github.com/zalando/go-keyring":                              "graph/auth",
	"software.sslmate.com/src/go-pkcs12":                         "graph/auth",
	"github.com/spf13/cobra":                                     "cmd/internal/cli",
	"github.com/gen2brain/beeep":                                 "cmd/internal/daemon",
	"github.com/godbus/dbus":                                     "cmd/internal/daemon",
	"github.com/goccy/go-yaml":                                   "cmd/internal/config",
	"github.com/joho/godotenv":                                   "cmd/internal/config",
	"github.com/go-git/go-git":                                   "cmd/internal/cli",
}

func floorOf(pkg string) (floor float64, test, known bool) {
	if f, ok := floors[pkg]; ok {
		return f, false, true
	}
	f, ok := testFloors[pkg]
	return f, true, ok
}

func TestPackagesImportLowerFloorsOnly(t *testing.T) {
	for _, s := range sources(t) {
		mine, mineTest, ok := floorOf(s.pkg)
		if !ok {
			t.Errorf("%s: package %s has no floor: add it to the table and to the design", s.file, s.pkg)
			continue
		}
		if s.test {
			continue // tests may look down and sideways; the compiler forbids circles
		}
		for _, i := range s.imports {
			theirs, theirsTest, ok := floorOf(i)
			switch {
			case !ok:
				if strings.HasPrefix(i, "cmd/") || i == module {
					t.Errorf("%s imports %s, which has no floor", s.file, i)
				}
			case theirsTest && !mineTest:
				if !mayUseTests(s.file, i) {
					t.Errorf("%s imports %s, which is for tests", s.file, i)
				}
			case equals[[2]string{s.pkg, i}] != "":
			case theirs >= mine:
				t.Errorf("%s (floor %g) imports %s (floor %g): only lower floors", s.file, mine, i, theirs)
			}
		}
	}
}

func mayUseTests(file, imported string) bool {
	if imported == "graph/graphtest/suite" {
		return strings.HasPrefix(file, suiteUse)
	}
	if imported != "graph/graphtest" {
		return false
	}
	for _, p := range alsoUse {
		if strings.HasPrefix(file, p) {
			return true
		}
	}
	return false
}

func TestGraphtestStandsAlone(t *testing.T) {
	for _, s := range sources(t) {
		if s.pkg != "graph/graphtest" {
			continue
		}
		for _, i := range s.imports {
			if _, _, ours := floorOf(i); !ours || i == "graph" {
				continue
			}
			if s.test && i != "graph/rest" && i != "graph/name" {
				continue
			}
			t.Errorf("%s imports %s: a fake that shares code with the product agrees with its mistakes", s.file, i)
		}
	}
}

func TestThirdPartyModulesStayInTheirRooms(t *testing.T) {
	for _, s := range sources(t) {
		for _, i := range s.imports {
			for mod, room := range rooms {
				if i != mod && !strings.HasPrefix(i, mod+"/") {
					continue
				}
				if s.pkg == room || s.test && strings.HasPrefix(s.pkg, room) {
					continue
				}
				t.Errorf("%s imports %s, which belongs to %s alone", s.file, i, room)
			}
		}
	}
}

func TestFloorsTableHasNoGhosts(t *testing.T) {
	there := map[string]bool{}
	for _, s := range sources(t) {
		there[s.pkg] = true
	}
	for _, table := range []map[string]float64{floors, testFloors} {
		for pkg := range table {
			if !there[pkg] {
				t.Errorf("the table names %s, which does not exist", pkg)
			}
		}
	}
}

func TestFilesCanBeReadInOneSitting(t *testing.T) {
	const most = 900
	for _, s := range sources(t) {
		if n := strings.Count(s.text, "\n"); n > most {
			t.Errorf("%s has %d lines, more than %d", s.file, n, most)
		}
	}
}

func TestPackageNamesSayWhatTheyOwn(t *testing.T) {
	vague := map[string]bool{"util": true, "utils": true, "helper": true, "helpers": true, "common": true, "misc": true, "base": true, "shared": true}
	for _, s := range sources(t) {
		if vague[path.Base(s.pkg)] || vague[strings.TrimSuffix(strings.TrimSuffix(path.Base(s.file), ".go"), "_test")] {
			t.Errorf("%s: the name says nothing", s.file)
		}
	}
}
