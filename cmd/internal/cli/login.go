package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/daemon"
	"github.com/duskfs/duskfs/graph/auth"
)

func (a *app) loginCommand() *cobra.Command {
	var browser, device bool
	c := &cobra.Command{
		Use: "login", Short: "Sign in as a person", Args: noArgs,
		Long: `Signs you in: in a browser of this machine where there is one, else by a code that you type in a
browser of any machine. It is kept for this person and state folder until ` + "`duskfs logout`" + `; see docs/SIGNIN.md.

An application that signs in as itself (CLIENT_SECRET and the like) needs no login.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if browser && device {
				return usage("choose one of --browser and --device")
			}
			env := environ(a.Environ)
			return a.login(c.Context(), browser || !device && a.onTerminal() && hasDisplay(runtime.GOOS, env), env)
		},
	}
	c.Flags().BoolVar(&browser, "browser", false, "sign in in a browser of this machine ($BROWSER, else the usual one)")
	c.Flags().BoolVar(&device, "device", false, "sign in by a code, in a browser of any machine")
	a.setting(c, false, "read-only", "read-only", "", "ask for permission to read only")
	a.jsonFlag(c)
	return c
}

func (a *app) login(ctx context.Context, browser bool, env map[string]string) error {
	p, err := a.person()
	if err != nil {
		return err
	}
	defer p.Close()
	how := auth.Prompt{Device: func(code auth.Code) {
		fmt.Fprintf(a.Err, "open %s\nand type the code %s\n", code.URL, code.Code)
	}}
	if browser {
		how = auth.Prompt{Browser: func(address string) error { return a.openBrowser(env, address) }}
	}
	account, err := p.Login(ctx, how)
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; nobody was signed in")
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(daemon.WhoIs(account))
	}
	if account.Key == "file" {
		fmt.Fprintln(a.Err, "the key of the kept sign-in is in a file that only you can read, since no keychain is at hand")
	}
	_, err = fmt.Fprintf(a.Out, "signed in as %s in %s\n", account.Identity.Name, account.Identity.Tenant)
	return err
}

// person prepares the sign-in of a person.
func (a *app) person() (*daemon.Person, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	return daemon.NewPerson(cfg, version())
}

// hasDisplay reports whether a browser can show itself to whoever sits at the terminal.
func hasDisplay(goos string, env map[string]string) bool {
	if env["SSH_CONNECTION"] != "" && env["DISPLAY"] == "" {
		return false
	}
	return goos == "darwin" || env["DISPLAY"] != "" || env["WAYLAND_DISPLAY"] != ""
}

// openBrowser opens an address and does not wait for the browser's end.
func (a *app) openBrowser(env map[string]string, address string) error {
	fmt.Fprintf(a.Err, "sign in in the browser; if none opens, open this address on this machine:\n%s\n", address)
	words := browserCommand(runtime.GOOS, env, address)
	c := exec.Command(words[0], words[1:]...)
	c.Env = a.Environ
	if err := c.Start(); err != nil {
		return nil // the person reads the address
	}
	_ = c.Process.Release() // it outlives us
	return nil
}

// browserCommand is $BROWSER, a command in which %s stands for the address or which gets it as its last
// argument; without it what the platform has.
func browserCommand(goos string, env map[string]string, address string) []string {
	words := strings.Fields(env["BROWSER"])
	if len(words) == 0 {
		words = []string{"xdg-open"}
		if goos == "darwin" {
			words = []string{"open"}
		}
	}
	named := false
	for i, w := range words {
		if i > 0 && strings.Contains(w, "%s") {
			words[i], named = strings.ReplaceAll(w, "%s", address), true
		}
	}
	if !named {
		words = append(words, address)
	}
	return words
}

func environ(list []string) map[string]string {
	env := map[string]string{}
	for _, e := range list {
		if name, value, ok := strings.Cut(e, "="); ok {
			env[name] = value
		}
	}
	return env
}
