package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/daemon"
	"github.com/duskfs/duskfs/graph/auth"
)

func (a *app) whoamiCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "whoami", Short: "Show who is signed in, how, and with which permissions", Args: noArgs,
		Long: `Shows the account, how it signs in, and what its token allows. A token is renewed if it has to be.

Exit status: 0 signed in, 1 the service is out of reach, 11 sign-in needed.`,
		RunE: func(c *cobra.Command, _ []string) error { return a.whoami(c.Context()) },
	}
	a.setting(c, false, "read-only", "read-only", "", "ask for a token that can read only")
	a.jsonFlag(c)
	return c
}

func (a *app) whoami(ctx context.Context) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	account, err := daemon.Connect(cfg, version(), nil)
	if err != nil {
		return err
	}
	defer account.Close()
	who, failed := account.Whoami(ctx)
	if who.Kind == string(auth.Person) {
		if err := a.addPerson(ctx, &who); err != nil && failed == nil {
			return err
		}
	}
	if a.json {
		err = a.printJSON(who)
	} else {
		err = a.writeWho(who)
	}
	return errors.Join(failed, err)
}

// addPerson adds what is kept of a person's sign-in.
func (a *app) addPerson(ctx context.Context, who *daemon.Who) error {
	p, err := a.person()
	if err != nil {
		return err
	}
	defer p.Close()
	kept, err := p.SignedIn(ctx)
	if err != nil {
		return err
	}
	more := daemon.WhoIs(kept)
	who.How, who.Since, who.Key = more.How, more.Since, more.Key
	if len(who.Scopes) == 0 {
		who.Scopes = more.Scopes
	}
	return nil
}

func (a *app) writeWho(who daemon.Who) error {
	w := tabwriter.NewWriter(a.Out, 0, 4, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
	row("account", who.Account)
	row("tenant", who.Tenant)
	row("service", who.Cloud)
	kind := who.Kind
	if who.How != "" {
		kind += fmt.Sprintf(", by %s, %s", who.How, ago(who.Since))
	}
	row("sign-in", kind)
	if who.Key != "" {
		row("key kept in", who.Key)
	}
	row("permissions", strings.Join(who.Scopes, " "))
	state := who.State
	if who.Expires != nil {
		state += ", token ends " + ago(who.Expires)
	}
	row("state", state)
	return w.Flush()
}
