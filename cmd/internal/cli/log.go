package cli

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/daemon"
	"github.com/duskfs/duskfs/flush"
)

// loggedByDefault is how many receipts `log` lists.
const loggedByDefault = 10

func (a *app) logCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "log [N|RECEIPT]", Short: "Show what flushes did", Args: atMost(1),
		Long: `Lists the receipts of the last N flushes, 10 if nothing is said and all with 0, newest first; or
prints all of one receipt. They are those of every account, uploads included. No mount need run.`,
		RunE: func(c *cobra.Command, args []string) error { return a.log(first(args)) },
	}
	a.jsonFlag(c)
	return c
}

func (a *app) log(what string) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(what); what == "" || err == nil && len(what) < 7 {
		if n < 0 {
			return usage("want a number of receipts, not %s", what)
		}
		if what == "" {
			n = loggedByDefault
		}
		return a.logList(cfg.StateDir, n)
	}
	r, file, err := daemon.Receipt(cfg.StateDir, what)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON([]flush.Receipt{r})
	}
	p := &printer{w: a.Out}
	p.line("%s", receipt(r))
	p.line("  file       %s", file)
	writeReceipt(p, r)
	return p.err
}

func (a *app) logList(stateDir string, max int) error {
	list, unreadable := daemon.Receipts(stateDir, max)
	if a.json {
		return errors.Join(a.printJSON(list), unreadable)
	}
	p := &printer{w: a.Out}
	if len(list) == 0 {
		p.line("nothing was sent yet")
	}
	for _, r := range list {
		p.line("%s", receipt(r))
	}
	return errors.Join(p.err, unreadable)
}

// receipt is a receipt in one line.
func receipt(x flush.Receipt) string {
	t := x.Totals
	text := fmt.Sprintf("%s  %s  %s: %s sent, %s", x.ID, x.Started.Local().Format("2006-01-02 15:04"), x.Name, count(t.Sent, "change"), size(t.Bytes))
	for _, part := range []struct {
		n    int
		what string
	}{{t.Deferred, "deferred"}, {t.Busy, "being written"}, {t.Guarded, "held back"}, {t.Conflicts, "in conflict"}, {t.Left, "left"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	return text + because(x.Error)
}

func writeReceipt(p *printer, x flush.Receipt) {
	p.line("  account    %s", x.Account)
	p.line("  drive      %s", x.Drive)
	p.line("  took       %s, %s of it waiting for the service; %s", milliseconds(x.Totals.Took), milliseconds(x.Totals.Throttled), trigger(x.Trigger))
	for _, i := range x.Items {
		text := fmt.Sprintf("  %-9s %-7s %s", i.Outcome, i.Op, i.Path)
		if i.From != "" && i.From != i.Path {
			text += " (from " + i.From + ")"
		}
		if i.Bytes > 0 {
			text += ", " + size(i.Bytes)
		}
		p.line("%s%s", text, because(i.Reason))
	}
	for _, path := range x.Guarded {
		p.line("  held back delete  %s", path)
	}
	for _, path := range x.Kept {
		p.line("  not sent delete   %s (flush.no-remote-delete)", path)
	}
	for _, path := range x.Emptied {
		p.line("  held back emptied %s", path)
	}
}

func trigger(t string) string {
	if t == "schedule" {
		return "started by itself"
	}
	return "started by a person"
}

func milliseconds(n int64) string {
	return (time.Duration(n) * time.Millisecond).Round(100 * time.Millisecond).String()
}
