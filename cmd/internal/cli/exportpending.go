package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/daemon"
)

func (a *app) exportPendingCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "export-pending FOLDER", Short: "Copy all unsent work out, without network, mount or sign-in",
		Long: `Copies the bytes of every file that is not sent yet into FOLDER, under its drive and by its path.
It needs no network, no mount and no sign-in, and works where the state is damaged. Nothing in FOLDER
is replaced, and nothing is removed from the state: a later flush sends it all the same. What cannot
be placed goes into FOLDER/…/recovered. Renames and deletions that are not sent have no bytes and are
not in it. While a mount runs, a file that is being written to may be copied in the midst of it.

Exit status: 0 done, also if nothing is unsent; 1 something could not be copied.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("name the folder to copy to: `duskfs export-pending FOLDER`")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return a.exportPending(c.Context(), args[0]) },
	}
	a.jsonFlag(c)
	return c
}

func (a *app) exportPending(ctx context.Context, folder string) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	list, err := daemon.ExportPending(ctx, cfg.StateDir, a.abs(folder))
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(list)
	} else {
		err = a.writeExported(list)
	}
	for _, e := range list {
		if err == nil && e.Error != "" {
			err = &outcome{status: exitFailed}
		}
	}
	return err
}

func (a *app) writeExported(list []daemon.Exported) error {
	p := &printer{w: a.Out}
	bytes, done := int64(0), 0
	for _, e := range list {
		if e.Error != "" {
			fmt.Fprintf(a.Err, "not copied: %s: %s\n", e.Path, e.Error)
			continue
		}
		done++
		bytes += e.Size
		note := ""
		if e.Already {
			note = ", there already"
		}
		p.line("%s (%s%s)", e.File, size(e.Size), note)
	}
	if len(list) == 0 {
		p.line("nothing is unsent that has bytes")
	} else {
		fmt.Fprintf(a.Err, "%s, %s\n", count(done, "file"), size(bytes))
	}
	return p.err
}
