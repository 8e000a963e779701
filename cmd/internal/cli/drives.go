package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/daemon"
)

func (a *app) drivesCommand() *cobra.Command {
	var site string
	c := &cobra.Command{
		Use: "drives", Short: "List what can be mounted", Args: noArgs,
		Long: "Lists the drives that can be mounted, and the name to mount each by. No mount needs to run.",
		RunE: func(c *cobra.Command, _ []string) error { return a.drives(c.Context(), site) },
	}
	c.Flags().StringVar(&site, "site", "", "also list the libraries of the sites that match `QUERY`")
	a.jsonFlag(c)
	return c
}

func (a *app) drives(ctx context.Context, site string) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	account, err := daemon.Connect(cfg, version(), nil)
	if err != nil {
		return err
	}
	defer account.Close()
	list, err := account.Drives(ctx, site)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	w := tabwriter.NewWriter(a.Out, 0, 4, 2, ' ', 0)
	for _, d := range list {
		free := ""
		if d.Quota.Total > 0 {
			free = fmt.Sprintf("%s of %s used", size(d.Quota.Used), size(d.Quota.Total))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.Drive, d.Name, d.Type, free)
	}
	return w.Flush()
}
