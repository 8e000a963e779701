package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/duskfs/duskfs/cache/mirror"
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

	err io.Writer // where commands say what they have to say
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
	a.setting(c, false, "mirror.permissions-every", "permissions-every", "TIME", "how often permissions are read without a sign of change: a time, always, told or off")
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
	libraries, err := account.Libraries(ctx, cfg.Mirror.Told)
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
		err := a.mirrorOnce(ctx, copies, j)
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted; the next run goes on from here")
		}
		return err
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
				if err := a.handOn(ctx, j.onPermissions, d.Report, j.err); err != nil {
					return fmt.Errorf("--notify-permissions: %w", err)
				}
			}
			if j.onChange != "" {
				if err := a.handOn(ctx, j.onChange, d.Report, j.err); err != nil {
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

// handOn runs a command with a report on its standard input. What it says goes to out.
func (a *app) handOn(ctx context.Context, command, report string, out io.Writer) error {
	f, err := os.Open(report)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody took it away, so somebody has it
	}
	if err != nil {
		return err
	}
	defer f.Close()
	c := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	c.Stdin, c.Stdout, c.Stderr, c.Dir = f, out, out, a.Work
	c.Env = append(slices.Clone(a.Environ), "DUSKFS_REPORT="+report)
	c.WaitDelay = time.Second
	if w, ok := out.(*above); ok {
		defer w.endLine()
	}
	return c.Run()
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

func (a *app) mirrorCopy(ctx context.Context, c *copyOf, j *mirrorJob) (mirror.Result, error) {
	run := c.m.Sync
	if j.dryRun {
		run = func(ctx context.Context) (mirror.Result, error) { return c.m.Rehearse(ctx, a.sayStep) }
	}
	show, out, end := a.watchMirror(c.drive.Name)
	c.show, j.err = show, out
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
