package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/flush/schedule"
)

// serviceKinds are the commands that a service manager can run.
var serviceKinds = []string{"upload", "mirror", "mount"}

func (a *app) serviceCommand() *cobra.Command {
	c := &cobra.Command{Use: "service", Short: "Have the system run a nightly upload or mirror, or a mount at login", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	install := &cobra.Command{Use: "install", Short: "Install a job: what the command would do now, at a time of day or at login", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	remove := &cobra.Command{Use: "remove", Short: "Remove a job", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	for _, of := range []*cobra.Command{a.uploadCommand(), a.mirrorCommand(), a.mountCommand()} {
		install.AddCommand(a.serviceInstall(of))
	}
	for _, kind := range serviceKinds {
		remove.AddCommand(a.serviceRemove(kind))
	}
	c.AddCommand(install, remove)
	return c
}

// manager is what runs jobs: "launchd", "systemd" or "cron".
type manager string

func managerFlag(c *cobra.Command, name, which *string) {
	c.Flags().StringVar(name, "name", "", "`NAME` that tells several jobs of a kind apart")
	c.Flags().StringVar(which, "manager", "", "launchd, systemd or cron; default: what this machine has")
}

func managerNamed(s string) (manager, error) {
	switch m := manager(s); m {
	case "launchd", "systemd", "cron":
		return m, nil
	case "":
		if runtime.GOOS == "darwin" {
			return "launchd", nil
		}
		if _, err := os.Stat("/run/systemd/system"); err == nil {
			return "systemd", nil
		}
		return "cron", nil
	}
	return "", usage("--manager: want launchd, systemd or cron, not %q", s)
}

func checkJobName(name string) error {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return usage("--name: want letters, digits and _ only, not %q", name)
	}
	return nil
}

// serviceInstall makes of a command the one that installs it as a job: it takes the same arguments and flags.
func (a *app) serviceInstall(c *cobra.Command) *cobra.Command {
	kind := c.Name()
	var at, name, which string
	var only bool
	c.Short = "Run `duskfs " + kind + "` with these arguments"
	c.Long = "Has launchd, systemd or cron run `duskfs " + kind + "` with the arguments and flags given here, in this working directory: a .env\n" +
		"there is found as it is now. Settings that come from variables are written into the job; a secret is not: it must be\n" +
		"in the configuration file or in a .env. An installed job of the same name is replaced.\n\n"
	if kind == "mount" {
		c.Long += "The mount is made at login, and again if it fails."
		c.Flags().StringVar(&at, "at", "", "send changes at these `TIMES` of day, such as 18:00 (the same as --flush-at)")
	} else {
		c.Long += "A time that was missed, since the machine slept or was off, is made up for by launchd (sleep) and systemd (both), not by cron."
		c.Flags().StringVar(&at, "at", "", "`TIMES` of day, such as 18:00, or mon-fri 12:30, 18:00")
	}
	managerFlag(c, &name, &which)
	c.Flags().BoolVar(&only, "print", false, "print the files of the job and change nothing")
	c.RunE = func(c *cobra.Command, args []string) error {
		m, err := managerNamed(which)
		if err == nil {
			err = checkJobName(name)
		}
		if err != nil {
			return err
		}
		u, err := a.unitOf(c, kind, name, at, args)
		if err != nil {
			return err
		}
		files, err := u.files(m, a.environ())
		if err != nil {
			return err
		}
		if only {
			for _, f := range files {
				fmt.Fprint(a.Out, f.text)
			}
			return nil
		}
		return a.install(c.Context(), m, u, files)
	}
	return c
}

// unitOf makes the job that runs a command as it was typed, without what is about the job itself.
func (a *app) unitOf(c *cobra.Command, kind, name, at string, args []string) (unit, error) {
	cfg, err := a.scriptConfig()
	if err != nil {
		return unit{}, err
	}
	rule, err := schedule.Parse(at)
	if err != nil {
		return unit{}, usage("--at: %v", err)
	}
	u := unit{Kind: kind, Name: name, Work: a.Work, At: rule.String(), Moments: rule.Moments(), Stays: kind == "mount"}
	u.Log = filepath.Join(cfg.StateDir, "log", u.Label()+".log")
	self, err := os.Executable()
	if err != nil {
		return unit{}, fmt.Errorf("find the program itself: %w", err)
	}
	u.Command = append([]string{self, kind}, args...)
	c.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "at", "name", "manager", "print", "scheduled", "background", "detached", "dry-run":
			return
		case "watch":
			u.Stays = true
		}
		for _, v := range flagValues(f) {
			u.Command = append(u.Command, "--"+f.Name+"="+v)
		}
	})
	switch {
	case kind == "mount":
		if u.Moments = nil; !rule.Zero() {
			u.Command = append(u.Command, "--flush-at="+at)
		}
	case u.Stays && !rule.Zero():
		return unit{}, usage("--watch stays and needs no --at")
	case !u.Stays && rule.Zero():
		return unit{}, usage("say at which times of day: --at 18:00")
	case kind == "upload":
		u.Command = append(u.Command, "--scheduled")
	}
	u.Environ, err = a.jobEnviron(cfg)
	return u, err
}

// flagValues returns what a flag was given, as often as it was.
func flagValues(f *pflag.Flag) []string {
	if s, ok := f.Value.(*settingFlag); ok {
		return []string{s.a.flags[s.key].Value}
	}
	if s, ok := f.Value.(pflag.SliceValue); ok {
		return s.GetSlice()
	}
	return []string{f.Value.String()}
}

func (a *app) environ() map[string]string {
	env := map[string]string{}
	for _, e := range a.Environ {
		if name, value, ok := strings.Cut(e, "="); ok {
			env[name] = value
		}
	}
	return env
}

// jobEnviron lists the variables that a job needs, since a service manager has none of a shell's.
func (a *app) jobEnviron(cfg *config.Config) ([]variable, error) {
	env := a.environ()
	var list []variable
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME"} {
		if env[name] != "" {
			list = append(list, variable{name, env[name]})
		}
	}
	for _, v := range cfg.Values() {
		name, ok := strings.CutPrefix(v.Source, "variable ")
		if !ok {
			continue
		}
		if v.Secret {
			return nil, usage("%s is set by the variable %s, which a job does not have and which is not written into one: put it into config.yaml or a .env that only you can read", v.Key, name)
		}
		list = append(list, variable{name, env[name]})
	}
	return list, nil
}

// unitFile is a file of a job.
type unitFile struct{ path, text string }

// files renders what a manager needs of a job. For cron it is what goes into the crontab, without a path.
func (u unit) files(m manager, env map[string]string) ([]unitFile, error) {
	var list []unitFile
	for _, f := range u.paths(m, env) {
		text, err := u.render(f.text)
		if err != nil {
			return nil, err
		}
		list = append(list, unitFile{f.path, text})
	}
	return list, nil
}

// paths lists the files of a job, with the names of their templates for texts.
func (u unit) paths(m manager, env map[string]string) []unitFile {
	switch m {
	case "launchd":
		return []unitFile{{filepath.Join(env["HOME"], "Library", "LaunchAgents", u.Label()+".plist"), "launchd.plist"}}
	case "cron":
		return []unitFile{{"", "crontab"}}
	}
	dir := filepath.Join(env["HOME"], ".config")
	if x := env["XDG_CONFIG_HOME"]; filepath.IsAbs(x) {
		dir = x
	}
	dir = filepath.Join(dir, "systemd", "user")
	list := []unitFile{{filepath.Join(dir, u.Label()+".service"), "systemd.service"}}
	if !u.Stays {
		list = append(list, unitFile{filepath.Join(dir, u.Label()+".timer"), "systemd.timer"})
	}
	return list
}

// install writes the files of a job and starts it.
func (a *app) install(ctx context.Context, m manager, u unit, files []unitFile) error {
	if err := os.MkdirAll(filepath.Dir(u.Log), 0o700); err != nil {
		return fmt.Errorf("make the folder of logs: %w", err)
	}
	if m == "cron" {
		if err := a.editCrontab(ctx, u.Label(), files[0].text); err != nil {
			return err
		}
		return a.sayInstalled(u, "in your crontab")
	}
	var where []string
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
			return fmt.Errorf("install the job: %w", err)
		}
		if err := os.WriteFile(f.path+".new", []byte(f.text), 0o600); err != nil {
			return fmt.Errorf("install the job: %w", err)
		}
		if err := os.Rename(f.path+".new", f.path); err != nil {
			return fmt.Errorf("install the job: %w", err)
		}
		where = append(where, f.path)
	}
	var err error
	if m == "launchd" {
		domain := fmt.Sprintf("gui/%d", os.Getuid())
		_, _ = a.command(ctx, nil, "launchctl", "bootout", domain+"/"+u.Label()) // there may be none
		_, err = a.command(ctx, nil, "launchctl", "bootstrap", domain, files[0].path)
	} else {
		starts := u.Label() + ".timer"
		if u.Stays {
			starts = u.Label() + ".service"
		}
		for _, args := range [][]string{{"daemon-reload"}, {"enable", starts}, {"restart", starts}} {
			if err == nil {
				_, err = a.command(ctx, nil, "systemctl", append([]string{"--user"}, args...)...)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("the job is written to %s, but could not be started: %w", strings.Join(where, " and "), err)
	}
	if m == "systemd" {
		fmt.Fprintln(a.Err, "a job of systemd runs while you are logged in; `loginctl enable-linger` lets it run otherwise too")
	}
	return a.sayInstalled(u, strings.Join(where, " and "))
}

func (a *app) sayInstalled(u unit, where string) error {
	when := "at " + u.At
	if u.Stays {
		when = "at login"
	}
	_, err := fmt.Fprintf(a.Out, "%s runs %s: %s\n", u.Label(), when, where)
	return err
}

// command runs a program of the system and returns what it prints.
func (a *app) command(ctx context.Context, in []byte, name string, args ...string) (string, error) {
	bin := name
	for _, dir := range filepath.SplitList(a.environ()["PATH"]) {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode()&0o111 != 0 && !st.IsDir() {
			bin = filepath.Join(dir, name)
			break
		}
	}
	c := exec.CommandContext(ctx, bin, args...)
	var out, bad bytes.Buffer
	c.Env, c.Stdin, c.Stdout, c.Stderr = a.Environ, bytes.NewReader(in), &out, &bad
	if err := c.Run(); err != nil {
		said := strings.TrimSpace(bad.String())
		if said != "" {
			said = ": " + said
		}
		return out.String(), fmt.Errorf("%s %s: %w%s", name, strings.Join(args, " "), err, said)
	}
	return out.String(), nil
}

// editCrontab puts a block into the crontab in place of the one with the same label; an empty block removes it.
func (a *app) editCrontab(ctx context.Context, label, block string) error {
	old, err := a.command(ctx, nil, "crontab", "-l")
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no crontab on this machine; --print shows what would go into it")
	}
	// The program fails for who has no crontab yet, in words of its own.
	rest, had := withoutBlock(old, label)
	if block == "" && !had {
		return fmt.Errorf("there is no job %s in your crontab", label)
	}
	if rest != "" && !strings.HasSuffix(rest, "\n") {
		rest += "\n"
	}
	_, err = a.command(ctx, []byte(rest+block), "crontab", "-")
	return err
}

// withoutBlock takes the lines of a job out of a crontab.
func withoutBlock(text, label string) (rest string, had bool) {
	inside := false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "# begin "+label+":"):
			inside, had = true, true
		case inside && trimmed == "# end "+label:
			inside = false
		case !inside:
			rest += line
		}
	}
	return rest, had
}

func (a *app) serviceRemove(kind string) *cobra.Command {
	var name, which string
	c := &cobra.Command{Use: kind, Short: "Remove the job that runs `duskfs " + kind + "`", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := managerNamed(which)
			if err == nil {
				err = checkJobName(name)
			}
			if err != nil {
				return err
			}
			return a.serviceGone(c.Context(), m, unit{Kind: kind, Name: name})
		},
	}
	managerFlag(c, &name, &which)
	a.jsonFlag(c)
	return c
}

func (a *app) serviceGone(ctx context.Context, m manager, u unit) error {
	if m == "cron" {
		if err := a.editCrontab(ctx, u.Label(), ""); err != nil {
			return err
		}
		return a.saysGone(u)
	}
	removed := false
	var stop error
	for _, f := range u.paths(m, a.environ()) {
		if _, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if m == "launchd" {
			_, stop = a.command(ctx, nil, "launchctl", "bootout", fmt.Sprintf("gui/%d/%s", os.Getuid(), u.Label()))
		} else if _, err := a.command(ctx, nil, "systemctl", "--user", "disable", "--now", filepath.Base(f.path)); err != nil {
			stop = err
		}
		if err := os.Remove(f.path); err != nil {
			return fmt.Errorf("remove the job: %w", err)
		}
		removed = true
	}
	if !removed {
		return fmt.Errorf("there is no job %s", u.Label())
	}
	if m == "systemd" {
		_, err := a.command(ctx, nil, "systemctl", "--user", "daemon-reload")
		stop = errors.Join(stop, err)
	}
	if stop != nil {
		return fmt.Errorf("the files of %s are gone, but it could not be stopped: %w", u.Label(), stop)
	}
	return a.saysGone(u)
}

func (a *app) saysGone(u unit) error {
	if a.json {
		return a.printJSON(map[string]string{"removed": u.Label()})
	}
	_, err := fmt.Fprintln(a.Out, u.Label()+" is removed")
	return err
}
