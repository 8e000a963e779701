package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/duskfs/duskfs/cache/mirror"
	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/daemon"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/rest"
)

// mirrorJob is what `duskfs mirror` was asked for.
type mirrorJob struct {
	filter
	sites           []string
	maxSize         string
	logs            string
	onChange        string
	onPermissions   string
	dryRun, watch   bool
	noTrash, always bool
	deletes         bool
	verbose         bool
}

func (a *app) mirrorCommand() *cobra.Command {
	var j mirrorJob
	c := &cobra.Command{
		Use: "mirror [DRIVE...] [FOLDER]", Short: "Keep a plain folder equal to a library, and report what changed",
		Long: `Keeps FOLDER/data equal to a drive: the first run takes every file, later ones what changed since. Who
may see each file is in FOLDER/.permissions.json, and what a run changed in
FOLDER/sync_logs/sync_changes_DATE_TIME.json, for a search index for one. docs/MIRROR.md has the details.

Without DRIVE it is what the configuration names: mirror.drives, mirror.sites, or the library that the
variables SHAREPOINT_HOST, SITE_NAME and DOC_LIBRARY name; without FOLDER, mirror.folder or LOCAL_ROOT. A
.env of the working directory is read. One drive fills FOLDER; several, and those of --site, have a folder
each in it.

Files that somebody put into the folder are left alone. What is gone there goes to a trash here, unless
that is very much at once: then it is held back, and --confirm-deletes carries it out.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part (a file could not be fetched
or written, permissions could not be read, deletions are held back, a command failed), 11 sign-in needed.`,
		RunE: func(c *cobra.Command, args []string) error { return a.mirror(c.Context(), args, &j) },
	}
	f := c.Flags()
	f.BoolVar(&j.dryRun, "dry-run", false, "say what would be done; do and write nothing")
	j.patternFlags(f)
	j.typesFlag(f)
	f.StringVar(&j.maxSize, "max-size", "", "leave out files larger than `SIZE`, such as 500MB")
	f.StringArrayVar(&j.sites, "site", nil, "mirror every library of `SITE`: HOST:/PATH, or a name (may be repeated)")
	f.BoolVar(&j.watch, "watch", false, "stay, and mirror again when something changes")
	f.StringVar(&j.onChange, "on-change", "", "shell `COMMAND` that is run for each report, with the report on its standard input")
	f.StringVar(&j.onPermissions, "notify-permissions", "", "shell `COMMAND` that is run likewise for reports that tell of other permissions")
	f.BoolVar(&j.noTrash, "no-trash", false, "remove what is gone there for good")
	f.BoolVar(&j.deletes, "confirm-deletes", false, "carry out deletions that the guard holds back")
	f.StringVar(&j.logs, "logs", "", "`FOLDER` for reports instead of sync_logs in the mirror's folder")
	f.BoolVar(&j.always, "always-report", false, "write a report of a run that changed nothing too")
	f.BoolVar(&j.verbose, "verbose", false, "print the tree of files at the end")
	a.setting(c, false, "mirror.permissions-every", "permissions-every", "TIME", "how often permissions are read without a sign of change: a time, always or off")
	a.jsonFlag(c)
	return c
}

// mirrorMemory is what the collector of garbage keeps to as long as it can: what lives is a fraction of it, however many
// files there are.
const mirrorMemory = 96 << 20

// copyOf is a drive and the folder that is kept equal to it.
type copyOf struct {
	drive graph.Drive
	m     *mirror.Mirror
	dir   string // absolute
	near  *rest.Drive
	show  func(mirror.Progress) // how far a run has come; nil where nobody looks
}

func (a *app) mirror(ctx context.Context, args []string, j *mirrorJob) error {
	cfg, err := a.scriptConfig()
	if err != nil {
		return err
	}
	options, err := j.options(a)
	if err != nil {
		return err
	}
	what, err := a.mirrored(cfg, args, j)
	if err != nil {
		return err
	}
	account, err := daemon.Connect(cfg, version(), nil)
	if err != nil {
		return err
	}
	defer account.Close()
	libraries, err := account.Libraries(ctx)
	if err != nil {
		return err
	}
	options.SharingChanges = libraries.Sharing || cfg.Mirror.Every == 0
	options.PermissionsEvery = cfg.Mirror.Every
	copies, err := a.copies(ctx, libraries, what, options)
	if err != nil {
		return err
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(mirrorMemory)
	}
	if !j.watch {
		return a.mirrorOnce(ctx, copies, j)
	}
	return a.mirrorOn(ctx, copies, j, cfg.RefreshEvery)
}

// options are those that flags say.
func (j *mirrorJob) options(a *app) (mirror.Options, error) {
	o := mirror.Options{NoTrash: j.noTrash, AllowDeletes: j.deletes, AlwaysReport: j.always}
	var err error
	if o.Take, err = j.take(); err != nil {
		return o, err
	}
	if j.maxSize != "" {
		n, err := humanize.ParseBytes(j.maxSize)
		if err != nil || n == 0 || n > 1<<62 {
			return o, usage("--max-size: want a size such as 500MB or 2GiB, not %q", j.maxSize)
		}
		o.MaxSize = int64(n)
	}
	if j.logs != "" {
		o.Logs = a.lexical(j.logs)
	}
	if j.onChange != "" || j.onPermissions != "" {
		o.Deliver = func(ctx context.Context, d mirror.Delivery) error {
			if d.Permissions && j.onPermissions != "" {
				if err := a.handOn(ctx, j.onPermissions, d.Report); err != nil {
					return fmt.Errorf("--notify-permissions: %w", err)
				}
			}
			if j.onChange != "" {
				if err := a.handOn(ctx, j.onChange, d.Report); err != nil {
					return fmt.Errorf("--on-change: %w", err)
				}
			}
			return nil
		}
	}
	if j.watch && j.dryRun {
		return o, usage("--watch and --dry-run do not go together")
	}
	return o, nil
}

// handOn runs a command with a report on its standard input.
func (a *app) handOn(ctx context.Context, command, report string) error {
	f, err := os.Open(report)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody took it away, so somebody has it
	}
	if err != nil {
		return err
	}
	defer f.Close()
	c := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	c.Stdin, c.Stdout, c.Stderr, c.Dir = f, a.Err, a.Err, a.Work
	c.Env = append(slices.Clone(a.Environ), "DUSKFS_REPORT="+report)
	c.WaitDelay = time.Second
	return c.Run()
}

// sources are what is mirrored, and where.
type sources struct {
	cfg    *config.Config
	drives []rest.Spec
	sites  []string
	named  bool   // the one library that the older tool's variables name
	folder string // absolute
	shown  string // as given
}

// defaultRoot is where the older tool puts its files.
const defaultRoot = "ms365_data/data"

// mirrored says what arguments, flags and configuration name.
func (a *app) mirrored(cfg *config.Config, args []string, j *mirrorJob) (sources, error) {
	s := sources{cfg: cfg, sites: j.sites}
	if n := len(args); n > 0 {
		last := args[n-1]
		if spec, err := rest.ParseSpec(last); err == nil && n == 1 && len(j.sites) == 0 {
			s.drives = append(s.drives, spec) // a folder of such a name would be ./me
		} else {
			s.shown, s.folder = last, a.lexical(last)
			for _, arg := range args[:n-1] {
				spec, err := rest.ParseSpec(arg)
				if err != nil {
					return s, usage("%v", err)
				}
				s.drives = append(s.drives, spec)
			}
		}
	}
	for _, d := range s.drives {
		if d.Where == rest.SharePoint {
			return s, usage("sharepoint is all that one may see: name the sites with --site")
		}
	}
	if len(s.drives)+len(s.sites) == 0 {
		switch m := cfg.Mirror; {
		case len(m.Drives)+len(m.Sites) > 0:
			s.drives, s.sites = m.Drives, m.Sites
		case m.Host != "" && m.Site != "":
			s.named = true
		default:
			return s, usage("no drive is named: give one, such as site:contoso.sharepoint.com:/sites/Engineering, or set SHAREPOINT_HOST and SITE_NAME")
		}
	}
	if s.folder == "" {
		s.shown, s.folder = cfg.Mirror.Folder, cfg.Mirror.Folder
		for _, v := range cfg.Values() {
			if v.Key == "mirror.folder" && a.lexical(v.Value) == s.folder {
				s.shown = v.Value // as it was written
			}
		}
		if s.folder == "" && s.named {
			s.shown, s.folder = defaultRoot, a.lexical(defaultRoot)
		}
		if s.folder == "" {
			return s, usage("no folder is named: give one, or set mirror.folder or LOCAL_ROOT")
		}
		if filepath.Base(s.folder) == "data" { // the older tool names the folder of the files themselves
			s.shown, s.folder = filepath.Dir(filepath.Clean(s.shown)), filepath.Dir(s.folder)
		}
	}
	return s, nil
}

// copies finds the drives, and gives each its folder.
func (a *app) copies(ctx context.Context, l *daemon.Libraries, s sources, o mirror.Options) ([]*copyOf, error) {
	var drives []graph.Drive
	add := func(found ...graph.Drive) {
		for _, d := range found {
			if !slices.ContainsFunc(drives, func(e graph.Drive) bool { return graph.SameDrive(d.ID, e.ID) }) {
				drives = append(drives, d)
			}
		}
	}
	for _, spec := range s.drives {
		d, err := l.Find(ctx, spec)
		if err != nil {
			return nil, err
		}
		add(d)
	}
	for _, site := range s.sites {
		if host, path, ok := strings.Cut(site, ":/"); ok && !strings.Contains(host, ":") {
			site = "site:" + host + ":/" + path
		}
		found, err := l.OfSites(ctx, site)
		if err != nil {
			return nil, err
		}
		add(found...)
	}
	if s.named {
		d, err := l.Named(ctx, s.cfg.Mirror.Host, s.cfg.Mirror.Site, s.cfg.Mirror.Library)
		if err != nil {
			return nil, err
		}
		add(d)
	}
	alone := len(s.sites) == 0 && len(s.drives) <= 1
	var all []*copyOf
	taken := map[string]bool{}
	for _, d := range drives {
		own := o
		own.Drive, own.Folder, own.Shown = d, s.folder, s.shown
		if !alone {
			name := copyName(d, taken)
			own.Folder, own.Shown = filepath.Join(s.folder, name), filepath.Join(s.shown, name)
		}
		if own.Logs == "" {
			own.Logs = filepath.Join(own.Folder, "sync_logs")
		}
		near := l.Service(d.ID)
		own.Service, own.State = near, l.State(d.ID, resolved(own.Folder))
		c := &copyOf{drive: d, dir: own.Folder, near: near}
		own.Progress = func(p mirror.Progress) {
			if c.show != nil {
				c.show(p)
			}
		}
		c.m = mirror.New(own)
		all = append(all, c)
	}
	return all, nil
}

// copyName is the folder of one of several drives: the same in every run, whatever other drives there are.
func copyName(d graph.Drive, taken map[string]bool) string {
	name := d.Name
	switch {
	case d.Site != "":
		name = d.Site + " - " + d.Name
	case d.Owner != "" && d.Type != "documentLibrary":
		name = d.Owner
	}
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '-'
		}
		return r
	}, name), " .")
	if name == "" || taken[strings.ToLower(name)] {
		sum := sha256.Sum256([]byte(d.ID))
		name = strings.TrimSpace(name + " " + hex.EncodeToString(sum[:4]))
	}
	taken[strings.ToLower(name)] = true
	return name
}

// mirrorOnce mirrors all drives, one after another.
func (a *app) mirrorOnce(ctx context.Context, copies []*copyOf, j *mirrorJob) error {
	var failed error
	part, done := false, 0
	for _, c := range copies {
		r, err := a.mirrorCopy(ctx, c, j)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if part = part || r.InPart(); err == nil {
			done++
			continue
		}
		failed = driveFailure(failed, c.drive.Name, err.Error(), graph.KindOf(err))
	}
	var o *outcome
	switch {
	case failed != nil && errors.As(failed, &o) && o.status != exitSignIn && done > 0:
		return &outcome{exitInPart, o.err}
	case failed != nil:
		return failed
	case part:
		return &outcome{status: exitInPart}
	}
	return nil
}

// mirrorOn mirrors until it is stopped: again when the service gives notice of a change, and now and then.
func (a *app) mirrorOn(ctx context.Context, copies []*copyOf, j *mirrorJob, every time.Duration) error {
	g, ctx := errgroup.WithContext(ctx)
	woken := make(chan struct{}, 1)
	wake := func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	for _, c := range copies {
		g.Go(func() error {
			err := c.near.Notices(ctx, wake)
			if errors.Is(err, graph.SignIn) {
				return err
			}
			return nil // then there is the clock alone
		})
	}
	g.Go(func() error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			err := a.mirrorOnce(ctx, copies, j)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case statusOf(err) == exitSignIn:
				return err
			case err != nil && statusOf(err) != exitInPart:
				fmt.Fprintln(a.Err, "duskfs: "+oneLine(err))
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-woken:
			case <-tick.C:
			}
		}
	})
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // stopped as it was asked to
}

// mirrorReport is what `duskfs mirror --json` prints of a drive.
type mirrorReport struct {
	Event  string `json:"event"` // "result"
	Drive  string `json:"drive"`
	ID     string `json:"id"`
	Folder string `json:"folder"`
	DryRun bool   `json:"dry_run"`
	mirror.Result
	InPart bool   `json:"in_part"`
	Error  string `json:"error,omitempty"`
}

// mirrorStep is one line of `duskfs mirror --dry-run --json`.
type mirrorStep struct {
	Event string `json:"event"` // "step"
	mirror.Step
}

func (a *app) mirrorCopy(ctx context.Context, c *copyOf, j *mirrorJob) (mirror.Result, error) {
	run := c.m.Sync
	if j.dryRun {
		run = func(ctx context.Context) (mirror.Result, error) { return c.m.Rehearse(ctx, a.sayStep) }
	}
	show, end := a.watchMirror(c.drive.Name)
	c.show = show
	r, err := run(ctx)
	c.show = nil
	end()
	if a.json {
		report := mirrorReport{Event: "result", Drive: c.drive.Name, ID: string(c.drive.ID), Folder: c.dir, DryRun: j.dryRun, Result: r, InPart: r.InPart()}
		if err != nil {
			report.Error = err.Error()
		}
		return r, errors.Join(err, a.printJSON(report))
	}
	if err == nil {
		a.sayMirrored(c, r, j)
	}
	if err == nil && j.verbose && !j.dryRun {
		err = a.writeTree(filepath.Join(c.dir, "data"))
	}
	return r, err
}

// sayStep tells what would be done.
func (a *app) sayStep(s mirror.Step) {
	if a.json {
		_ = a.printJSON(mirrorStep{"step", s}) // a reader that has gone is noticed with the result
		return
	}
	text := fmt.Sprintf("  %-8s %s", s.Do, s.Path)
	if s.From != "" {
		text += " (from " + s.From + ")"
	}
	if s.Bytes > 0 {
		text += ", " + size(s.Bytes)
	}
	fmt.Fprintln(a.Out, text)
}

func (a *app) sayMirrored(c *copyOf, r mirror.Result, j *mirrorJob) {
	switch {
	case j.dryRun:
		fmt.Fprintf(a.Out, "%s: nothing was done; the permissions of %s would be read\n", c.drive.Name, count(r.Read, "file"))
	case r.Added+r.Modified+r.Deleted+r.PermissionsOnly+r.Restored == 0:
		fmt.Fprintf(a.Out, "%s: nothing changed, %s\n", c.drive.Name, count(r.Total, "file"))
	default:
		fmt.Fprintf(a.Out, "%s: %d added, %d modified, %d deleted, %d with other permissions; %s in all, %s fetched\n", c.drive.Name,
			r.Added, r.Modified, r.Deleted, r.PermissionsOnly, count(r.Total, "file"), size(r.Bytes))
	}
	if r.Restored > 0 {
		fmt.Fprintf(a.Out, "  %s not as it was left, or in the way: the report says what became of it\n", count(r.Restored, "file"))
	}
	if r.Report != "" {
		fmt.Fprintf(a.Out, "  report: %s\n", r.Report)
	}
	if r.LeftOut > 0 && j.verbose {
		fmt.Fprintf(a.Out, "  %s left out\n", count(r.LeftOut, "item"))
	}
	if r.Waiting > 0 {
		fmt.Fprintf(a.Out, "  the permissions of %s are read again in later runs\n", count(r.Waiting, "file"))
	}
	if r.Held > 0 {
		fmt.Fprintf(a.Out, "  %s held back: that is a lot; `duskfs mirror --dry-run --confirm-deletes` lists them, --confirm-deletes carries them out\n", count(r.Held, "deletion"))
	}
	for _, p := range r.Problems {
		where := p.Path
		if where != "" {
			where += ": "
		}
		fmt.Fprintf(a.Err, "duskfs: %s%s\n", where, p.Error)
	}
	if more := r.Failed - len(r.Problems); more > 0 {
		fmt.Fprintf(a.Err, "duskfs: %d more could not be mirrored\n", more)
	}
	if r.Partial && r.Failed == 0 && r.Held == 0 {
		fmt.Fprintln(a.Err, "duskfs: not all permissions could be read; what was known of them stands, and the next run tries again")
	}
}

// writeTree prints a folder as a tree.
func (a *app) writeTree(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil || rel == "." {
			return err
		}
		line := strings.Repeat("  ", strings.Count(rel, string(filepath.Separator))+1) + d.Name()
		if d.IsDir() {
			line += "/"
		} else if st, err := d.Info(); err == nil {
			line += "  " + size(st.Size())
		}
		_, err = fmt.Fprintln(a.Out, line)
		return err
	})
}
