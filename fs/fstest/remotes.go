package fstest

import (
	"bytes"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/graph"
)

// remotes are behaviours of what came from the remote.
var remotes = []Behaviour{
	{"a remote file is listed, described and read", func(t *testing.T, e Env) {
		data := pattern(300_000)
		e.Remote.Put(e.Dir+"/sub/remote.bin", data)
		if got := e.names(t, "sub"); !slices.Equal(got, []string{"remote.bin"}) {
			t.Errorf("listed %v", got)
		}
		st := e.stat(t, "sub/remote.bin")
		if st.Size != int64(len(data)) || !st.Mtime.Equal(Date) || st.Mode != 0o644 || st.Blocks == 0 {
			t.Errorf("attributes: %+v", st)
		}
		if d := e.stat(t, "sub"); d.Mode != 0o755 || !d.Dir {
			t.Errorf("attributes of the folder: %+v", d)
		}
		e.has(t, "sub/remote.bin", data)
		calls, _ := e.Remote.Reads()
		e.has(t, "sub/remote.bin", data)
		if again, _ := e.Remote.Reads(); again != calls {
			t.Errorf("the second read asked the remote %d times", again-calls)
		}
	}},
	{"looking at a remote file fetches nothing of it", func(t *testing.T, e Env) {
		e.Remote.Put(e.Dir+"/f", pattern(50_000))
		before, _ := e.Remote.Reads()
		e.stat(t, "f")
		e.open(t, "f", rdonly)
		if after, _ := e.Remote.Reads(); after != before {
			t.Errorf("asked %d times", after-before)
		}
	}},
	{"a folder is listed once", func(t *testing.T, e Env) {
		e.Remote.Put(e.Dir+"/sub/f", []byte("x"))
		e.names(t, "sub")
		before := e.Remote.Lists()
		e.names(t, "sub")
		e.gone(t, "sub/none")
		if after := e.Remote.Lists(); after != before {
			t.Errorf("listed %d times more", after-before)
		}
	}},
	{"overwriting a part of a remote file keeps the rest", func(t *testing.T, e Env) {
		data := pattern(400_000)
		e.Remote.Put(e.Dir+"/f", data)
		f := e.open(t, "f", rdwr)
		_, err := f.WriteAt([]byte("PATCH"), 200_000)
		works(t, "write", err)
		copy(data[200_000:], "PATCH")
		e.has(t, "f", data)
		works(t, "close", f.Close())
		e.has(t, "f", data)
		n, err := e.Store.Tree().Resolve(e.Drive.Root, e.Dir+"/f")
		works(t, "resolve", err)
		if !n.Written || n.Base == nil {
			t.Errorf("written %v, base %v: want local work with its base", n.Written, n.Base)
		}
	}},
	{"appending to a remote file keeps it", func(t *testing.T, e Env) {
		e.Remote.Put(e.Dir+"/log", []byte("first\n"))
		f := e.open(t, "log", wronly|appendTo)
		_, err := f.Write([]byte("second\n"))
		works(t, "write", err)
		e.has(t, "log", []byte("first\nsecond\n"))
	}},
	{"O_TRUNC of a remote file fetches nothing", func(t *testing.T, e Env) {
		e.Remote.Put(e.Dir+"/f", pattern(500_000))
		e.Remote.Put(e.Dir+"/g", pattern(500_000))
		before, _ := e.Remote.Reads()
		e.write(t, "f", []byte("new"))
		works(t, "truncate", e.Sys.Truncate(e.Dir+"/g", 0))
		if after, _ := e.Remote.Reads(); after != before {
			t.Errorf("asked %d times", after-before)
		}
		e.has(t, "f", []byte("new"))
		e.has(t, "g", nil)
	}},
	{"truncating a remote file keeps what stays", func(t *testing.T, e Env) {
		data := pattern(300_000)
		e.Remote.Put(e.Dir+"/f", data)
		e.Remote.Put(e.Dir+"/g", data)
		works(t, "truncate", e.Sys.Truncate(e.Dir+"/f", 1000))
		e.has(t, "f", data[:1000])
		works(t, "truncate", e.Sys.Truncate(e.Dir+"/g", 300_010))
		e.has(t, "g", append(bytes.Clone(data), make([]byte, 10)...))
	}},
	{"a time set on a remote file fetches nothing", func(t *testing.T, e Env) {
		e.Remote.Put(e.Dir+"/f", pattern(100_000))
		before, _ := e.Remote.Reads()
		want := time.Date(2010, 1, 2, 3, 4, 5, 0, time.UTC)
		works(t, "utimes", e.Sys.Chtimes(e.Dir+"/f", want, want))
		if st := e.stat(t, "f"); !st.Mtime.Equal(want) {
			t.Errorf("mtime %v", st.Mtime)
		}
		works(t, "chmod", e.Sys.Chmod(e.Dir+"/f", 0o400))
		if st := e.stat(t, "f"); st.Mode != 0o400 || st.Size != 100_000 {
			t.Errorf("attributes %+v", st)
		}
		if after, _ := e.Remote.Reads(); after != before {
			t.Errorf("asked %d times", after-before)
		}
	}},
	{"a remote file that was unlinked while open is read on", func(t *testing.T, e Env) {
		data := pattern(200_000)
		e.Remote.Put(e.Dir+"/f", data)
		f := e.open(t, "f", rdonly)
		works(t, "unlink", e.Sys.Unlink(e.Dir+"/f"))
		if got := wholeOf(t, f); !bytes.Equal(got, data) {
			t.Errorf("got %d other bytes", len(got))
		}
	}},
	{"a remote file that was replaced while open is read on", func(t *testing.T, e Env) {
		data := pattern(200_000)
		e.Remote.Put(e.Dir+"/f", data)
		f := e.open(t, "f", rdonly)
		e.write(t, "f.tmp", []byte("new"))
		works(t, "rename", e.rename("f.tmp", "f"))
		if got := wholeOf(t, f); !bytes.Equal(got, data) {
			t.Errorf("got %d other bytes", len(got))
		}
		e.has(t, "f", []byte("new"))
	}},
	{"bytes that changed on the remote are ESTALE and ask for a refresh", func(t *testing.T, e Env) {
		asked := make(chan cache.DriveNum, 100)
		o := e.Another(func(w *World, o *fs.Options) {
			o.WantRefresh = func(d cache.DriveNum) { asked <- d }
			w.Remote.Put("/f", pattern(100_000))
		})
		f := o.open(t, "f", rdonly)
		o.Remote.Put("/f", pattern(90_000))
		_, err := f.ReadAt(make([]byte, 1000), 0)
		fails(t, "read", err, syscall.ESTALE)
		select {
		case d := <-asked:
			if d != o.Drive.Num {
				t.Errorf("a refresh of drive %d was asked for", d)
			}
		default:
			t.Error("no refresh was asked for")
		}
	}},
	{"offline is EIO for what is not here and nothing for what is", func(t *testing.T, e Env) {
		o := e.Another(func(w *World, _ *fs.Options) {
			w.Remote.Put("/here", []byte("here"))
			w.Remote.Put("/away", []byte("away"))
			w.Remote.Mkdir("/unlisted")
		})
		o.has(t, "here", []byte("here"))
		o.Remote.SetOffline(true)
		defer o.Remote.SetOffline(false)
		o.has(t, "here", []byte("here"))
		f := o.open(t, "away", rdwr)
		_, err := f.ReadAt(make([]byte, 4), 0)
		fails(t, "read", err, syscall.EIO)
		_, err = f.WriteAt([]byte("x"), 0)
		fails(t, "write to a part", err, syscall.EIO)
		_, err = o.Sys.Stat("/unlisted/f")
		fails(t, "look into a folder not known", err, syscall.EIO)
		o.write(t, "new", []byte("local work goes on"))
		o.has(t, "new", []byte("local work goes on"))
		o.write(t, "away", []byte("all new"))
		o.has(t, "away", []byte("all new"))
	}},
	{"a read that hangs ends when the file system stops", func(t *testing.T, e Env) {
		o := e.Another(func(w *World, _ *fs.Options) { w.Remote.Put("/f", pattern(1000)) })
		resume := o.Remote.Hang()
		defer resume()
		f := o.open(t, "f", rdonly)
		done := make(chan error, 1)
		go func() {
			_, err := f.ReadAt(make([]byte, 10), 0)
			done <- err
		}()
		Await(t, "the read asks the remote", func() bool { calls, _ := o.Remote.Reads(); return calls > 0 })
		o.FS.Stop()
		fails(t, "read", <-done, syscall.EIO)
	}},
	{"a read-only drive refuses every change", func(t *testing.T, e Env) {
		o := e.Another(func(w *World, o *fs.Options) {
			w.Remote.Put("/f", []byte("theirs"))
			w.Remote.Mkdir("/d")
			o.Drives[0].ReadOnly = true
		})
		o.has(t, "f", []byte("theirs"))
		_, err := o.Sys.Open("/f", rdwr, 0)
		fails(t, "open for writing", err, syscall.EROFS)
		_, err = o.Sys.Open("/new", wronly|creat, 0o644)
		fails(t, "create", err, syscall.EROFS)
		fails(t, "mkdir", o.Sys.Mkdir("/new", 0o755), syscall.EROFS)
		fails(t, "unlink", o.Sys.Unlink("/f"), syscall.EROFS)
		fails(t, "rmdir", o.Sys.Rmdir("/d"), syscall.EROFS)
		fails(t, "rename", o.Sys.Rename("/f", "/g", 0), syscall.EROFS)
		fails(t, "truncate", o.Sys.Truncate("/f", 0), syscall.EROFS)
		fails(t, "chmod", o.Sys.Chmod("/f", 0o600), syscall.EROFS)
		fails(t, "utimes", o.Sys.Chtimes("/f", Date, Date), syscall.EROFS)
		o.has(t, "f", []byte("theirs"))
	}},
	{"statfs tells the quota less what waits", func(t *testing.T, e Env) {
		o := e.Another(func(w *World, o *fs.Options) {
			o.Drives[0].Space = func() (graph.Quota, int64) {
				return graph.Quota{Total: 1 << 30, Used: 1 << 29, Remaining: 1 << 29}, 1 << 20
			}
		})
		got, err := o.Sys.Free("/")
		works(t, "statfs", err)
		if want := int64(1<<29 - 1<<20); got != want {
			t.Errorf("%d bytes free, want %d", got, want)
		}
		if got, err := e.Sys.Free("/"); err != nil || got < 1<<39 {
			t.Errorf("%d bytes free, %v", got, err)
		}
	}},
	{"several drives are folders of a read-only one", func(t *testing.T, e Env) {
		o := e.Another(func(w *World, o *fs.Options) {
			second, err := w.Store.AddDrive(graph.Drive{ID: "second"}, graph.Item{ID: "root2", Type: graph.Folder, Root: true, ETag: "r2"})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Store.Inbox(second.Num).List(second.Root, nil); err != nil {
				t.Fatal(err)
			}
			w.Remote.Put("/f", []byte("in the first"))
			o.Drives = append(o.Drives, fs.Drive{Info: second, Name: "Second"})
		})
		got := o.names(t, "")
		if !slices.Equal(got, []string{"Documents", "Second"}) {
			t.Errorf("listed %v", got)
		}
		o.has(t, "Documents/f", []byte("in the first"))
		o.write(t, "Second/g", []byte("x"))
		o.has(t, "Second/g", []byte("x"))
		fails(t, "mkdir beside the drives", o.Sys.Mkdir("/new", 0o755), syscall.EROFS)
		fails(t, "rmdir of a drive", o.Sys.Rmdir("/Second"), syscall.EROFS)
		fails(t, "rename between drives", o.Sys.Rename("/Second/g", "/Documents/g", 0), syscall.EXDEV)
		o.gone(t, "none")
	}},
	{"drives can be grouped in folders", func(t *testing.T, e Env) {
		o := e.Another(func(w *World, o *fs.Options) {
			w.Remote.Put("/f", []byte("in the first"))
			for _, name := range []string{"Site/One", "Site/Two", "Other/One"} {
				id := strings.ReplaceAll(name, "/", "-")
				d, err := w.Store.AddDrive(graph.Drive{ID: graph.DriveID(id)}, graph.Item{ID: graph.ItemID("root of " + id), Type: graph.Folder, Root: true, ETag: "r"})
				if err == nil {
					err = w.Store.Inbox(d.Num).List(d.Root, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
				o.Drives = append(o.Drives, fs.Drive{Info: d, Name: name, ReadOnly: name == "Site/Two"})
			}
		})
		for dir, want := range map[string][]string{"": {"Documents", "Other", "Site"}, "Site": {"One", "Two"}, "Other": {"One"}, "Site/Two": {}} {
			got := o.names(t, dir)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("listed %v in %q, want %v", got, dir, want)
			}
		}
		o.has(t, "Documents/f", []byte("in the first"))
		o.write(t, "Site/One/g", []byte("x"))
		o.has(t, "Site/One/g", []byte("x"))
		o.gone(t, "Other/One/g")
		o.gone(t, "Site/g")
		_, err := o.Sys.Open("/Site/Two/g", wronly|creat, 0o644)
		fails(t, "create in a read-only drive", err, syscall.EROFS)
		_, err = o.Sys.Open("/Site/g", wronly|creat, 0o644)
		fails(t, "create in a group", err, syscall.EROFS)
		fails(t, "mkdir in a group", o.Sys.Mkdir("/Site/new", 0o755), syscall.EROFS)
		fails(t, "rmdir of a group", o.Sys.Rmdir("/Site"), syscall.EROFS)
		fails(t, "rename of a group", o.Sys.Rename("/Site", "/Sites", 0), syscall.EROFS)
		fails(t, "chmod of a group", o.Sys.Chmod("/Site", 0o700), syscall.EROFS)
		if free, err := o.Sys.Free("/Site"); err != nil || free < 1<<40 {
			t.Errorf("%d bytes free, %v", free, err)
		}
	}},
}
