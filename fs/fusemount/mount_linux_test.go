package fusemount_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph"
)

// What must not run in the process that serves the mount, since a page fault there would wait for
// itself, runs in a child: this test binary with a variable that says what to do.
const childVariable = "DUSKFS_TEST_CHILD"

func TestMain(m *testing.M) {
	what, arg, ok := strings.Cut(os.Getenv(childVariable), ":")
	if !ok {
		os.Exit(m.Run())
	}
	if err := children[what](arg); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

var children = map[string]func(string) error{
	"mmap-read":  childMapRead,
	"mmap-write": childMapWrite,
	"mount":      childMount,
	"broken":     childBroken,
}

func child(what, arg string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childVariable+"="+what+":"+arg)
	return c
}

func mapped(path string, prot int) (*os.File, []byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), prot, unix.MAP_SHARED)
	return f, m, err
}

// childMapRead prints a file that it reads through a map.
func childMapRead(path string) error {
	_, m, err := mapped(path, unix.PROT_READ)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(m)
	return err
}

// childMapWrite writes MAPPED at the start of a file through a map, says so, and waits for its
// input to end before it ends.
func childMapWrite(path string) error {
	_, m, err := mapped(path, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return err
	}
	copy(m, "MAPPED")
	fmt.Println("written")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// writeMapped has a child write to a file through a map, and returns once it has. end ends the child.
func writeMapped(t *testing.T, path string) (end func() error) {
	t.Helper()
	c := child("mmap-write", path)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "written\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	return func() error { return errors.Join(in.Close(), c.Wait()) }
}

// childMount mounts an empty file system and is killed.
func childMount(point string) error {
	s, err := fuse.NewServer(fuse.NewDefaultRawFileSystem(), point, &fuse.MountOptions{DirectMount: true, Name: "duskfs"})
	if err != nil {
		return err
	}
	go s.Serve()
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func TestMapsReadAndWrite(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) { w.Remote.Put("/f", data) })
	m, root := w.Mount(t)
	path := filepath.Join(root, "f")

	got, err := child("mmap-read", path).Output()
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("a map of a remote file read %d bytes, %v", len(got), err)
	}

	end := writeMapped(t, path)
	n, err := w.Store.Tree().Resolve(w.Drive.Root, "/f")
	if err != nil {
		t.Fatal(err)
	}
	// As a step that sends the file does before it seals it.
	m.Writeback(n.Ino)
	body, err := w.Store.Content().Local(uint64(n.Ino))
	if err != nil {
		t.Fatalf("after Writeback there is no local work: %v", err)
	}
	defer body.Close()
	head := make([]byte, 8)
	if _, err := body.ReadAt(head, 0); string(head) != "MAPPED67" || err != nil {
		t.Errorf("after Writeback the body begins with %q, %v", head, err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	copy(data, "MAPPED")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("after the child's end: %d bytes, %v", len(got), err)
	}
}

func TestAnInterruptEndsAReadThatHangs(t *testing.T) {
	w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) { w.Remote.Put("/f", []byte("slow")) })
	_, root := w.Mount(t)
	defer w.Remote.Hang()()
	c := exec.Command("cat", filepath.Join(root, "f"))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fstest.Await(t, "the read asks the remote", func() bool { n, _ := w.Remote.Reads(); return n > 0 })
	// Everything else goes on meanwhile.
	if err := os.WriteFile(filepath.Join(root, "other"), []byte("x"), 0o644); err != nil {
		t.Error(err)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		c.Process.Kill()
		t.Fatal("the interrupted program still hangs")
	}
}

func TestTheKernelLearnsOfRemoteChanges(t *testing.T) {
	w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) {
		w.Remote.Put("/f", []byte("first version"))
		w.Remote.Put("/d/inside", []byte("x"))
	})
	m, root := w.Mount(t)
	path := filepath.Join(root, "f")
	look := func() (string, []string) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		es, err := os.ReadDir(root)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range es {
			names = append(names, e.Name())
		}
		return string(b), names
	}
	if b, names := look(); b != "first version" || fmt.Sprint(names) != "[d f]" {
		t.Fatalf("before: %q %v", b, names)
	}
	if _, err := os.Stat(filepath.Join(root, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err) // the kernel remembers now that it is not there
	}
	// The kernel releases after close has returned, and what is open waits in the inbox.
	fstest.Await(t, "the handle is released", func() bool { return m.Handles() == 0 })
	w.Remote.Put("/f", []byte("the second version, longer"))
	w.Remote.Put("/new", []byte("n"))
	if err := w.Remote.List(context.Background(), w.Drive.Root); err != nil {
		t.Fatal(err)
	}
	m.Drain(t.Context())
	// The name alone, before a listing tells of it.
	if b, err := os.ReadFile(filepath.Join(root, "new")); string(b) != "n" || err != nil {
		t.Errorf("new: %q, %v", b, err)
	}
	if b, names := look(); b != "the second version, longer" || fmt.Sprint(names) != "[d f new]" {
		t.Errorf("after: %q %v", b, names)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 26 {
		t.Errorf("stat: %v, %v", st, err)
	}
}

func TestAMountLeftBehindIsClearedAway(t *testing.T) {
	point := t.TempDir()
	t.Cleanup(func() { unix.Unmount(point, unix.MNT_DETACH) })
	if err := child("mount", point).Run(); err == nil {
		t.Fatal("the child lives")
	}
	if _, err := os.ReadDir(point); !errors.Is(err, syscall.ENOTCONN) {
		t.Fatalf("the dead mount says %v, want ENOTCONN", err)
	}
	if cleared, err := fusemount.Clear(t.TempDir()); cleared || err != nil {
		t.Errorf("a plain folder was cleared: %v, %v", cleared, err)
	}
	w := fstest.NewWorld(t, nil)
	m, err := fusemount.New(context.Background(), fusemount.Options{FS: w.FS, Mountpoint: point})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(point, "f"), []byte("x"), 0o644); err != nil {
		t.Error(err)
	}
	if err := m.Unmount(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestMountpointsThatCannotBeUsed(t *testing.T) {
	w := fstest.NewWorld(t, nil)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, busy := w.Mount(t)
	for _, c := range []struct{ name, point, want string }{
		{"missing", filepath.Join(dir, "none"), "mkdir"},
		{"a file", file, "not a folder"},
		{"not empty", dir, "not empty"},
		{"mounted", busy, "unmount it first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := fusemount.New(context.Background(), fusemount.Options{FS: w.FS, Mountpoint: c.point})
			if err == nil {
				m.Unmount(context.Background())
				t.Fatal("it was mounted")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.point) {
				t.Errorf("the error does not name %q and %q: %v", c.point, c.want, err)
			}
		})
	}
}

func TestMountOptions(t *testing.T) {
	_, root := fstest.NewWorld(t, nil).Mount(t)
	all, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(all)) {
		if f := strings.Fields(line); f[1] == root {
			for _, want := range []string{"nosuid", "nodev", "default_permissions"} {
				if !strings.Contains(f[3], want) {
					t.Errorf("no %s in %s", want, line)
				}
			}
			if f[0] != "duskfs" || f[2] != "fuse.duskfs" {
				t.Errorf("odd source or type: %s", line)
			}
			if in, err := fusemount.Within(root); err != nil || !in {
				t.Errorf("the mount is not known to be one: %v, %v", in, err)
			}
			if in, err := fusemount.Within(t.TempDir()); err != nil || in {
				t.Errorf("another folder is taken for a mount: %v, %v", in, err)
			}
			return
		}
	}
	t.Error("it is not in the list of mounts")
}

func TestUnmountOfABusyMountDetachesAndCuts(t *testing.T) {
	w := fstest.NewWorld(t, nil)
	point := t.TempDir()
	t.Cleanup(func() { unix.Unmount(point, unix.MNT_DETACH) })
	m, err := fusemount.New(context.Background(), fusemount.Options{FS: w.FS, Mountpoint: point})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(point, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("written before"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := m.Unmount(ctx); err != nil {
		t.Fatal(err)
	}
	m.Wait()
	if _, err := f.WriteString("after"); err == nil {
		t.Error("writing goes on after the cut")
	}
	if es, err := os.ReadDir(point); err != nil || len(es) != 0 {
		t.Errorf("the mountpoint holds %v, %v", es, err)
	}
	n, err := w.Store.Tree().Resolve(w.Drive.Root, "/f")
	if err != nil || n.Size != int64(len("written before")) {
		t.Errorf("size recorded: %d, %v", n.Size, err)
	}
	if held := w.Store.Tree().Held(n.Ino); held != 0 {
		t.Errorf("%d handles are still held", held)
	}
}

func TestWhatTheKernelDoesByItself(t *testing.T) {
	w := fstest.NewWorld(t, nil)
	_, root := w.Mount(t)
	for _, call := range []struct {
		name string
		err  error
		want error
	}{
		{"symlink", os.Symlink("x", filepath.Join(root, "l")), syscall.EPERM},
		{"fifo", syscall.Mkfifo(filepath.Join(root, "p"), 0o644), syscall.EPERM},
		{"mknod of a file", syscall.Mknod(filepath.Join(root, "f"), syscall.S_IFREG|0o644, 0), nil},
		{"link", os.Link(filepath.Join(root, "f"), filepath.Join(root, "g")), syscall.EPERM},
		{"an attribute of the system", unix.Setxattr(filepath.Join(root, "f"), "security.x", []byte("y"), 0), syscall.ENOTSUP},
	} {
		if !errors.Is(call.err, call.want) {
			t.Errorf("%s: %v, want %v", call.name, call.err, call.want)
		}
	}
	es, err := os.ReadDir(root)
	if err != nil || len(es) != 1 {
		t.Errorf("left behind: %v, %v", es, err)
	}
}

// TestLocksAreTheKernels tries the locks of one machine: of whole files, and of ranges by open file.
func TestLocksAreTheKernels(t *testing.T) {
	w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) { w.Remote.Put("/f", []byte("some bytes")) })
	_, root := w.Mount(t)
	var fds [2]int
	for i := range fds {
		f, err := os.OpenFile(filepath.Join(root, "f"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fds[i] = int(f.Fd())
	}
	lock := func(i int, how int) error { return unix.Flock(fds[i], how|unix.LOCK_NB) }
	ofd := func(i int, kind int16, from, n int64) error {
		return unix.FcntlFlock(uintptr(fds[i]), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Start: from, Len: n})
	}
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"flock", lock(0, unix.LOCK_EX), nil},
		{"flock of another", lock(1, unix.LOCK_SH), unix.EWOULDBLOCK},
		{"flock given up", lock(0, unix.LOCK_UN), nil},
		{"flock shared", lock(1, unix.LOCK_SH), nil},
		{"flock shared by two", lock(0, unix.LOCK_SH), nil},
		{"range", ofd(0, unix.F_WRLCK, 0, 4), nil},
		{"range that meets it", ofd(1, unix.F_RDLCK, 3, 4), unix.EAGAIN},
		{"range beside it", ofd(1, unix.F_WRLCK, 4, 4), nil},
		{"range given up", ofd(0, unix.F_UNLCK, 0, 4), nil},
		{"range that is free again", ofd(1, unix.F_WRLCK, 0, 4), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
	if reads, _ := w.Remote.Reads(); reads != 0 {
		t.Errorf("the remote was asked %d times for bytes", reads)
	}
}

// forAll mounts a file system for everybody, and returns where.
func forAll(t *testing.T, w *fstest.World) string {
	t.Helper()
	point := t.TempDir()
	if err := os.Chmod(filepath.Dir(point), 0o755); err != nil { // only its owner may go through it
		t.Fatal(err)
	}
	m, err := fusemount.New(t.Context(), fusemount.Options{FS: w.FS, Mountpoint: point, AllowOther: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return point
}

// TestTheKernelChecksModesAndOwners lets another user in, who is root's business alone.
func TestTheKernelChecksModesAndOwners(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	const nobody = 65534
	w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) { w.Remote.Put("/f", []byte("x")) })
	point := forAll(t, w)
	f := filepath.Join(point, "f")
	for _, c := range []struct {
		name    string
		mode    os.FileMode
		owner   int
		script  string
		allowed bool
	}{
		{"read what all may read", 0o644, 0, "cat f", true},
		{"read what the owner may read", 0o600, 0, "cat f", false},
		{"write what the owner may write", 0o644, 0, "echo >> f", false},
		{"ask before writing", 0o644, 0, "test -w f", false},
		{"write one's own", 0o600, nobody, "echo >> f", true},
		{"run what may be run", 0o755, 0, "test -x f", true},
		{"run what may not", 0o644, nobody, "test -x f", false},
		{"make a file in root's folder", 0o644, 0, "echo > new", false},
		{"remove a file of root's folder", 0o666, nobody, "rm -f f", false},
		{"change the mode of another's file", 0o666, 0, "chmod 600 f", false},
		{"change the mode of one's own", 0o600, nobody, "chmod 644 f", true},
	} {
		if err := errors.Join(os.Chmod(f, c.mode), os.Chown(f, c.owner, c.owner)); err != nil {
			t.Fatal(err)
		}
		sh := exec.Command("sh", "-c", c.script)
		sh.Dir = point
		sh.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if out, err := sh.CombinedOutput(); (err == nil) != c.allowed {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
}

// TestAccessTellsTheTruth asks, as an ordinary person who owns everything, whether files and folders can be changed, and then
// tries: in a drive that takes changes, in a read-only one beside it, and in the first once it turned out to be read-only.
func TestAccessTellsTheTruth(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	const nobody = 65534
	w := fstest.NewWorld(t, func(w *fstest.World, o *fs.Options) {
		w.Remote.Put("/f", []byte("x"))
		w.Remote.Put("/dir/g", []byte("x"))
		o.UID, o.GID = nobody, nobody
		second, err := w.Store.AddDrive(graph.Drive{ID: "second"}, graph.Item{ID: "root2", Type: graph.Folder, Root: true, ETag: "r2"})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Store.Inbox(second.Num).List(second.Root, []graph.Item{
			{ID: "f2", Parent: "root2", Name: "f", Type: graph.File, Size: 1, ETag: "1", CTag: "1"},
			{ID: "d2", Parent: "root2", Name: "dir", Type: graph.Folder, ETag: "1"},
		}); err != nil {
			t.Fatal(err)
		}
		dir, err := w.Store.Tree().Lookup(second.Root, "dir")
		if err == nil {
			err = w.Store.Inbox(second.Num).List(dir.Ino, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		o.Drives = append(o.Drives, fs.Drive{Info: second, Name: "Library", ReadOnly: true})
	})
	point := forAll(t, w)
	as := func(uid uint32, script string) (string, bool) {
		sh := exec.Command("sh", "-c", script)
		sh.Dir = point
		sh.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := sh.CombinedOutput()
		return string(out), err == nil
	}
	changes := []struct{ asked, done string }{
		{"f", "echo more >> DRIVE/f"},
		{"f", ": > DRIVE/f"},
		{".", "echo new > DRIVE/new && rm DRIVE/new"},
		{".", "mkdir DRIVE/newdir && rmdir DRIVE/newdir"},
		{".", "mv DRIVE/f DRIVE/h && mv DRIVE/h DRIVE/f"},
		{"dir", "echo new > DRIVE/dir/new && rm DRIVE/dir/new"},
	}
	check := func(when, drive string, writable bool) {
		t.Helper()
		for _, c := range changes {
			at := filepath.Join(drive, c.asked)
			if _, ok := as(nobody, "test -r '"+at+"'"); !ok {
				t.Errorf("%s: %s cannot be read", when, at)
			}
			if _, ok := as(nobody, "test -w '"+at+"'"); ok != writable {
				t.Errorf("%s: access says of %s that it can be written: %v", when, at, ok)
			}
			do := strings.ReplaceAll(c.done, "DRIVE", drive)
			out, ok := as(nobody, do)
			if ok != writable || !ok && !strings.Contains(out, "Permission denied") && !strings.Contains(out, "Read-only file system") {
				t.Errorf("%s: %s: %v, %s", when, do, ok, out)
			}
			// Root passes over modes, and is told by the file system.
			if out, ok := as(0, do); ok != writable || !ok && !strings.Contains(out, "Read-only file system") {
				t.Errorf("%s: root: %s: %v, %s", when, do, ok, out)
			}
		}
		if out, ok := as(nobody, "chmod 600 "+drive+"/f && chmod 644 "+drive+"/f"); ok != writable || !ok && !strings.Contains(out, "Read-only file system") {
			t.Errorf("%s: chmod: %v, %s", when, ok, out)
		}
	}
	check("a drive", "Documents", true)
	check("a read-only drive", "Library", false)
	w.FS.Refuse(w.Drive.Num, true)
	// Root sees the new modes when the kernel has been told.
	soon(t, func() bool {
		for name, want := range map[string]os.FileMode{"Documents": 0o555, "Documents/f": 0o444, "Documents/dir": 0o555} {
			if st, err := os.Stat(filepath.Join(point, name)); err != nil || st.Mode().Perm() != want {
				return false
			}
		}
		return true
	})
	check("a drive that turned out to be read-only", "Documents", false)
	w.FS.Refuse(w.Drive.Num, false)
	soon(t, func() bool {
		st, err := os.Stat(filepath.Join(point, "Documents/f"))
		return err == nil && st.Mode().Perm() == 0o644
	})
	check("a drive that takes changes again", "Documents", true)
}

// soon waits until something is so.
func soon(t *testing.T, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(20 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it did not become so")
		}
	}
}
