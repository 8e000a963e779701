package fstest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/graph"
)

// replay is what a program of macOS does, call by call, with one document, doc, that the remote has
// under the name in the row. What must hold after: the document has the bytes New and is still the
// same item, nothing else is left that would ever be sent, and no pending change is of a name that
// is local only.
type replay struct {
	name string
	doc  string
	run  func(p *player)
	// left are further names that may stay, with a slash after folders.
	left []string
	// old: the program leaves the document alone.
	old bool
}

// The bytes of the document before and after.
var (
	oldBytes = bytes.Repeat([]byte("old "), 3000)
	newBytes = bytes.Repeat([]byte("new!"), 4000)
)

// Replay runs the recorded calls of macOS programs on a world that is as on a Mac.
func Replay(t *testing.T, f Factory) {
	for _, r := range replays {
		t.Run(r.name, func(t *testing.T) {
			var id graph.ItemID
			w := NewMac(t, func(w *World, _ *fs.Options) { id = w.Remote.Put("/Work/"+r.doc, oldBytes) })
			p := &player{t: t, w: w, sys: f(t, w)}
			r.run(p)
			p.check(r, id)
		})
	}
}

// player makes calls in the folder of the document. A call that fails ends the test.
type player struct {
	t   *testing.T
	w   *World
	sys Sys
}

func (p *player) path(name string) string { return "/Work/" + name }

func (p *player) ok(what string, err error) {
	p.t.Helper()
	works(p.t, what, err)
}

func (p *player) mkdir(name string) {
	p.t.Helper()
	p.ok("mkdir "+name, p.sys.Mkdir(p.path(name), 0o755))
}
func (p *player) rmdir(name string) { p.t.Helper(); p.ok("rmdir "+name, p.sys.Rmdir(p.path(name))) }
func (p *player) rm(name string)    { p.t.Helper(); p.ok("unlink "+name, p.sys.Unlink(p.path(name))) }

func (p *player) mv(from, to string, flags cache.RenameFlags) {
	p.t.Helper()
	p.ok(fmt.Sprintf("rename %s %s", from, to), p.sys.Rename(p.path(from), p.path(to), flags))
}

// put creates a file, with O_EXCL, and writes it in two pieces.
func (p *player) put(name string, b []byte) {
	p.t.Helper()
	f, err := p.sys.Open(p.path(name), rdwr|creat|excl, 0o644)
	p.ok("create "+name, err)
	half := len(b) / 2
	_, err = f.WriteAt(b[:half], 0)
	p.ok("write", err)
	_, err = f.WriteAt(b[half:], int64(half))
	p.ok("write", err)
	p.ok("close", f.Close())
}

func (p *player) read(name string) []byte {
	p.t.Helper()
	f, err := p.sys.Open(p.path(name), rdonly, 0)
	p.ok("open "+name, err)
	defer f.Close()
	return wholeOf(p.t, f)
}

// missing looks for something that is not there.
func (p *player) missing(name string) {
	p.t.Helper()
	_, err := p.sys.Stat(p.path(name))
	fails(p.t, "stat "+name, err, syscall.ENOENT)
}

func (p *player) xattr(name, attr string, v []byte) {
	p.t.Helper()
	p.ok("setxattr "+attr, p.sys.SetXattr(p.path(name), attr, v, 0))
}

// look is what Spotlight does after each change.
func (p *player) look(name string) {
	p.t.Helper()
	for range 3 {
		_, err := p.sys.Stat(p.path(name))
		p.ok("stat "+name, err)
	}
	_, err := p.sys.Xattrs(p.path(name))
	p.ok("listxattr "+name, err)
	p.read(name)
}

func (p *player) check(r replay, id graph.ItemID) {
	t := p.t
	t.Helper()
	want := newBytes
	if r.old {
		want = oldBytes
	}
	if got := p.read(r.doc); !bytes.Equal(got, want) {
		t.Errorf("the document holds %s", brief(got))
	}
	tree := p.w.Store.Tree()
	n, err := tree.Resolve(p.w.Drive.Root, p.path(r.doc))
	if err != nil {
		t.Fatal(err)
	}
	if n.Base == nil || n.Base.Item != id {
		t.Errorf("the document is not item %s any more: %+v", id, n.Base)
	}
	v, err := p.w.Store.Outbox(p.w.Drive.Num).View()
	if err != nil {
		t.Fatal(err)
	}
	var pending []string
	for _, ino := range v.Dirty {
		d := v.Nodes[ino]
		path, err := tree.Path(ino)
		if err != nil || d.LocalOnly {
			t.Errorf("%q waits to be sent: local only %v, %v", d.Name, d.LocalOnly, err)
		}
		if d.Dir {
			path += "/"
		}
		if name := strings.TrimPrefix(path, "/Work/"); name != r.doc {
			pending = append(pending, name)
		}
	}
	slices.Sort(pending)
	if !slices.Equal(pending, r.left) {
		t.Errorf("besides the document %q wait to be sent, want %q", pending, r.left)
	}
	if len(v.Gone) != 0 {
		t.Errorf("%d deletions wait to be sent", len(v.Gone))
	}
}

var replays = []replay{
	{name: "Finder looks around", doc: "a.txt", old: true, run: func(p *player) {
		p.read("a.txt")
		lists := p.w.Remote.Lists()
		defer p.w.Remote.Hang()() // whatever waits for the service fails
		for range 10 {
			_, err := p.sys.Free("/")
			p.ok("statfs", err)
		}
		for _, name := range []string{
			".metadata_never_index", ".Spotlight-V100", ".fseventsd", ".Trashes", ".TemporaryItems",
			".hidden", "._.", ".VolumeIcon.icns", ".DS_Store", "._a.txt", ".localized",
		} {
			p.missing(name)
		}
		if p.w.Remote.Lists() != lists {
			p.t.Error("a name that is not there was asked of the service")
		}
	}},
	{name: "Finder copies a file in", doc: "a.txt", old: true, left: []string{"photo.jpg"}, run: func(p *player) {
		p.missing("photo.jpg")
		f, err := p.sys.Open(p.path("photo.jpg"), rdwr|creat|excl, 0o600)
		p.ok("create", err)
		p.missing("._photo.jpg")
		info := make([]byte, 32)
		copy(info, "brokMACS")
		p.xattr("photo.jpg", "com.apple.FinderInfo", info)
		before1970 := time.Date(1946, 2, 14, 8, 34, 56, 0, time.UTC)
		p.ok("utimes", p.sys.Chtimes(p.path("photo.jpg"), before1970, before1970))
		data := pattern(2<<20 + 5)
		for off := 0; off < len(data); off += 1 << 20 {
			_, err := f.WriteAt(data[off:min(off+1<<20, len(data))], int64(off))
			p.ok("write", err)
		}
		p.xattr("photo.jpg", "com.apple.quarantine", []byte("0081;0;Safari;"))
		p.ok("chmod", p.sys.Chmod(p.path("photo.jpg"), 0o644))
		p.ok("utimes", p.sys.Chtimes(p.path("photo.jpg"), Date, Date))
		p.ok("removexattr", p.sys.RemoveXattr(p.path("photo.jpg"), "com.apple.FinderInfo"))
		p.ok("close", f.Close())
		if st, err := p.sys.Stat(p.path("photo.jpg")); err != nil || !st.Mtime.Equal(Date) || !bytes.Equal(p.read("photo.jpg"), data) {
			p.t.Errorf("date %v, %v", st.Mtime, err)
		}
		p.missing("._photo.jpg")
		if names, err := p.sys.Xattrs(p.path("photo.jpg")); err != nil || len(names) != 1 {
			p.t.Errorf("attributes left: %v, %v", names, err)
		}
	}},
	{name: "Finder keeps attributes beside a file", doc: "a.txt", old: true, run: func(p *player) {
		p.put("b.txt", newBytes)
		f, err := p.sys.Open(p.path("._b.txt"), rdwr|creat|excl, 0o644)
		p.ok("create", err)
		_, err = f.WriteAt(pattern(82), 0)
		p.ok("write", err)
		p.ok("truncate", f.Truncate(4096))
		_, err = f.WriteAt(pattern(32), 50)
		p.ok("write", err)
		p.ok("close", f.Close())
		if b := p.read("._b.txt"); len(b) != 4096 {
			p.t.Errorf("%d bytes", len(b))
		}
		p.rm("b.txt")
		p.rm("._b.txt")
	}},
	{name: "Finder copies a folder in", doc: "a.txt", old: true, left: []string{"Folder/"}, run: func(p *player) {
		p.mkdir("Folder")
		p.xattr("Folder", "com.apple.FinderInfo", make([]byte, 32))
		p.put("Folder/.DS_Store", pattern(6148))
		p.ok("truncate", p.sys.Truncate(p.path("Folder/.DS_Store"), 8196))
		p.put("Folder/..DS_Store4x7", pattern(10244))
		p.mv("Folder/..DS_Store4x7", "Folder/.DS_Store", 0)
		p.ok("chmod", p.sys.Chmod(p.path("Folder"), 0o755))
		p.ok("utimes", p.sys.Chtimes(p.path("Folder"), Date, Date))
		if !bytes.Equal(p.read("Folder/.DS_Store"), pattern(10244)) {
			p.t.Error(".DS_Store has other bytes")
		}
	}},
	{name: "TextEdit swaps", doc: "letter.txt", run: func(p *player) {
		p.look("letter.txt")
		const box = "letter.txt.sb-1a2b3c4d-Xy12Zq"
		p.mkdir(box)
		p.put(box+"/letter.txt", newBytes)
		p.xattr(box+"/letter.txt", "com.apple.TextEncoding", []byte("utf-8;134217984"))
		p.mv(box+"/letter.txt", "letter.txt", cache.Exchange)
		if !bytes.Equal(p.read(box+"/letter.txt"), oldBytes) {
			p.t.Error("the swap did not bring the old document")
		}
		p.rm(box + "/letter.txt")
		p.rmdir(box)
		p.look("letter.txt")
	}},
	{name: "Pages swaps, and swaps again", doc: "Plan.pages", run: func(p *player) {
		for i, b := range [][]byte{pattern(9000), newBytes} {
			box := fmt.Sprintf("Plan.pages.sb-0a1b2c3%d-aB3dE%d", i, i)
			p.mkdir(box)
			p.put(box+"/Plan.pages", b)
			p.xattr(box+"/Plan.pages", "com.apple.FinderInfo", make([]byte, 32))
			p.mv(box+"/Plan.pages", "Plan.pages", cache.Exchange)
			p.rm(box + "/Plan.pages")
			p.rmdir(box)
			p.look("Plan.pages")
		}
	}},
	{name: "Quick Look shows a document", doc: "photo.jpg", old: true, run: func(p *player) {
		p.missing("._photo.jpg")
		_, err := p.sys.Xattr(p.path("photo.jpg"), "com.apple.ResourceFork")
		fails(p.t, "getxattr", err, noXattr)
		f, err := p.sys.Open(p.path("photo.jpg"), rdonly, 0)
		p.ok("open", err)
		head, tail := make([]byte, 512), make([]byte, 512)
		_, err = f.ReadAt(head, 0)
		p.ok("read", err)
		_, err = f.ReadAt(tail, int64(len(oldBytes)-512))
		p.ok("read", err)
		if !bytes.Equal(head, oldBytes[:512]) || !bytes.Equal(tail, oldBytes[len(oldBytes)-512:]) {
			p.t.Error("other bytes")
		}
		p.ok("close", f.Close())
	}},
	{name: "Spotlight reads while somebody writes", doc: "notes.txt", run: func(p *player) {
		f, err := p.sys.Open(p.path("notes.txt"), rdwr, 0)
		p.ok("open", err)
		p.ok("truncate", f.Truncate(0))
		for off := 0; off < len(newBytes); off += 4000 {
			_, err := f.WriteAt(newBytes[off:off+4000], int64(off))
			p.ok("write", err)
			p.look("notes.txt")
		}
		p.ok("close", f.Close())
		p.look("notes.txt")
	}},
	{name: "Time Machine asks", doc: "a.txt", old: true, run: func(p *player) {
		p.read("a.txt")
		lists := p.w.Remote.Lists()
		defer p.w.Remote.Hang()()
		for _, name := range []string{".com.apple.timemachine.supported", ".com.apple.timemachine.donotpresent", "Backups.backupdb", ".TemporaryItems", ".apdisk"} {
			p.missing(name)
		}
		for _, attr := range []string{"com.apple.metadata:com_apple_backup_excludeItem", "com.apple.backupd.SnapshotType", "com.apple.timemachine.private.structure.metadata"} {
			_, err := p.sys.Xattr(p.path("a.txt"), attr)
			fails(p.t, "getxattr "+attr, err, noXattr)
		}
		if p.w.Remote.Lists() != lists {
			p.t.Error("it was asked of the service")
		}
	}},
	{name: "Preview saves", doc: "scan.pdf", run: func(p *player) {
		const box = ".TemporaryItems/folders.501/TemporaryItems/(A Document Being Saved By Preview)"
		at := ""
		for _, part := range strings.Split(box, "/") {
			at += part
			p.mkdir(at)
			at += "/"
		}
		p.put(box+"/scan.pdf", newBytes)
		p.mv(box+"/scan.pdf", "scan.pdf", cache.Exchange)
		p.rm(box + "/scan.pdf")
		p.rmdir(box)
	}},
	{name: "Xcode deletes the original", doc: "main.m", run: func(p *player) {
		p.mkdir("main.m.sb-99aabbcc-QwErTy")
		p.put("main.m.sb-99aabbcc-QwErTy/main.m", newBytes)
		p.put("main.m~", p.read("main.m"))
		p.rm("main.m")
		p.missing("main.m")
		p.mv("main.m.sb-99aabbcc-QwErTy/main.m", "main.m", cache.NoReplace)
		p.rmdir("main.m.sb-99aabbcc-QwErTy")
		p.rm("main.m~")
	}},
	{name: "Word goes through two temporary names", doc: "Report.docx", run: func(p *player) {
		p.put("~$Report.docx", pattern(162))
		p.read("Report.docx")
		p.put("~WRD0001.tmp", newBytes)
		p.mv("Report.docx", "~WRL0002.tmp", 0)
		p.missing("Report.docx")
		p.mv("~WRD0001.tmp", "Report.docx", 0)
		p.rm("~WRL0002.tmp")
		p.rm("~$Report.docx")
	}},
	{name: "Excel deletes and renames", doc: "Book.xlsx", run: func(p *player) {
		p.put("~$Book.xlsx", pattern(165))
		p.put("1A2B3C4D", newBytes)
		p.rm("Book.xlsx")
		p.mv("1A2B3C4D", "Book.xlsx", 0)
		f, err := p.sys.Open(p.path("Book.xlsx"), rdwr, 0)
		p.ok("open again", err)
		p.ok("close", f.Close())
		p.rm("~$Book.xlsx")
	}},
	{name: "PowerPoint writes here and there", doc: "Talk.pptx", run: func(p *player) {
		f, err := p.sys.Open(p.path("pptC4E1.tmp"), rdwr|creat|excl, 0o644)
		p.ok("create", err)
		_, err = p.sys.Open(p.path("pptC4E1.tmp"), rdwr|creat|excl, 0o644)
		fails(p.t, "exclusive creation", err, syscall.EEXIST)
		p.ok("truncate", f.Truncate(int64(len(newBytes))))
		for _, i := range []int{3, 0, 2, 1} {
			part := len(newBytes) / 4
			_, err := f.WriteAt(newBytes[i*part:(i+1)*part], int64(i*part))
			p.ok("write", err)
		}
		p.ok("fsync", f.Sync())
		p.ok("close", f.Close())
		p.mv("pptC4E1.tmp", "Talk.pptx", 0)
	}},
	{name: "Finder moves to the trash and back", doc: "a.txt", old: true, run: func(p *player) {
		p.ok("mkdir", p.sys.Mkdir("/.Trashes", 0o1733))
		p.ok("mkdir", p.sys.Mkdir("/.Trashes/501", 0o700))
		p.ok("rename", p.sys.Rename("/Work/a.txt", "/.Trashes/501/a.txt", cache.NoReplace))
		p.missing("a.txt")
		v, err := p.w.Store.Outbox(p.w.Drive.Num).View()
		if err != nil || len(v.Gone) != 1 {
			p.t.Errorf("in the trash: %d deletions wait, %v", len(v.Gone), err)
		}
		p.ok("rename", p.sys.Rename("/.Trashes/501/a.txt", "/Work/a.txt", cache.NoReplace))
	}},
	{name: "names come in any form", doc: "Café.txt", old: true, run: func(p *player) {
		st, err := p.sys.Stat(p.path("Café.txt"))
		p.ok("stat", err)
		for _, name := range []string{"Cafe\u0301.txt", "CAFÉ.TXT", "cafe\u0301.txt"} {
			other, err := p.sys.Stat(p.path(name))
			p.ok("stat "+name, err)
			if other.Ino != st.Ino {
				p.t.Errorf("%q is another file", name)
			}
			_, err = p.sys.Open(p.path(name), rdwr|creat|excl, 0o644)
			fails(p.t, "create "+name, err, syscall.EEXIST)
		}
		p.read("Cafe\u0301.txt")
	}},
	{name: "a new folder is renamed at once", doc: "a.txt", old: true, left: []string{"Plans/"}, run: func(p *player) {
		p.mkdir("untitled folder")
		p.mv("untitled folder", "Plans", cache.NoReplace)
		p.put("b", nil)
		err := p.sys.Rename(p.path("b"), p.path("a.txt"), cache.NoReplace)
		fails(p.t, "rename onto what is there", err, syscall.EEXIST)
		p.rm("b")
	}},
}
