// Package cli is what people type: one file a command, each with its flags and its text and JSON
// output. A command parses, asks the daemon (package control) or starts one (package daemon), and
// prints.
//
// Data goes to standard output; progress, warnings and errors are for people and go to standard
// error. An error is one line that says what to do.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph"
)

// Exit statuses. They are a promise; see docs/CLI.md.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitInPart   = 3
	exitNoDaemon = 10
	exitSignIn   = 11
)

// Streams is the world of a command.
type Streams struct {
	In       io.Reader // where people answer; may be nil
	Out, Err io.Writer
	Environ  []string // as os.Environ gives it
	Work     string   // working directory, absolute
}

// Run runs the command that args (without the program's name) ask for, until it is done or ctx
// ends, and returns the exit status.
func Run(ctx context.Context, args []string, s Streams) int {
	a := &app{Streams: s, args: args}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted; nothing that was not sent is lost")
	}
	if err != nil {
		var quiet *outcome
		if !errors.As(err, &quiet) || quiet.err != nil {
			fmt.Fprintln(s.Err, "duskfs: "+visible(oneLine(err)))
		}
	}
	return statusOf(err)
}

// app is one run of the program: its world and the flags that all commands share.
type app struct {
	Streams
	args       []string // as typed
	configFile string
	json       bool
	flags      map[string]config.Flag // settings given as flags or arguments
	warned     bool                   // of secrets that others may read
}

func (a *app) root() *cobra.Command {
	a.flags = map[string]config.Flag{}
	c := &cobra.Command{
		Use:   "duskfs",
		Short: "OneDrive and SharePoint as a folder: work offline, send the changes when you say so",
		Long: `duskfs mounts OneDrive and SharePoint libraries as a folder. Changes stay on this machine until
a flush sends them: now, or at the end of the day.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part,
10 no mount is running, 11 sign-in needed.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
	}
	c.SetOut(a.Out)
	c.SetErr(a.Err)
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage("%v; see `%s --help`", err, c.CommandPath()) })
	f := c.PersistentFlags()
	f.StringVar(&a.configFile, "config", "", "configuration `FILE` instead of the default one, or a .env to read besides")
	a.setting(c, true, "state.dir", "state-dir", "DIR", "folder that keeps unsent work")
	a.setting(c, true, "log.level", "log-level", "LEVEL", "debug, info, warn or error")
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(a.demoCommand(), a.mountCommand(), a.unmountCommand(), a.statusCommand(), a.flushCommand(),
		a.refreshCommand(), a.drivesCommand(), a.emulatorCommand(), a.configCommand(), a.versionCommand(),
		a.mirrorCommand(), a.loginCommand(), a.logoutCommand(), a.whoamiCommand(), a.selftestCommand())
	c.AddCommand(a.diffCommand(), a.discardCommand(), a.conflictsCommand(), a.logCommand(), a.pauseCommand(), a.resumeCommand(), a.uploadCommand(), a.serviceCommand())
	c.AddCommand(a.doctorCommand(), a.exportPendingCommand(), a.probeCommand())
	c.InitDefaultHelpCmd()
	c.InitDefaultCompletionCmd()
	for _, sub := range c.Commands() {
		if sub.Name() == "completion" { // else a shell that it does not know would be no error
			sub.Args, sub.RunE = noArgs, func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
	c.Version = version()
	return c
}

// setting makes a flag that sets a key of the configuration.
func (a *app) setting(c *cobra.Command, everywhere bool, key, name, what, help string) {
	f := c.Flags()
	if everywhere {
		f = c.PersistentFlags()
	}
	v := &settingFlag{a: a, key: key, name: name, what: what}
	f.VarP(v, name, "", help)
	if what == "" {
		f.Lookup(name).NoOptDefVal = "true"
	}
}

// settingFlag puts what was given into the flags of the app.
type settingFlag struct {
	a               *app
	key, name, what string
}

func (v *settingFlag) String() string { return "" }
func (v *settingFlag) Set(s string) error {
	v.a.flags[v.key] = config.Flag{Value: s, Name: "--" + v.name}
	return nil
}
func (v *settingFlag) Type() string {
	if v.what == "" {
		return "bool"
	}
	return v.what
}

// jsonFlag adds --json to a command.
func (a *app) jsonFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.json, "json", false, "print JSON (see docs/CLI.md)")
}

// load loads the configuration.
func (a *app) load() (*config.Config, error) {
	return config.Load(config.Sources{File: a.configFile, Environ: a.Environ, Flags: a.flags, Work: a.Work})
}

// config loads the configuration, and warns of secrets in it that others may read.
func (a *app) config() (*config.Config, error) {
	c, err := a.load()
	if err == nil {
		a.warn(c)
	}
	return c, err
}

// warn says once which files with a secret others may read.
func (a *app) warn(c *config.Config) {
	if a.warned {
		return
	}
	a.warned = true
	for _, e := range c.Exposed() {
		fmt.Fprintf(a.Err, "duskfs: %s: %s; %s mends that\n", e.File, e.What(), e.Remedy())
	}
}

// scriptConfig is config for the commands that do the older scripts' jobs: they also read the .env of the
// working directory, unless that lies in a mount, where others can write.
func (a *app) scriptConfig() (*config.Config, error) {
	in, err := fusemount.Within(a.Work)
	c, cerr := config.Load(config.Sources{File: a.configFile, Environ: a.Environ, Flags: a.flags, Work: a.Work, WorkEnv: err == nil && !in})
	if cerr != nil {
		return nil, cerr
	}
	if c.Ignored() != "" {
		fmt.Fprintln(a.Err, "duskfs: "+c.Ignored())
	}
	a.warn(c)
	return c, nil
}

// daemon finds the mount that a path belongs to; an empty path means the one at hand.
func (a *app) daemon(ctx context.Context, path string) (*control.Client, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	if path != "" {
		path = a.abs(path)
	}
	rec, err := control.NewRegistry(cfg.StateDir).Find(ctx, path, resolved(a.Work))
	if err != nil {
		return nil, err
	}
	return control.NewClient(rec.Mount, rec.Socket), nil
}

// abs makes a path absolute and free of links as far as it exists: mountpoints are kept that way.
func (a *app) abs(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(a.Work, path)
	}
	return resolved(filepath.Clean(path))
}

// lexical makes a path absolute without looking at the disk: a dead mount cannot be looked at.
func (a *app) lexical(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(a.Work, path)
	}
	return filepath.Clean(path)
}

// resolved follows the links of the part of a path that exists.
func resolved(path string) string {
	for dir, rest := path, ""; ; {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return path
		}
		dir, rest = up, filepath.Join(filepath.Base(dir), rest)
	}
}

// printJSON writes one JSON value on a line of its own.
func (a *app) printJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.Out, string(b))
	return err
}

// onTerminal reports whether people watch standard error.
func (a *app) onTerminal() bool {
	f, ok := a.Err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// onScreen reports whether bars can be drawn on standard error: there are terminals that do not know their size.
func (a *app) onScreen() bool {
	f, ok := a.Err.(*os.File)
	if !ok || !a.onTerminal() {
		return false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return err == nil && width > 0 && height > 0
}

// outcome is the end of a command with a status of its own. Without err everything was said.
type outcome struct {
	status int
	err    error
}

func (o *outcome) Error() string {
	if o.err == nil {
		return fmt.Sprintf("exit status %d", o.status)
	}
	return o.err.Error()
}

func (o *outcome) Unwrap() error { return o.err }

func usage(format string, args ...any) error {
	return &outcome{exitUsage, fmt.Errorf(format, args...)}
}

// statusOf finds the exit status of an error.
func statusOf(err error) int {
	var o *outcome
	var bad *config.Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &o):
		return o.status
	case errors.As(err, &bad), errors.Is(err, control.ErrWhich):
		return exitUsage
	case errors.Is(err, control.ErrNoDaemon):
		return exitNoDaemon
	case errors.Is(err, graph.SignIn):
		return exitSignIn
	case strings.HasPrefix(err.Error(), "unknown command "):
		return exitUsage // cobra has no type for it
	}
	return exitFailed
}

func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.HasSubCommands() {
		return usage("there is no command %q; see `%s --help`", args[0], c.CommandPath())
	}
	return usage("%s takes no arguments; see `%s --help`", c.CommandPath(), c.CommandPath())
}

// atMost checks the number of arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("too many arguments; usage: %s", c.UseLine())
		}
		return nil
	}
}
