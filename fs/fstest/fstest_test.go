package fstest_test

import (
	"os"
	"testing"

	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
)

func TestDirect(t *testing.T) {
	fstest.Run(t, func(t *testing.T, w *fstest.World) fstest.Sys {
		return fstest.Direct(w.FS, fs.Caller{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())})
	})
}

func TestMounted(t *testing.T) {
	fstest.Run(t, func(t *testing.T, w *fstest.World) fstest.Sys {
		_, root := w.Mount(t)
		return fstest.Mounted(root)
	})
}

func TestMacProgramsDirect(t *testing.T) {
	fstest.Replay(t, func(t *testing.T, w *fstest.World) fstest.Sys {
		return fstest.Direct(w.FS, fs.Caller{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())})
	})
}

func TestMacProgramsMounted(t *testing.T) {
	fstest.Replay(t, func(t *testing.T, w *fstest.World) fstest.Sys {
		_, root := w.Mount(t)
		return fstest.Mounted(root)
	})
}
