package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/dustin/go-humanize"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph/auth"
	"github.com/duskfs/duskfs/graph/name"
	"github.com/duskfs/duskfs/graph/rest"
)

// Checkup says what Doctor does besides looking.
type Checkup struct {
	Fix   bool // mend what can be mended without losing anything
	Scrub bool // compare all bytes that are here with their hashes
}

// Doctor looks for what is wrong on this machine: with what duskfs needs, with the state folder and
// each account in it, and with the mounts. It asks daemons that run, and looks by itself where none
// does; it asks the service nothing.
func Doctor(ctx context.Context, cfg *config.Config, o Checkup) []control.Finding {
	d := &doctor{ctx: ctx, cfg: cfg, o: o}
	d.machine()
	d.secrets()
	if !d.state() {
		return d.found
	}
	d.mounts()
	d.signIns()
	dirs, err := accountDirs(cfg.StateDir)
	if err != nil {
		d.problem("state", cfg.StateDir, err.Error(), "mend that, or set state.dir to another folder")
	}
	for _, dir := range dirs {
		d.account(dir)
	}
	return d.found
}

type doctor struct {
	ctx   context.Context
	cfg   *config.Config
	o     Checkup
	live  []control.Record
	found []control.Finding
	// copies: the state folder cannot be written, and what is looked at is a copy.
	copies bool
}

func (d *doctor) add(f control.Finding) { d.found = append(d.found, f) }

func (d *doctor) fine(kind, text string) {
	d.add(control.Finding{Level: control.FindingOK, Kind: kind, Text: text})
}

func (d *doctor) problem(kind, path, text, remedy string) {
	d.add(control.Finding{Level: control.FindingProblem, Kind: kind, Path: path, Text: text, Remedy: remedy})
}

// fixable is a problem that fix ends if it was asked for.
func (d *doctor) fixable(f control.Finding, fix func() error) {
	f.Level = control.FindingProblem
	if !d.o.Fix {
		f.Remedy = "`duskfs doctor --fix`"
	} else if err := fix(); err != nil {
		f.Text += fmt.Sprintf("; mending it failed: %v", err)
	} else {
		f.Fixed, f.Remedy = true, ""
	}
	d.add(f)
}

func (d *doctor) machine() {
	if err := fusemount.Missing(); err != nil {
		d.problem("machine", "", err.Error(), "without it nothing can be mounted")
		return
	}
	d.fine("machine", "file systems can be mounted")
}

// secrets looks who may read the files that the configuration has its secrets from.
func (d *doctor) secrets() {
	for _, e := range d.cfg.Exposed() {
		d.fixable(control.Finding{Kind: "sign-in", Path: e.File, Text: e.What()}, e.Guard)
	}
}

// state looks at the state folder, and reports whether there is more to look at.
func (d *doctor) state() bool {
	dir := d.cfg.StateDir
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fine("state", "there is no state yet: nothing was ever mounted")
		return false
	case err != nil:
		d.problem("state", dir, err.Error(), "mend that, or set state.dir to another folder")
		return false
	case !st.IsDir():
		d.problem("state", dir, "it is no folder", "set state.dir to a folder")
		return false
	}
	if st.Mode().Perm()&0o077 != 0 {
		d.fixable(control.Finding{Kind: "state", Path: dir, Text: fmt.Sprintf("others may look into the state folder (mode %o)", st.Mode().Perm())},
			func() error { return os.Chmod(dir, 0o700) })
	}
	err = PrepareState(dir)
	switch d.copies = onlyToRead(dir, err); {
	case err == nil:
		d.fine("state", "the state folder can be used")
	case d.copies:
		d.readable(dir)
	default:
		d.problem("state", dir, err.Error(), "")
	}
	free, err := cache.Free(dir)
	switch {
	case d.copies: // nothing is written there
	case err != nil:
		d.problem("space", dir, err.Error(), "")
	case free < cache.LeastFree:
		d.problem("space", dir, fmt.Sprintf("the disk has %s free: changes are refused below %s", humanize.Bytes(uint64(free)), humanize.Bytes(uint64(cache.LeastFree))),
			"free some space, or set state.dir to a folder on another disk")
	default:
		d.fine("space", humanize.Bytes(uint64(free))+" free on the disk of the state folder")
	}
	return true
}

// readable says what works from a state folder that cannot be written. That is no problem if nothing but reading is asked for.
func (d *doctor) readable(dir string) {
	f := control.Finding{Level: control.FindingNote, Kind: "state", Path: dir,
		Text:   "the state folder cannot be written: `duskfs mount --read-only` works from it, and so does `duskfs export-pending`; other mounts are refused",
		Remedy: "to mount otherwise, make it writable or set state.dir to another folder"}
	live, _, err := control.NewRegistry(dir).Look(d.ctx)
	reads := len(d.cfg.Drives) > 0 && !slices.ContainsFunc(d.cfg.Drives, func(s rest.Spec) bool { return !readOnly(d.cfg, s) })
	if !d.cfg.ReadOnly && !reads && (err != nil || len(live) == 0) {
		f.Level = control.FindingProblem
	}
	d.add(f)
}

// mounts looks for mounts whose daemon is gone.
func (d *doctor) mounts() {
	live, gone, err := control.NewRegistry(d.cfg.StateDir).Look(d.ctx)
	if err != nil {
		d.problem("mount", "", err.Error(), "")
	}
	d.live = live
	for _, point := range fusemount.Dead() {
		ours := func(r control.Record) bool { return r.Mount == point }
		if point != d.cfg.Mountpoint && !slices.ContainsFunc(gone, ours) {
			d.add(control.Finding{Level: control.FindingNote, Kind: "mount", Path: point, Text: "a mount of another state folder, or forgotten, whose daemon is gone",
				Remedy: "mount there again, or `fusermount3 -uz` it"})
			continue
		}
		d.fixable(control.Finding{Kind: "mount", Path: point, Text: "a mount whose daemon is gone"}, func() error {
			_, err := fusemount.Clear(point)
			return err
		})
	}
	for _, r := range live {
		d.fine("mount", fmt.Sprintf("%s is served by process %d", r.Mount, r.PID))
	}
}

// signIns looks at the sign-ins of people that are kept: who holds the keys of their tokens, and whether others may read them.
func (d *doctor) signIns() {
	dir := signInDir(d.cfg)
	kept, err := auth.Kept(dir)
	if err != nil {
		d.problem("sign-in", dir, err.Error(), "mend that, or `duskfs login` again")
	}
	for _, k := range kept {
		switch k.Key {
		case "keychain":
			d.fine("sign-in", "the key of a kept sign-in is in the keychain of this machine")
		case "file":
			d.add(control.Finding{Level: control.FindingNote, Kind: "sign-in", Path: k.File,
				Text: "the key of this kept sign-in is in a file beside it: whoever can read your files can use it", Remedy: "where there is a keychain, `duskfs login` again puts it there"})
		default:
			d.problem("sign-in", k.File, "this kept sign-in is damaged", "`duskfs login` again")
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // none is kept, or it was said above
	}
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		if st, err := os.Lstat(file); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o077 != 0 {
			d.fixable(control.Finding{Kind: "sign-in", Path: file, Text: fmt.Sprintf("others may read a file of a kept sign-in (mode %o)", st.Mode().Perm())},
				func() error { return os.Chmod(file, 0o600) })
		}
	}
}

// account looks at the state of one account.
func (d *doctor) account(dir string) {
	served := false
	for _, r := range d.live {
		c := control.NewClient(r.Mount, r.Socket)
		s, err := c.Status(d.ctx)
		if err != nil || s.Cache.Dir != dir && !(d.copies && filepath.Base(s.Cache.Dir) == filepath.Base(dir)) {
			continue
		}
		served = true
		if s.Auth.State == "needed" {
			d.problem("sign-in", r.Mount, "nobody is signed in any more: "+s.Auth.Error, "`duskfs login`, or renew the secret")
		}
		more, err := c.Doctor(d.ctx, control.DoctorRequest{Scrub: d.o.Scrub})
		if err != nil {
			d.problem("mount", r.Mount, err.Error(), "")
		}
		d.found = append(d.found, more...)
		break
	}
	if !served {
		d.unserved(dir)
	}
	d.aside(dir)
}

// unserved opens a store that no daemon has.
func (d *doctor) unserved(dir string) {
	syscall.Umask(0o077) // badger makes its files 0666
	scrub := d.o.Scrub
	if d.copies {
		aside, copied, err := copyAside(d.ctx, d.cfg, dir)
		if aside != nil {
			defer func() { _ = aside.Remove() }() // the next one does
		}
		if err != nil {
			d.problem("state", dir, err.Error(), "")
			return
		}
		if scrub {
			d.add(control.Finding{Level: control.FindingNote, Kind: "bodies", Path: dir, Text: "in a state folder that cannot be written, bytes are not compared with their hashes"})
		}
		dir, scrub = copied, false
	}
	s, err := openStore(d.ctx, dir, d.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		d.problem("state", dir, err.Error(), "")
		return
	}
	d.found = append(d.found, examine(d.ctx, s, nil, scrub)...)
	if err := s.Close(); err != nil {
		d.problem("state", dir, err.Error(), "")
	}
}

// aside tells of what was moved aside.
func (d *doctor) aside(dir string) {
	damages, err := cache.Damages(dir)
	if err != nil {
		d.problem("state", dir, err.Error(), "")
	}
	for _, x := range damages {
		text := fmt.Sprintf("state that was damaged was moved aside on %s (%s)", x.At.Local().Format("2 Jan 2006"), x.Why)
		if !x.Rescued && len(x.Unsent) > 0 {
			d.problem("unsent", x.Dir, fmt.Sprintf("%s, with %d unsent files in it", text, len(x.Unsent)), "`duskfs export-pending FOLDER` copies them out")
			continue
		}
		d.fixable(control.Finding{Kind: "state", Path: x.Dir, Text: text + "; nothing in it is needed any more"}, x.Remove)
	}
	recovered := filepath.Join(dir, "bodies", "recovered")
	entries, err := os.ReadDir(recovered)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.problem("bodies", recovered, err.Error(), "")
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), ".json") })
	if len(entries) > 0 {
		d.add(control.Finding{Level: control.FindingNote, Kind: "bodies", Path: recovered,
			Text:   fmt.Sprintf("%d files of bytes that are not what they were, and could be somebody's work, were put aside", len(entries)),
			Remedy: "remove them when you have seen them; `duskfs export-pending FOLDER` copies out what may be unsent"})
	}
}

// examine looks into an open store. outside tells where people see a path of a drive; nil if nothing
// is mounted.
func examine(ctx context.Context, s *cache.Store, outside func(cache.DriveInfo, string) string, scrub bool) []control.Finding {
	d := &doctor{ctx: ctx}
	if scrub {
		d.tables(s)
	}
	findings, err := s.Check(ctx)
	if len(findings) > 0 {
		// What goes on meanwhile can look wrong for a moment.
		again, err2 := s.Check(ctx)
		err = errors.Join(err, err2)
		findings = slices.DeleteFunc(findings, func(f string) bool { return !slices.Contains(again, f) })
	}
	if err != nil && !errors.Is(err, cache.ErrDamaged) { // which is said below
		d.problem("rows", s.Dir(), err.Error(), "")
	}
	for _, f := range findings {
		d.problem("rows", s.Dir(), f, "please report this; `duskfs export-pending FOLDER` copies what is unsent out first")
	}
	if why := s.Doubt(); why != "" {
		d.problem("rows", s.Dir(), why, "unmount and mount again: what is damaged is moved aside and read from the service anew, and what is unsent is kept")
	} else if err == nil && len(findings) == 0 {
		d.fine("rows", "what is known of the drives is in order")
	}
	drives, err := s.Drives()
	if err != nil {
		d.problem("rows", s.Dir(), err.Error(), "")
	}
	for _, info := range drives {
		d.drive(s, info, outside)
	}
	if scrub {
		d.scrub(s)
	}
	return d.found
}

func (d *doctor) drive(s *cache.Store, info cache.DriveInfo, outside func(cache.DriveInfo, string) string) {
	at := func(p string) string {
		if outside == nil {
			return info.Drive.Name + ":" + p
		}
		return outside(info, p)
	}
	paths, err := s.Disguised(info.Num)
	if err != nil && !errors.Is(err, cache.ErrDamaged) { // which is said already
		d.problem("rows", s.Dir(), err.Error(), "")
	}
	for _, p := range paths {
		shown := p[strings.LastIndexByte(p, '/')+1:]
		why := "which no file here can be called"
		if name.Plain(shown) != shown {
			why = "and has another here that is called the same but for letter case or Unicode form"
		}
		d.add(control.Finding{Level: control.FindingNote, Kind: "name", Path: at(p),
			Text:   fmt.Sprintf("the service calls this %q, %s", name.Remote(shown), why),
			Remedy: "rename it, and that is sent with the next flush"})
	}
	p, err := s.Outbox(info.Num).Pending()
	if errors.Is(err, cache.ErrDamaged) {
		return
	}
	if err != nil {
		d.problem("rows", s.Dir(), err.Error(), "")
		return
	}
	if p.Items > 0 {
		d.add(control.Finding{Level: control.FindingNote, Kind: "unsent", Path: at("/"),
			Text: fmt.Sprintf("%d changes are not sent yet, %s", p.Items, humanize.Bytes(uint64(max(0, p.Bytes))))})
	}
	if n, err := s.Inbox(info.Num).Waiting(); err == nil && n > 0 {
		d.add(control.Finding{Level: control.FindingNote, Kind: "rows", Path: at("/"),
			Text: fmt.Sprintf("%d changes of the service wait to be shown: for a file to be closed, or for another change", n)})
	}
}

// tables reads the rows whole. What is wrong with them is what Doubt says from then on.
func (d *doctor) tables(s *cache.Store) {
	n, err := s.VerifyRows()
	switch {
	case errors.Is(err, cache.ErrDamaged):
	case err != nil:
		d.problem("rows", s.Dir(), err.Error(), "")
	default:
		d.fine("rows", fmt.Sprintf("all that is known was read (%d tables), and is as it was written", n))
	}
}

func (d *doctor) scrub(s *cache.Store) {
	r, err := s.Content().Scrub(d.ctx, nil)
	if err != nil {
		d.problem("bodies", s.Dir(), err.Error(), "")
	}
	for _, i := range r.Damaged {
		what := fmt.Sprintf("body %d", i.Ino)
		if n, err := s.Tree().Get(cache.Ino(i.Ino)); err == nil {
			if p, err := s.Tree().Path(n.Ino); err == nil {
				what = p
			}
		}
		d.add(control.Finding{Level: control.FindingProblem, Kind: "bodies", Path: what, Fixed: true,
			Text: "the bytes kept of it were damaged; they were put aside, and are fetched again when it is read"})
	}
	for _, text := range r.Unusable {
		d.problem("bodies", s.Dir(), text, "`duskfs export-pending FOLDER` copies its bytes out")
	}
	d.fine("bodies", fmt.Sprintf("%d files of %s were compared with their hashes; %d could not be, since they are unsent, and %d, since not all of them is here",
		r.Bodies, humanize.Bytes(uint64(r.Bytes)), r.Local, r.Unknown))
}

// Doctor implements control.API.
func (a *answers) Doctor(ctx context.Context, r control.DoctorRequest) ([]control.Finding, error) {
	m := a.m
	outside := func(info cache.DriveInfo, p string) string {
		for _, d := range m.drives {
			if d.info.Num == info.Num {
				return m.outside(d, p)
			}
		}
		return info.Drive.Name + ":" + p
	}
	return examine(ctx, m.store, outside, r.Scrub), nil
}

// damaged lists for a status what was moved aside and still has unsent work.
func (m *mount) damaged() ([]control.Damaged, error) {
	list := []control.Damaged{}
	damages, err := cache.Damages(m.account.dir)
	for _, d := range damages {
		if !d.Rescued && len(d.Unsent) > 0 {
			list = append(list, control.Damaged{Dir: d.Dir, At: d.At.UTC(), Why: d.Why, Unsent: len(d.Unsent)})
		}
	}
	return list, err
}
