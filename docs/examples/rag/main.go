// Command rag feeds the change reports of duskfs mirror into a search index, and answers queries with what the
// asker may see.
//
//	duskfs mirror site:contoso.sharepoint.com:/sites/Engineering copy
//	rag feed copy/sync_logs
//	rag ask -as "Alice Example" -as "AI Team" bridge drawings
//
// "feed" applies the reports that are newer than the last one it applied, so it can run after each mirror
// (duskfs mirror … --on-change 'rag feed copy/sync_logs'). The names after -as are those of the asker and of the
// asker's groups, which only the directory knows: ask it in a real program.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rag:", err)
		os.Exit(1)
	}
}

// names is a flag that may be repeated.
type names []string

func (n *names) String() string     { return strings.Join(*n, ", ") }
func (n *names) Set(s string) error { *n = append(*n, s); return nil }

func run(args []string, out io.Writer) error {
	if len(args) == 0 || args[0] != "feed" && args[0] != "ask" {
		return errors.New("usage: rag feed [-index DIR] [-root DIR] LOGS | rag ask [-index DIR] -as NAME… WORDS…")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	at := flags.String("index", "rag.index", "folder of the index")
	root := flags.String("root", ".", "folder that the paths in the reports start from: where mirror was run")
	var as names
	flags.Var(&as, "as", "name of who asks, or of a group of theirs (repeated)")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	ix, err := Open(*at)
	if err != nil {
		return err
	}
	defer ix.Close()
	if args[0] == "feed" {
		n, err := ix.Feed(flags.Arg(0), *root)
		fmt.Fprintf(out, "%d reports applied\n", n)
		return err
	}
	hits, err := ix.Ask(strings.Join(flags.Args(), " "), as)
	for _, h := range hits {
		fmt.Fprintf(out, "%s\n    %s\n", h.Path, h.Fragment)
	}
	return err
}
