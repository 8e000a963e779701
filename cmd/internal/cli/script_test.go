package cli_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/duskfs/duskfs/cmd/internal/cli"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph/graphtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"duskfs": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		work, err := os.Getwd()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(cli.Run(ctx, os.Args[1:], cli.Streams{Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Work: work}))
	}, "browser": browse})
}

// TestScripts runs the scripts of testdata: the program itself, a real daemon, a real mount, and the
// emulator on loopback TLS. Beside testscript's own commands they have:
//
//	emulator                     serve an emulated tenant with sample documents and point the variables at it
//	generate N                   add N items to the drive
//	offline on|off               break the service's connections
//	colleague put PATH TEXT      write a file on the other side
//	colleague rm PATH            delete there
//	colleague mv FROM TO         move there
//	colleague share PATH         make a link there with which anybody can view it
//	colleague misname PATH NAME  give it a name that nobody can give
//	protect PATH on|off          make a folder read-only for everybody but colleagues
//	closed PATH on|off           nobody may look at the item at PATH
//	remote PATH TEXT             the file there has this text (and a newline); !PATH: there is none
//	item keep PATH               remember the item at PATH, and its number of versions
//	item same PATH N             it is still the same item, with N more versions
//	saves put|play FOLDER|judge  put the documents of all recordings of saves there, play those in a mount, look after the items
//	writes N                     the service has seen N write requests since it was last asked; "some" is any but 0
//	equal FOLDER [PATH]          the drive, or what is below a path of it, and a folder are equal by path and SHA-256
//	lawful                       the service saw no violation of its protocol
//	slow DURATION                each write request takes so much longer from now on; 0: none does
//	expire DURATION              sign-ins live that long from now on
//	reach N                      wait until the service has seen N write requests in all
//	granted PERMISSION…          what the application may do, from its next sign-in on
//	people auto|revoke           type every device code at once; make all sign-ins worthless
//	mode MODE FILE…              the files have these permissions
//	status N COMMAND…            run a command that ends with exit status N
//	signal NAME MOUNT            send TERM, INT or KILL to the daemon of a mount and wait for its end
//	disk MIB FOLDER              mount a new disk of so many MiB at a folder; [disk] says whether that can be
//	unpack ZIP FILE              put all that is in a zip file into one file
//	site PATH TITLE LIBRARY…     a site more, with a file f in each of its libraries
//	in DRIVE                     what the colleague does from now on, and what is looked for there, is in this drive
//	asleep DRIVE                 nothing in this drive has been asked for but its root
//	await MOUNT                  wait until a mount has a daemon
//	fill FOLDER                  make a folder of many files
//	kills COMMAND…               run a command some times, killing it each time somewhere on its way
//	bodies any|none              the service has taken no bytes of files since it was last asked
func TestScripts(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse: the scripts mount")
	}
	w := &worlds{of: map[string]*world{}}
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: w.setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"emulator":  w.command(0, (*world).emulator),
			"generate":  w.command(1, (*world).generate),
			"offline":   w.command(1, (*world).offline),
			"colleague": w.command(2, (*world).colleague),
			"remote":    w.command(1, (*world).remote),
			"item":      w.command(2, (*world).item),
			"saves":     w.command(1, (*world).saves),
			"writes":    w.command(1, (*world).writes),
			"equal":     w.command(1, (*world).equal),
			"lawful":    w.command(0, (*world).lawful),
			"slow":      w.command(1, (*world).slow),
			"expire":    w.command(1, (*world).expire),
			"reach":     w.command(1, (*world).reach),
			"people":    w.command(1, (*world).people),
			"granted": w.command(1, func(w *world, _ *testscript.TestScript, args []string) error {
				w.server.SetPermissions(graphtest.DefaultClientID, args...)
				return nil
			}),
			"mode":   w.command(2, (*world).mode),
			"status": w.command(2, (*world).status),
			"signal": w.command(2, (*world).signal),
			"await":  w.command(1, (*world).await),
			"protect": w.command(2, func(w *world, _ *testscript.TestScript, args []string) error {
				return w.drive.Protect(args[0], args[1] == "on")
			}),
			"closed": w.command(2, func(w *world, _ *testscript.TestScript, args []string) error {
				w.server.ClearFaults()
				if args[1] == "on" {
					w.server.Inject(graphtest.Fault{Op: graphtest.OpItem, Place: args[0], Status: 403, Code: "accessDenied", Times: -1})
				}
				return nil
			}),
			"unpack": w.command(2, (*world).unpack),
			"fill":   w.command(1, (*world).fill),
			"kills":  w.command(1, (*world).kills),
			"bodies": w.command(1, (*world).bodies),
			"disk":   w.command(2, (*world).disk),
			"site":   w.command(3, (*world).site),
			"in":     w.command(1, (*world).in),
			"asleep": w.command(1, (*world).asleep),
		},
		Condition: func(what string) (bool, error) {
			if what != "disk" {
				return false, fmt.Errorf("condition %s is not known", what)
			}
			return disks(), nil
		},
		RequireExplicitExec: true,
	})
}

// worlds finds the world of a script; scripts run side by side.
type worlds struct {
	mu sync.Mutex
	of map[string]*world // by working directory
}

// world is what one script works in.
type world struct {
	state  string
	mount  string
	server *graphtest.Server
	drive  *graphtest.Drive
	kept   graphtest.Info
	// documents are those that recordings save.
	documents []graphtest.Info
	seen      int      // write requests
	up        int64    // bytes of files taken
	disks     []string // mounted for the script
}

func (ws *worlds) setup(e *testscript.Env) error {
	home := filepath.Join(e.WorkDir, "home")
	w := &world{state: filepath.Join(home, ".local", "state", "duskfs"), mount: filepath.Join(e.WorkDir, "m")}
	ws.mu.Lock()
	ws.of[e.WorkDir] = w
	ws.mu.Unlock()
	e.Setenv("HOME", home)
	e.Setenv("PATH", e.Getenv("PATH"))
	e.Setenv("M", filepath.Join(e.WorkDir, "m"))
	e.Defer(w.end)
	return errors.Join(os.Mkdir(home, 0o700), os.Mkdir(filepath.Join(e.WorkDir, "m"), 0o700))
}

// end unmounts what a script left mounted, so that its folder can be removed.
func (w *world) end() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	live, err := control.NewRegistry(w.state).List(ctx)
	for _, r := range live {
		if control.NewClient(r.Mount, r.Socket).Unmount(ctx) != nil {
			err = errors.Join(err, syscall.Kill(r.PID, syscall.SIGKILL))
		}
	}
	if mounted(w.mount) { // by a daemon that another folder for temporary files has the record of
		if out, uerr := exec.Command("fusermount3", "-uz", w.mount).CombinedOutput(); uerr != nil {
			err = errors.Join(err, fmt.Errorf("%w: %s", uerr, out))
		}
	}
	if _, cerr := fusemount.Clear(w.mount); err != nil || cerr != nil {
		fmt.Fprintln(os.Stderr, "cleaning up after a script:", err, cerr)
	}
	if w.server != nil {
		_ = w.server.Close()
	}
	for _, dir := range w.disks {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "unmounting a disk: %v: %s\n", err, out)
		}
	}
}

// mounted reports whether a folder is on another disk than the one that holds it.
func mounted(dir string) bool {
	var in, above syscall.Stat_t
	return syscall.Stat(dir, &in) == nil && syscall.Stat(filepath.Dir(dir), &above) == nil && in.Dev != above.Dev
}

// command makes a script command from a method; it fails the script with the method's error.
func (ws *worlds) command(least int, do func(*world, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		ws.mu.Lock()
		w := ws.of[ts.Getenv("WORK")]
		ws.mu.Unlock()
		if neg || len(args) < least {
			ts.Fatalf("this command is used otherwise")
		}
		if err := do(w, ts, args); err != nil {
			ts.Fatalf("%v", err)
		}
	}
}

func (w *world) emulator(ts *testscript.TestScript, _ []string) error {
	var err error
	if w.server, err = graphtest.New(graphtest.Options{Sample: true, Seed: 7}); err != nil {
		return err
	}
	if err := w.server.Listen("127.0.0.1:0"); err != nil {
		return err
	}
	w.drive = w.server.Me().Drive()
	for _, v := range w.server.Env() {
		name, value, _ := strings.Cut(v, "=")
		ts.Setenv(name, value)
	}
	return nil
}

func (w *world) generate(_ *testscript.TestScript, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	return w.drive.Generate(n, 3)
}

func (w *world) offline(_ *testscript.TestScript, args []string) error {
	w.server.SetOffline(args[0] == "on")
	return nil
}

func (w *world) colleague(_ *testscript.TestScript, args []string) (err error) {
	switch {
	case args[0] == "put" && len(args) == 3:
		_, err = w.drive.Put(args[1], []byte(args[2]))
	case args[0] == "rm":
		err = w.drive.Delete(args[1])
	case args[0] == "mv" && len(args) == 3:
		_, err = w.drive.Move(args[1], args[2])
	case args[0] == "share":
		err = w.drive.Grant(args[1], graphtest.Grant{Link: "anonymous"})
	case args[0] == "misname" && len(args) == 3:
		_, err = w.drive.Misname(args[1], args[2])
	default:
		err = fmt.Errorf("colleague %s is not known", args[0])
	}
	return err
}

func (w *world) remote(_ *testscript.TestScript, args []string) error {
	path, absent := strings.CutPrefix(args[0], "!")
	got, err := w.drive.Read(path)
	switch {
	case absent && err == nil:
		return fmt.Errorf("%s exists there", path)
	case absent:
		return nil
	case err != nil:
		return err
	case len(args) > 1 && strings.TrimSuffix(string(got), "\n") != args[1]:
		return fmt.Errorf("%s holds %q there, want %q", path, got, args[1])
	}
	return nil
}

func (w *world) item(_ *testscript.TestScript, args []string) error {
	now, err := w.drive.Stat(args[1])
	if err != nil {
		return err
	}
	if args[0] == "keep" {
		w.kept = now
		return nil
	}
	if now.ID != w.kept.ID {
		return fmt.Errorf("%s is another item now", args[1])
	}
	if got := strconv.Itoa(now.Versions - w.kept.Versions); got != args[2] {
		return fmt.Errorf("%s has %s more versions, want %s", args[1], got, args[2])
	}
	return nil
}

func (w *world) writes(_ *testscript.TestScript, args []string) error {
	n := w.server.Counts().Writes
	got := n - w.seen
	w.seen = n
	if args[0] == "some" && got > 0 || strconv.Itoa(got) == args[0] {
		return nil
	}
	return fmt.Errorf("the service saw %d write requests, want %s: %v", got, args[0], w.server.Counts().Kinds)
}

func (w *world) lawful(*testscript.TestScript, []string) error {
	if v := w.server.Violations(); len(v) > 0 {
		return errors.New(strings.Join(v, "\n"))
	}
	return nil
}

func (w *world) slow(_ *testscript.TestScript, args []string) error {
	d, err := time.ParseDuration(args[0])
	w.server.ClearFaults()
	if err == nil && d > 0 {
		w.server.Inject(graphtest.Fault{Op: "write", Delay: graphtest.Duration(d), Times: -1})
	}
	return err
}

func (w *world) expire(_ *testscript.TestScript, args []string) error {
	d, err := time.ParseDuration(args[0])
	w.server.SetTokenLife(d)
	return err
}

func (w *world) reach(_ *testscript.TestScript, args []string) error {
	n, err := strconv.Atoi(args[0])
	for range 1000 { // another process sends; only the counter tells how far it is
		if err != nil || w.server.Counts().Writes >= n {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("the service saw %d write requests only", w.server.Counts().Writes)
}

func (w *world) equal(ts *testscript.TestScript, args []string) error {
	below := "/"
	if len(args) > 1 {
		below = args[1] + "/"
	}
	return equalFolder(w.drive, ts.MkAbs(args[0]), below)
}

// equalFolder compares a folder with what is below a path of a drive, by path and SHA-256.
func equalFolder(drive *graphtest.Drive, top, below string) error {
	there, err := drive.Walk()
	if err != nil {
		return err
	}
	want := map[string]string{}
	for _, i := range there {
		if p, ok := strings.CutPrefix(i.Path, below); ok {
			want[p] = i.SHA256
		}
	}
	err = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == top {
			return err
		}
		rel, sum := strings.TrimPrefix(p, top+"/"), ""
		if !d.IsDir() {
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			h := sha256.Sum256(text)
			sum = hex.EncodeToString(h[:])
		}
		if got, ok := want[rel]; !ok || got != sum {
			return fmt.Errorf("%s is not the same there (exists: %t)", rel, ok)
		}
		delete(want, rel)
		return nil
	})
	if err != nil {
		return err
	}
	for p := range want {
		return fmt.Errorf("%s is there and not in %s", p, top)
	}
	return nil
}

func (w *world) status(ts *testscript.TestScript, args []string) error {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		got = ee.ExitCode()
	} else if err != nil {
		return err
	}
	if strconv.Itoa(got) != args[0] {
		return fmt.Errorf("exit status %d, want %s\n%s", got, args[0], ts.ReadFile("stderr"))
	}
	return nil
}

func (w *world) record(ts *testscript.TestScript, mount string) (control.Record, error) {
	return control.NewRegistry(w.state).Find(context.Background(), ts.MkAbs(mount), "/")
}

func (w *world) signal(ts *testscript.TestScript, args []string) error {
	sig, ok := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}[args[0]]
	r, err := w.record(ts, args[1])
	if err != nil || !ok {
		return fmt.Errorf("signal %s: %w", args[0], err)
	}
	if err := syscall.Kill(r.PID, sig); err != nil {
		return err
	}
	for range 1000 { // it is no child of ours, so there is nothing to wait for but its absence
		if gone(r.PID) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("process %d does not end", r.PID)
}

// gone reports whether a process has ended with all of its threads, whether or not its parent has
// asked how.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil || len(threads) > 1 {
		return errors.Is(err, fs.ErrNotExist)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

// disks reports whether the test may make disks: a loop device has to be mounted for one.
func disks() bool {
	_, err := exec.LookPath("mkfs.ext4")
	_, loop := os.Stat("/dev/loop-control")
	return os.Geteuid() == 0 && err == nil && loop == nil
}

func (w *world) disk(ts *testscript.TestScript, args []string) error {
	image, dir := ts.MkAbs("disk.img"), ts.MkAbs(args[1])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	commands := [][]string{
		{"truncate", "-s", args[0] + "M", image},
		{"mkfs.ext4", "-q", "-m", "0", image},
		{"mount", "-o", "loop", image, dir},
	}
	if len(args) > 2 { // one that is full to the last page
		commands = [][]string{{"mount", "-t", args[2], "-o", "size=" + args[0] + "M", args[2], dir}}
	}
	for _, c := range commands {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", c, err, out)
		}
	}
	w.disks = append(w.disks, dir)
	return os.Chmod(dir, 0o700)
}

func (w *world) unpack(ts *testscript.TestScript, args []string) error {
	z, err := zip.OpenReader(ts.MkAbs(args[0]))
	if err != nil {
		return err
	}
	defer z.Close()
	var all bytes.Buffer
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return err
		}
		if _, err := all.ReadFrom(r); err != nil {
			return err
		}
	}
	return os.WriteFile(ts.MkAbs(args[1]), all.Bytes(), 0o600)
}

func (w *world) site(_ *testscript.TestScript, args []string) error {
	for _, d := range w.server.AddSite(args[0], args[1], args[2:]...) {
		if _, err := d.Put("/f", []byte(args[1]+" "+d.Title()+"\n")); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) in(_ *testscript.TestScript, args []string) error {
	if w.drive = w.server.Drive(args[0]); w.drive == nil {
		return fmt.Errorf("there is no drive %s", args[0])
	}
	return nil
}

func (w *world) asleep(_ *testscript.TestScript, args []string) error {
	d := w.server.Drive(args[0])
	for _, r := range w.server.Log(0) {
		if r.Drive == d.ID() && r.Kind != graphtest.OpDrives && (r.Kind != graphtest.OpItem || r.Place != "/") {
			return fmt.Errorf("%s was asked: %s %s", args[0], r.Kind, r.Place)
		}
	}
	return nil
}

func (w *world) await(ts *testscript.TestScript, args []string) error {
	for range 500 { // a daemon in the foreground of another process: only the registry tells
		if r, err := w.record(ts, args[0]); err == nil {
			if _, err := control.NewClient(r.Mount, r.Socket).Status(context.Background()); err == nil {
				return nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s is not mounted", args[0])
}
