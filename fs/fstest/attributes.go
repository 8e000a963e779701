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
)

// noXattr is what a missing extended attribute is called on this system.
var noXattr = fs.Errno(cache.ErrNoXattr)

// attributes are behaviours of modes, owners, times and extended attributes.
var attributes = []Behaviour{
	{"extended attributes are set, read, listed and removed", func(t *testing.T, e Env) {
		e.write(t, "f", []byte("x"))
		p := e.Dir + "/f"
		_, err := e.Sys.Xattr(p, "user.a")
		fails(t, "get of none", err, noXattr)
		works(t, "set", e.Sys.SetXattr(p, "user.a", []byte("one"), 0))
		works(t, "set empty", e.Sys.SetXattr(p, "user.empty", nil, 0))
		works(t, "set of Finder's", e.Sys.SetXattr(p, "com.apple.FinderInfo", make([]byte, 32), 0))
		fails(t, "create again", e.Sys.SetXattr(p, "user.a", nil, cache.XattrCreate), syscall.EEXIST)
		fails(t, "replace none", e.Sys.SetXattr(p, "user.b", nil, cache.XattrReplace), noXattr)
		works(t, "replace", e.Sys.SetXattr(p, "user.a", []byte("two"), cache.XattrReplace))
		if v, err := e.Sys.Xattr(p, "user.a"); err != nil || string(v) != "two" {
			t.Errorf("get: %q, %v", v, err)
		}
		names, err := e.Sys.Xattrs(p)
		slices.Sort(names)
		if want := "com.apple.FinderInfo user.a user.empty"; err != nil || strings.Join(names, " ") != want {
			t.Errorf("list: %v, %v", names, err)
		}
		works(t, "remove", e.Sys.RemoveXattr(p, "user.a"))
		fails(t, "remove again", e.Sys.RemoveXattr(p, "user.a"), noXattr)
	}},
	{"an extended attribute of 64 KiB is kept", func(t *testing.T, e Env) {
		e.mkdir(t, "d")
		v := pattern(cache.MaxXattr)
		works(t, "set", e.Sys.SetXattr(e.Dir+"/d", "user.big", v, 0))
		if got, err := e.Sys.Xattr(e.Dir+"/d", "user.big"); err != nil || !bytes.Equal(got, v) {
			t.Errorf("%d bytes came back, %v", len(got), err)
		}
		if err := e.Sys.SetXattr(e.Dir+"/d", "user.big", append(v, 0), 0); err == nil {
			t.Error("a larger one was taken")
		}
	}},
	{"extended attributes move with the file and change no bytes", func(t *testing.T, e Env) {
		e.Remote.Put(e.Dir+"/r/f", []byte("remote"))
		p := e.Dir + "/r/f"
		works(t, "set", e.Sys.SetXattr(p, "user.a", []byte("1"), 0))
		works(t, "rename", e.rename("r/f", "r/g"))
		if v, err := e.Sys.Xattr(e.Dir+"/r/g", "user.a"); err != nil || string(v) != "1" {
			t.Errorf("after the rename: %q, %v", v, err)
		}
		works(t, "rename", e.rename("r/g", "r/f"))
		a, err := e.Store.Tree().Resolve(e.Drive.Root, p)
		if err != nil || !a.Since.IsZero() {
			t.Errorf("the file waits to be sent: %v, %v", a.Since, err)
		}
		if v, err := e.Sys.Xattr(p, "user.a"); err != nil || string(v) != "1" {
			t.Errorf("after the rename back: %q, %v", v, err)
		}
	}},
	{"attributes of the system are not kept", func(t *testing.T, e Env) {
		e.write(t, "f", nil)
		fails(t, "set", e.Sys.SetXattr(e.Dir+"/f", "security.x", []byte("1"), 0), syscall.EOPNOTSUPP)
		_, err := e.Sys.Xattr(e.Dir+"/f", "security.capability")
		fails(t, "get", err, noXattr)
	}},
	{"a write takes the time of change along, and closing does not", func(t *testing.T, e Env) {
		e.write(t, "f", []byte("one"))
		works(t, "set time", e.Sys.Chtimes(e.Dir+"/f", Date, Date))
		before := e.stat(t, "f").Ctime
		Await(t, "a later time", func() bool { return time.Since(before) > 20*time.Millisecond })
		f := e.open(t, "f", wronly)
		f.WriteAt([]byte("two"), 0)
		open, err := f.Stat()
		works(t, "fstat", err)
		works(t, "close", f.Close())
		if !open.Ctime.After(before) {
			t.Errorf("the change time stayed at %v", before)
		}
		Await(t, "the file to be closed", func() bool { return !e.writing(t, "f") })
		if st := e.stat(t, "f"); st.Ctime.Before(open.Ctime) || st.Ctime.After(time.Now()) {
			t.Errorf("closed, the file was changed at %v, open at %v", st.Ctime, open.Ctime)
		}
	}},
	{"a new owner loses the rights to be somebody else", func(t *testing.T, e Env) {
		if syscall.Getuid() != 0 {
			t.Skip("only root gives files away")
		}
		e.write(t, "f", nil)
		works(t, "chmod", e.Sys.Chmod(e.Dir+"/f", 0o6755))
		works(t, "chown", e.Sys.Chown(e.Dir+"/f", 65534, 65533))
		if st := e.stat(t, "f"); st.Mode != 0o755 || st.UID != 65534 || st.GID != 65533 {
			t.Errorf("mode %o, owner %d:%d", st.Mode, st.UID, st.GID)
		}
		e.mkdir(t, "d")
		works(t, "chmod", e.Sys.Chmod(e.Dir+"/d", 0o2755))
		works(t, "chown", e.Sys.Chown(e.Dir+"/d", 65534, 65533))
		if st := e.stat(t, "d"); st.Mode != 0o2755 {
			t.Errorf("mode of the folder %o", st.Mode)
		}
	}},
	{"mode 0 is mode 0", func(t *testing.T, e Env) {
		e.write(t, "f", nil)
		works(t, "chmod", e.Sys.Chmod(e.Dir+"/f", 0))
		if st := e.stat(t, "f"); st.Mode != 0 {
			t.Errorf("mode %o", st.Mode)
		}
	}},
	{"a name of more than 255 bytes is too long wherever it is said", func(t *testing.T, e Env) {
		long := strings.Repeat("n", 256)
		p := e.Dir + "/" + long
		_, err := e.Sys.Stat(p)
		fails(t, "stat", err, syscall.ENAMETOOLONG)
		fails(t, "mkdir", e.Sys.Mkdir(p, 0o755), syscall.ENAMETOOLONG)
		fails(t, "unlink", e.Sys.Unlink(p), syscall.ENAMETOOLONG)
		_, err = e.Sys.Open(p, rdwr|creat, 0o644)
		fails(t, "open", err, syscall.ENAMETOOLONG)
		e.write(t, "f", nil)
		fails(t, "rename", e.rename("f", long), syscall.ENAMETOOLONG)
		works(t, "mkdir of 255", e.Sys.Mkdir(e.Dir+"/"+long[:255], 0o755))
	}},
	{"a long name of the remote is reachable", func(t *testing.T, e Env) {
		name := strings.Repeat("語", 120) // 360 bytes
		e.Remote.Put(e.Dir+"/"+name, []byte("here"))
		e.has(t, name, []byte("here"))
		if names := e.names(t, ""); !slices.Contains(names, name) {
			t.Errorf("listed: %q", names)
		}
	}},
}
