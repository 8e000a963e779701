package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/cmd/internal/daemon"
	"github.com/duskfs/duskfs/graph/rest"
)

func (a *app) mountCommand() *cobra.Command {
	var background, detached bool
	var restarted int
	c := &cobra.Command{
		Use: "mount [DRIVE...] [MOUNTPOINT]", Short: "Mount drives at an empty folder",
		Long: `Mounts drives at an empty folder. One drive fills the folder; several appear as folders in it.
Without arguments: what the configuration names. Runs until Ctrl-C or ` + "`duskfs unmount`" + `; unsent
changes are kept.

DRIVE is one of
  me                             your OneDrive (that of auth.user, for sign-in as an application)
  user:NAME@EXAMPLE.COM          the OneDrive of a person
  site:HOST:/PATH[#LIBRARY]      a library of a SharePoint site
  group:ID                       the library of a group
  drive:ID                       any drive, by its id
  sharepoint                     every library of every site that you may see, as SITE/LIBRARY, read-only;
                                 what nobody looks into costs nothing`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.mountArgs(args); err != nil {
				return err
			}
			if background && !detached {
				return a.mountBackground(c.Context())
			}
			return a.mount(c.Context(), detached, restarted > 0)
		},
	}
	c.Flags().BoolVar(&background, "background", false, "return when the mount is ready, and go on in the background")
	c.Flags().BoolVar(&detached, "detached", false, "")
	c.Flags().IntVar(&restarted, daemon.RestartedFlag, 0, "")
	_ = c.Flags().MarkHidden("detached") // it exists: the lines above made it
	_ = c.Flags().MarkHidden(daemon.RestartedFlag)
	a.setting(c, false, "read-only", "read-only", "", "refuse every change; --read-only=DRIVE,... for some drives alone")
	a.setting(c, false, "flush.at", "flush-at", "TIMES", "send changes at these times of day, such as 18:00")
	c.Flags().VarP(&settingFlag{a: a, key: "mount.options", name: "options", what: "OPTIONS"}, "options", "o", "options for the kernel's side of FUSE, such as volname=Work,noapplexattr of macFUSE")
	a.setting(c, false, "refresh.every", "refresh-every", "TIME", "how often to ask for remote changes, such as 5m")
	a.jsonFlag(c)
	return c
}

// mountArgs sorts arguments into drives and mountpoint. The last one is the mountpoint, unless it
// is alone, has the form of a drive, and the configuration names a mountpoint.
func (a *app) mountArgs(args []string) error {
	if len(args) == 0 {
		return nil
	}
	drives, point := args[:len(args)-1], args[len(args)-1]
	if len(args) == 1 {
		if _, err := rest.ParseSpec(point); err == nil {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if cfg.Mountpoint != "" {
				drives, point = args, ""
			} else if len(cfg.Drives) == 0 {
				return usage("there is no mountpoint: `duskfs mount %s MOUNTPOINT`", point)
			}
		}
	}
	for _, d := range drives {
		if strings.Contains(d, "\n") {
			return usage("%q names no drive", d)
		}
	}
	if len(drives) > 0 {
		a.flags["drives"] = config.Flag{Value: strings.Join(drives, "\n"), Name: "argument DRIVE"}
	}
	if point != "" {
		a.flags["mountpoint"] = config.Flag{Value: point, Name: "argument MOUNTPOINT"}
	}
	return nil
}

// mount serves a mount in this process until it ends.
func (a *app) mount(ctx context.Context, detached, restarted bool) error {
	var tell *daemon.Reporter
	switch {
	case detached && restarted:
		tell = &daemon.Reporter{} // nobody waits for its word any more
	case detached:
		tell = daemon.NewReporter()
	}
	err := a.serve(ctx, tell)
	if errors.Is(err, daemon.ErrBroken) {
		err = errors.Join(err, daemon.Restart(a.args, a.Environ))
	}
	if tell != nil && err != nil {
		tell.Failed(err, statusOf(err) == exitUsage)
	}
	return err
}

// mountable loads a configuration that names what to mount and where, on a machine that can.
func (a *app) mountable() (*config.Config, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	if _, err := daemon.Check(cfg); err != nil {
		return nil, err
	}
	return cfg, haveFUSE()
}

func (a *app) serve(ctx context.Context, tell *daemon.Reporter) error {
	cfg, err := a.mountable()
	if err != nil {
		return err
	}
	log := a.Err
	ready := a.sayReady
	if tell != nil {
		root, err := daemon.LogRoot(cfg)
		if err != nil {
			return err
		}
		file, err := daemon.LogFile(root, cfg.Mountpoint)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // nobody is left to be told
		log, ready = file, tell.Ready
	}
	return daemon.Run(ctx, daemon.Options{
		Config: cfg, Version: version(), Log: daemon.NewLog(log, cfg.LogLevel), Ready: ready, Pick: pick,
	})
}

func (a *app) sayReady(r daemon.Ready) {
	a.sayStale(r)
	if a.json {
		if err := a.printJSON(r); err != nil {
			fmt.Fprintln(a.Err, oneLine(err))
		}
		return
	}
	fmt.Fprintf(a.Err, "%s mounted at %s; Ctrl-C unmounts\n", strings.Join(r.Drives, ", "), r.Mount)
}

// sayStale says why a mount shows what was last known, or refuses changes unasked, if it does.
func (a *app) sayStale(r daemon.Ready) {
	if r.ReadOnly != "" {
		fmt.Fprintf(a.Err, "read-only: %s\n", r.ReadOnly)
	}
	switch {
	case r.SignIn != "":
		fmt.Fprintf(a.Err, "sign-in needed: %s; showing what was last known, changes are kept until then\n", r.SignIn)
	case r.Offline:
		fmt.Fprintln(a.Err, "offline: showing what was last known; changes are kept until there is a network")
	}
}

// mountBackground starts a daemon and returns when its mount is ready.
func (a *app) mountBackground(ctx context.Context) error {
	cfg, err := a.mountable()
	if err != nil {
		return err
	}
	logs, err := daemon.LogRoot(cfg)
	if err != nil {
		return err
	}
	args := slices.Clone(a.args)
	at := slices.Index(args, "--")
	if at < 0 {
		at = len(args)
	}
	args = slices.Insert(args, at, "--detached")
	ready, isUsage, err := daemon.Background(ctx, args, a.Environ, a.Work, daemon.LogPath(logs, cfg.Mountpoint))
	var told *control.Failure
	switch {
	case err != nil && isUsage && errors.As(err, &told):
		return usage("%s", told.Message)
	case err != nil:
		return err
	}
	a.sayStale(ready)
	if a.json {
		return a.printJSON(ready)
	}
	_, err = fmt.Fprintf(a.Out, "%s mounted at %s\n", strings.Join(ready.Drives, ", "), ready.Mount)
	return err
}
