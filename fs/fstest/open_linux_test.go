package fstest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// holderVariable makes this test binary a holder: a page fault in the process that serves the mount would wait for
// itself.
const holderVariable = "DUSKFS_TEST_HOLD"

func TestMain(m *testing.M) {
	path := os.Getenv(holderVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := hold(path, os.Stdin, os.Stdout); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// hold opens and maps a file and then does what it is told, a line a command, and answers with a line:
//
//	read         the bytes, by read(2)
//	map          the bytes, by the map
//	write TEXT   writes at the start, by write(2)
//	poke TEXT    writes at the start, through the map
//	links        the number of names
func hold(path string, in io.Reader, out io.Writer) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	size := int(st.Size())
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "open")
	for lines := bufio.NewScanner(in); lines.Scan(); {
		what, text, _ := strings.Cut(lines.Text(), " ")
		b := make([]byte, size)
		switch what {
		case "read":
			_, err = f.ReadAt(b, 0)
		case "map":
			copy(b, m)
		case "write":
			_, err = f.WriteAt([]byte(text), 0)
		case "poke":
			copy(m, text)
			err = unix.Msync(m, unix.MS_SYNC)
		case "links":
			st, err = f.Stat()
			b = fmt.Append(nil, st.Sys().(*syscall.Stat_t).Nlink)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n", bytes.TrimRight(b, "\x00"))
	}
	return nil
}

// holder is another process that has a file open.
type holder struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

func newHolder(t *testing.T, path string) *holder {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), holderVariable+"="+path)
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() {
		in.Close()
		must(t, c.Wait())
	})
	h := &holder{t: t, in: in, out: bufio.NewReader(out)}
	h.hears("open")
	return h
}

func (h *holder) does(command string) string {
	h.t.Helper()
	_, err := fmt.Fprintln(h.in, command)
	must(h.t, err)
	line, err := h.out.ReadString('\n')
	must(h.t, err)
	return strings.TrimSuffix(line, "\n")
}

func (h *holder) hears(want string) {
	h.t.Helper()
	line, err := h.out.ReadString('\n')
	if line != want+"\n" {
		h.t.Fatalf("the holder says %q, %v; want %q", line, err, want)
	}
}

// has checks that the holder reads the same bytes by both ways.
func (h *holder) has(what, want string) {
	h.t.Helper()
	for _, by := range []string{"read", "map"} {
		if got := h.does(by); got != want {
			h.t.Errorf("%s: %s gives %q, want %q", what, by, got, want)
		}
	}
}

// TestOpenFilesOutliveTheirNames has files open and mapped that are unlinked or replaced, here or by the remote, and
// reads and writes them on over flushes and refreshes.
func TestOpenFilesOutliveTheirNames(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse: nothing can be mounted here")
	}
	w := simtest.New(t, graphtest.Options{}, func(far *graphtest.Drive) {
		for _, name := range []string{"unlinked", "replaced", "changed there", "deleted there", "replaced there"} {
			_, err := far.Put("/"+name, []byte("old bytes of it"))
			must(t, err)
		}
	})
	root, end := mount(t, w)
	t.Cleanup(end)
	p := func(name string) string { return filepath.Join(root, name) }
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(p(name))
		must(t, err)
		return string(b)
	}
	holders := map[string]*holder{}
	for _, name := range []string{"unlinked", "replaced", "changed there", "deleted there", "replaced there"} {
		holders[name] = newHolder(t, p(name))
		holders[name].has(name, "old bytes of it") // all bytes are here from now on
	}
	must(t, os.Remove(p("unlinked")))
	must(t, os.WriteFile(p("tmp"), []byte("new"), 0o644))
	must(t, os.Rename(p("tmp"), p("replaced")))
	_, err := w.Far.Put("/changed there", []byte("theirs now"))
	must(t, err)
	must(t, w.Far.Delete("/deleted there"))
	must(t, w.Far.Delete("/replaced there"))
	_, err = w.Far.Put("/replaced there", []byte("another item"))
	must(t, err)
	w.Refresh()
	w.Flush()
	for name, h := range holders {
		h.has(name+", after a flush", "old bytes of it")
	}
	if got := holders["unlinked"].does("links"); got != "0" {
		t.Errorf("an unlinked file has %s names", got)
	}
	for _, name := range []string{"unlinked", "replaced"} {
		h := holders[name]
		h.does("write OLD")
		h.has(name+", written", "OLD bytes of it")
		h.does("poke MAP")
		h.has(name+", written through the map", "MAP bytes of it")
	}
	w.Flush()
	if got := read("replaced"); got != "new" {
		t.Errorf("the file that replaced another holds %q", got)
	}
	there := w.There()
	if _, ok := there["/unlinked"]; ok || there["/replaced"] != "new" {
		t.Errorf("the service has %q", there)
	}
}
