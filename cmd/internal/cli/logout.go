package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/graph/auth"
)

func (a *app) logoutCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "logout", Short: "Forget a person's sign-in", Args: noArgs,
		Long: `Removes the tokens of the person who is signed in from this machine. Unsent changes stay and are
sent after the next login as the same person.`,
		RunE: func(c *cobra.Command, _ []string) error { return a.logout(c.Context()) },
	}
	a.jsonFlag(c)
	return c
}

// loggedOut is what `logout --json` prints.
type loggedOut struct {
	SignedIn bool     `json:"was_signed_in"`
	Account  string   `json:"account"` // empty if nobody was signed in, or the file was damaged
	Unsent   int      `json:"unsent"`  // changes that wait for the next login
	Mounts   []string `json:"mounts"`  // still running
}

func (a *app) logout(ctx context.Context) error {
	p, err := a.person()
	if err != nil {
		return err
	}
	defer p.Close()
	out := loggedOut{Mounts: []string{}}
	var looked error
	account, err := p.SignedIn(ctx)
	if err == nil {
		out.Account = account.Identity.Name
		var mounts []string
		out.Unsent, mounts, looked = p.Unsent(ctx, account)
		out.Mounts = append(out.Mounts, mounts...)
	}
	if out.SignedIn, err = p.Logout(ctx); err != nil {
		return err
	}
	if looked != nil {
		fmt.Fprintf(a.Err, "unsent changes could not be counted, and are kept: %v\n", oneLine(looked))
	}
	if a.json {
		return a.printJSON(out)
	}
	return a.sayLoggedOut(out, account)
}

func (a *app) sayLoggedOut(out loggedOut, account auth.Account) error {
	text := "nobody was signed in\n"
	switch {
	case out.Account != "":
		text = fmt.Sprintf("%s is signed out\n", out.Account)
	case out.SignedIn:
		text = "the damaged sign-in is removed\n"
	}
	if out.Unsent > 0 {
		text += fmt.Sprintf("%s not sent yet; kept until %s signs in again\n", count(out.Unsent, "change"), account.Identity.Name)
	}
	if len(out.Mounts) > 0 {
		text += fmt.Sprintf("still mounted, with access until the token at hand ends: %s; `duskfs unmount` ends that now\n", strings.Join(out.Mounts, ", "))
	}
	_, err := fmt.Fprint(a.Out, text)
	return err
}
