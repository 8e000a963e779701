// Command duskfs mounts OneDrive and SharePoint libraries as a folder.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/duskfs/duskfs/cmd/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	work, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "duskfs: the working directory is gone:", err)
		os.Exit(1)
	}
	status := cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Work: work})
	stop()
	os.Exit(status)
}
