package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/fs/fusemount"
)

func (a *app) unmountCommand() *cobra.Command {
	var send bool
	c := &cobra.Command{
		Use: "unmount [MOUNTPOINT]", Aliases: []string{"umount"}, Short: "End a mount; unsent changes are kept", Args: atMost(1),
		Long: `Ends a mount, and says what was not sent: that is kept and is there again at the next mount. Programs
that use the mount are named and waited for, and after ten seconds it is detached from them. A
mount whose daemon was killed is cleared. With flush.on-unmount changes are sent first, and the mount
ends whether that succeeds or not; while paused, only --flush sends. A read-only mount sends nothing.

Exit status: 0 it is unmounted, 1 failed, 2 wrong usage, 3 or 11 with --flush, if that ended so; then it
stays mounted. 10 no mount is running.`,
		RunE: func(c *cobra.Command, args []string) error { return a.unmount(c.Context(), first(args), send) },
	}
	c.Flags().BoolVar(&send, "flush", false, "send all changes first; the mount stays if that fails")
	a.jsonFlag(c)
	return c
}

func (a *app) unmount(ctx context.Context, path string, send bool) error {
	err := a.unmountLive(ctx, path, send)
	if !errors.Is(err, control.ErrNoDaemon) || path == "" {
		return err
	}
	switch cleared, cerr := fusemount.Clear(a.lexical(path)); {
	case cerr != nil:
		return cerr
	case cleared:
		if a.json {
			return a.printJSON(unmounted{Mount: a.lexical(path), Cleared: true})
		}
		fmt.Fprintf(a.Err, "cleared what a daemon that was killed had left at %s\n", path)
		return nil
	}
	return err
}

// unmountLive ends a mount that has a daemon.
func (a *app) unmountLive(ctx context.Context, path string, send bool) error {
	d, err := a.daemon(ctx, path)
	if err != nil {
		return err
	}
	if path != "" && a.abs(path) != d.Mount() {
		return usage("%s is no mountpoint; it lies in the mount at %s", path, d.Mount())
	}
	before, err := d.Status(ctx)
	if err != nil {
		return err
	}
	switch {
	case before.Flush.ReadOnly:
	case send:
		if err := a.flush(ctx, d, control.FlushRequest{}); err != nil {
			fmt.Fprintf(a.Err, "%s stays mounted, since not everything was sent\n", d.Mount())
			return err
		}
		if before, err = d.Status(ctx); err != nil {
			return err
		}
	case !before.Flush.OnUnmount || before.Pending.Items == 0:
	case before.Flush.Paused:
		fmt.Fprintln(a.Err, "not sent: paused until `duskfs resume`; `duskfs unmount --flush` sends all the same")
	default:
		var told *outcome
		if err := a.flush(ctx, d, control.FlushRequest{}); err != nil && (!errors.As(err, &told) || told.err != nil) {
			fmt.Fprintf(a.Err, "not everything was sent: %s\n", oneLine(err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if before, err = d.Status(ctx); err != nil {
			return err
		}
	}
	if a.awaitHolders(ctx, d.Mount()) { // who may have written meanwhile
		if ctx.Err() != nil {
			fmt.Fprintf(a.Err, "%s stays mounted\n", d.Mount())
			return ctx.Err()
		}
		if before, err = d.Status(ctx); err != nil {
			return err
		}
	}
	if err := d.Unmount(ctx); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(unmounted{Mount: d.Mount(), Pending: &before.Pending})
	}
	if p := before.Pending; p.Items > 0 {
		fmt.Fprintf(a.Err, "%s, %s, not sent: kept for the next mount\n", count(p.Items, "change"), size(p.Bytes))
	} else if before.Doubt != "" {
		fmt.Fprintln(a.Err, "the state is damaged: what is unsent is kept, and `duskfs status` tells of it at the next mount")
	}
	return nil
}

// unmounted is what `duskfs unmount --json` prints.
type unmounted struct {
	Mount   string `json:"mount"`
	Cleared bool   `json:"cleared"` // its daemon was killed, and what it left is taken away
	// Pending is what was not sent; null for a mount that was cleared, which knows nothing.
	Pending *control.Pending `json:"pending"`
}
