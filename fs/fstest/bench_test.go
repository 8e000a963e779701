package fstest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
)

// all runs a benchmark on the native file system, on ours directly, and through a mount of it. What counts
// is how one compares with another: a machine with other work is slow for all three.
func all(b *testing.B, run func(b *testing.B, sys fstest.Sys)) {
	prepare := func(b *testing.B) *fstest.World {
		w := fstest.NewWorld(b, func(w *fstest.World, _ *fs.Options) {
			w.Remote.Put("/sub/remote", make([]byte, 1<<20))
		})
		return w
	}
	b.Run("native", func(b *testing.B) {
		dir := b.TempDir()
		must(b, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
		must(b, os.WriteFile(filepath.Join(dir, "sub", "remote"), make([]byte, 1<<20), 0o644))
		run(b, fstest.Mounted(dir))
	})
	b.Run("direct", func(b *testing.B) { run(b, fstest.Direct(prepare(b).FS, fs.Caller{})) })
	b.Run("mounted", func(b *testing.B) {
		_, root := prepare(b).Mount(b)
		run(b, fstest.Mounted(root))
	})
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkStat(b *testing.B) {
	all(b, func(b *testing.B, sys fstest.Sys) {
		for b.Loop() {
			_, err := sys.Stat("/sub/remote")
			must(b, err)
		}
	})
}

func BenchmarkCreate4K(b *testing.B) {
	all(b, func(b *testing.B, sys fstest.Sys) {
		must(b, sys.Mkdir("/new", 0o755))
		data := make([]byte, 4096)
		i := 0
		for b.Loop() {
			i++
			f, err := sys.Open(fmt.Sprintf("/new/%d", i), syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o644)
			must(b, err)
			_, err = f.Write(data)
			must(b, err)
			must(b, f.Close())
		}
	})
}

func BenchmarkOpenRead4K(b *testing.B) {
	all(b, func(b *testing.B, sys fstest.Sys) {
		data := make([]byte, 4096)
		for b.Loop() {
			f, err := sys.Open("/sub/remote", syscall.O_RDONLY, 0)
			must(b, err)
			_, err = f.ReadAt(data, 0)
			must(b, err)
			must(b, f.Close())
		}
	})
}

func BenchmarkWrite128K(b *testing.B) {
	all(b, func(b *testing.B, sys fstest.Sys) {
		f, err := sys.Open("/big", syscall.O_RDWR|syscall.O_CREAT, 0o644)
		must(b, err)
		defer f.Close()
		data := make([]byte, 128<<10)
		b.SetBytes(int64(len(data)))
		var off int64
		for b.Loop() {
			_, err := f.WriteAt(data, off%(256<<20))
			must(b, err)
			off += int64(len(data))
		}
	})
}

func BenchmarkRead128K(b *testing.B) {
	all(b, func(b *testing.B, sys fstest.Sys) {
		f, err := sys.Open("/sub/remote", syscall.O_RDONLY, 0)
		must(b, err)
		defer f.Close()
		data := make([]byte, 128<<10)
		b.SetBytes(int64(len(data)))
		var off int64
		for b.Loop() {
			_, err := f.ReadAt(data, off%(1<<20))
			must(b, err)
			off += int64(len(data))
		}
	})
}

func BenchmarkUnlink(b *testing.B) {
	all(b, func(b *testing.B, sys fstest.Sys) {
		must(b, sys.Mkdir("/gone", 0o755))
		i := 0
		for b.Loop() {
			i++
			b.StopTimer()
			p := fmt.Sprintf("/gone/%d", i)
			f, err := sys.Open(p, syscall.O_WRONLY|syscall.O_CREAT, 0o644)
			must(b, err)
			must(b, f.Close())
			b.StartTimer()
			must(b, sys.Unlink(p))
		}
	})
}

// BenchmarkWalk lists and describes 10,000 files in 100 folders: as the kernel remembers them, and on
// a fresh mount.
func BenchmarkWalk(b *testing.B) {
	w := fstest.NewWorld(b, func(w *fstest.World, _ *fs.Options) {
		for i := range 10_000 {
			w.Remote.Put(fmt.Sprintf("/d%02d/file-%05d.txt", i%100, i), []byte("x"))
		}
	})
	walk := func(root string) (n int) {
		err := filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			n++
			_, err = e.Info()
			return err
		})
		must(b, err)
		return n
	}
	_, root := w.Mount(b)
	walk(root) // list everything
	b.Run("warm", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n += walk(root)
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("first", func(b *testing.B) {
		n := 0
		for b.Loop() {
			b.StopTimer()
			_, again := w.Mount(b)
			b.StartTimer()
			n += walk(again)
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
	})
}

// BenchmarkFolderOf50000 lists 50,000 files of one folder, names alone as find and ls -f do, and with their
// attributes as ls -l does: as the kernel remembers them, and on a fresh mount. The names alone shall come
// in less than a second when they are remembered, with attributes in less than two.
func BenchmarkFolderOf50000(b *testing.B) {
	const files = 50_000
	w := fstest.NewWorld(b, func(w *fstest.World, _ *fs.Options) {
		for i := range files {
			w.Remote.Put(fmt.Sprintf("/d/file-%05d.txt", i), []byte("x"))
		}
	})
	names := func(root string) {
		d, err := os.Open(filepath.Join(root, "d"))
		must(b, err)
		defer d.Close()
		all, err := d.Readdirnames(-1)
		must(b, err)
		if len(all) != files {
			b.Fatalf("%d names", len(all))
		}
	}
	stats := func(root string) {
		d, err := os.Open(filepath.Join(root, "d"))
		must(b, err)
		defer d.Close()
		all, err := d.Readdir(-1)
		must(b, err)
		if len(all) != files {
			b.Fatalf("%d files", len(all))
		}
	}
	_, root := w.Mount(b)
	for _, c := range []struct {
		name string
		list func(string)
		most time.Duration
	}{{"names", names, time.Second}, {"attributes", stats, 2 * time.Second}} {
		c.list(root)
		b.Run(c.name+"/warm", func(b *testing.B) {
			n := 0
			for b.Loop() {
				c.list(root)
				n++
			}
			if each := b.Elapsed() / time.Duration(n); each > c.most {
				b.Errorf("it takes %v, more than %v", each, c.most)
			}
		})
		b.Run(c.name+"/first", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				_, again := w.Mount(b)
				b.StartTimer()
				c.list(again)
			}
		})
	}
}
