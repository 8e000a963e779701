package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/cmd/internal/daemon"
	"github.com/duskfs/duskfs/graph/graphtest"
)

func (a *app) demoCommand() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "demo", Short: "See everything in a minute, without an account", Args: noArgs,
		Long: `Serves an emulated OneDrive, signs in, mounts it, does a working day in fast motion, sends the
changes, compares both sides byte by byte, and leaves nothing behind.`,
		RunE: func(c *cobra.Command, _ []string) error { return a.demo(c.Context(), keep) },
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave it mounted to play with, until Ctrl-C")
	a.jsonFlag(c)
	return c
}

// demo is one run of the demonstration.
type demo struct {
	*app
	ctx    context.Context
	server *graphtest.Server
	drive  *graphtest.Drive // remote side: what the colleague works on
	mount  string
	daemon *control.Client
	began  time.Time
	rows   []row
	out    io.Writer // of the steps: standard error if the end is JSON
}

func (a *app) demo(ctx context.Context, keep bool) (err error) {
	if err := haveFUSE(); err != nil {
		return err
	}
	base, err := os.MkdirTemp("", "duskfs-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	d := &demo{app: a, ctx: ctx, mount: filepath.Join(base, "OneDrive"), began: time.Now(), out: a.Out}
	if a.json {
		d.out = a.Err
	}
	if err := os.Mkdir(d.mount, 0o700); err != nil {
		return err
	}

	d.step("A OneDrive of our own: an emulated Microsoft Graph with sample documents")
	d.server, err = graphtest.New(graphtest.Options{Sample: true, Seed: 2026})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.server.Close()) }()
	if err := d.server.Listen("127.0.0.1:0"); err != nil {
		return err
	}
	d.drive = d.server.Me().Drive()
	d.say("%s, with a certificate authority of its own", d.server.GraphURL())

	state := filepath.Join(base, "state")
	end, err := d.startDaemon(base, state)
	if err != nil {
		return err
	}
	defer func() {
		if end != nil {
			err = errors.Join(err, end())
		}
	}()
	if err := d.day(); err != nil {
		return err
	}
	if keep {
		d.keep(state)
	}
	d.step("Unmount")
	err, end = end(), nil
	if err != nil {
		return err
	}
	d.say("the folder is empty again, and everything this demo made is removed")
	return d.table()
}

// day is the working day: every part is a step that people see.
func (d *demo) day() error {
	for _, part := range []func() error{d.browse, d.edit, d.savesByRename, d.colleague, d.status, d.refresh, d.flush, d.verify, d.again} {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// startDaemon signs in and mounts. The function returned unmounts and waits.
func (d *demo) startDaemon(base, state string) (end func() error, err error) {
	d.step("Sign in through MSAL over TLS, and mount")
	cfg, err := config.Load(config.Sources{
		Environ: append(d.server.Env(), "HOME="+base, "XDG_CONFIG_HOME="+base, "DUSKFS_STATE_DIR="+state),
		Flags: map[string]config.Flag{
			"drives": {Value: "me", Name: "demo"}, "mountpoint": {Value: d.mount, Name: "demo"}, "log.level": {Value: "warn", Name: "demo"},
		},
		Work: base,
	})
	if err != nil {
		return nil, err
	}
	log, err := daemon.LogFile(cfg.StateDir, d.mount)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(d.ctx))
	stopStart := context.AfterFunc(d.ctx, cancel) // until the mount is ready, Ctrl-C ends the start
	ready, ended := make(chan daemon.Ready, 1), make(chan error, 1)
	go func() {
		err := daemon.Run(ctx, daemon.Options{
			Config: cfg, Version: version(), Log: daemon.NewLog(log, cfg.LogLevel), Ready: func(r daemon.Ready) { ready <- r },
		})
		ended <- errors.Join(err, log.Close())
	}()
	select {
	case r := <-ready:
		stopStart()
		d.say("signed in; the drive is a folder now: %s", r.Mount)
		d.mount = r.Mount
	case err := <-ended:
		cancel()
		return nil, err
	}
	end = func() error { cancel(); return <-ended }
	rec, err := control.NewRegistry(cfg.StateDir).Find(d.ctx, d.mount, d.mount)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	d.daemon = control.NewClient(rec.Mount, rec.Socket)
	return end, nil
}

// keep waits for Ctrl-C.
func (d *demo) keep(stateDir string) {
	d.step("Yours to play with, until Ctrl-C")
	d.say("the folder: %s", d.mount)
	d.say("commands, in another terminal: duskfs status --state-dir %s", stateDir)
	d.say("the other side, as a colleague sees it: curl -k '%s/_emulator/tree'", d.server.GraphURL())
	<-d.ctx.Done()
}

// haveFUSE says what to install where there is no FUSE.
func haveFUSE() error {
	switch runtime.GOOS {
	case "linux":
		if _, err := os.Stat("/dev/fuse"); err != nil {
			return errors.New("FUSE is missing: install the package fuse3 (`sudo apt-get install fuse3`, `sudo dnf install fuse3`); in a container, start it with --device /dev/fuse --cap-add SYS_ADMIN")
		}
	case "darwin":
		if _, err := os.Stat("/Library/Filesystems/macfuse.fs"); err != nil {
			return errors.New("FUSE is missing: install macFUSE (`brew install --cask macfuse`), then allow its extension in System Settings")
		}
	}
	return nil
}

// step begins a step that people see.
func (d *demo) step(text string) {
	fmt.Fprintf(d.out, "\n%5.1fs  %s\n", time.Since(d.began).Seconds(), text)
}

// say tells what a step found.
func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "        "+format+"\n", args...) }
