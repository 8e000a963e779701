package fusemount_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"github.com/duskfs/duskfs/fs/fstest"
)

// inapplicable are the tests of go-fuse's POSIX suite that ask for what the product has not.
var inapplicable = map[string]string{
	"Link":                "the service has no hard links: EPERM",
	"LinkUnlinkRename":    "the service has no hard links: EPERM",
	"SymlinkReadlink":     "the service has no symbolic links: EPERM",
	"SetattrSymlink":      "the service has no symbolic links: EPERM",
	"OpenSymlinkRace":     "the service has no symbolic links: EPERM",
	"FcntlFlockLocksFile": "go-fuse's own runner leaves it out: locks of one process never conflict",
	"Tmpfile":             "a file without a name has no place in a drive: ENOTSUP",
}

func TestPosix(t *testing.T) {
	_, root := fstest.NewWorld(t, nil).Mount(t)
	for name, test := range posixtest.All {
		if _, ok := inapplicable[name]; ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(root, name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			test(t, dir)
		})
	}
	for name, why := range inapplicable {
		if posixtest.All[name] == nil {
			t.Errorf("no test %s (%s) any more", name, why)
		}
	}
}
