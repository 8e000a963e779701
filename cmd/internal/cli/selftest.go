package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/daemon"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest/suite"
	"github.com/duskfs/duskfs/graph/rest"
)

func (a *app) selftestCommand() *cobra.Command {
	var out string
	var only []string
	c := &cobra.Command{
		Use: "selftest DRIVE:FOLDER", Short: "Try on a real drive whether the service does what duskfs relies on",
		Long: `Works for some minutes in a folder of a real drive: makes, changes, moves and deletes files of its
own there, the largest of 25 MiB, and compares what the service does with what duskfs relies on. FOLDER is a
path in the drive; it must be empty or not exist, and is left as it was. Nothing else in the drive is changed.

Writes a transcript that can be sent in: without tokens, addresses and names, ids shortened.

Exit status: 0 all held, 1 something did not, 2 wrong usage or FOLDER has content, 11 sign-in needed.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("name one folder: `duskfs selftest DRIVE:FOLDER`, such as me:Selftest")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			spec, folder, err := parsePlace(args[0])
			if err != nil {
				return err
			}
			return a.selftest(c.Context(), spec, folder, out, only)
		},
	}
	c.Flags().StringVar(&out, "out", "", "`FILE` for the transcript; default: duskfs-selftest-TIME.txt in the working directory")
	c.Flags().StringArrayVar(&only, "only", nil, "run the behaviour of this `NAME` only; may be repeated")
	a.jsonFlag(c)
	return c
}

// parsePlace takes DRIVE:FOLDER apart at the last colon.
func parsePlace(text string) (rest.Spec, []string, error) {
	at := strings.LastIndex(text, ":")
	if at < 0 {
		return rest.Spec{}, nil, usage("%q names no folder: write DRIVE:FOLDER, such as me:Selftest", text)
	}
	spec, err := rest.ParseSpec(text[:at])
	if err != nil {
		return spec, nil, usage("%v", err)
	}
	var folder []string
	for _, name := range strings.Split(text[at+1:], "/") {
		if name == "." || name == ".." {
			return spec, nil, usage("%q: a folder is named by its path from the top of the drive", text)
		}
		if name != "" {
			folder = append(folder, name)
		}
	}
	if len(folder) == 0 {
		return spec, nil, usage("%q names no folder: the top of a drive is no place to try things", text)
	}
	return spec, folder, nil
}

// selftested is what `selftest --json` prints.
type selftested struct {
	Held       int            `json:"held"`
	Failed     int            `json:"failed"`
	Skipped    int            `json:"skipped"`
	Results    []suite.Result `json:"results"`
	Transcript string         `json:"transcript"`
}

func (a *app) selftest(ctx context.Context, spec rest.Spec, folder []string, out string, only []string) (err error) {
	for _, n := range only {
		if !contains(suite.Names(), n) {
			return usage("there is no behaviour %q; they are: %s", n, strings.Join(suite.Names(), "; "))
		}
	}
	cfg, err := a.config()
	if err != nil {
		return err
	}
	var requests bytes.Buffer
	account, err := daemon.Connect(cfg, version(), slog.New(slog.NewTextHandler(&requests, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		return err
	}
	defer account.Close()
	drive, service, err := account.Service(ctx, spec)
	if err != nil {
		return err
	}
	scratch, made, err := scratchFolder(ctx, service, folder)
	if err != nil {
		return err
	}
	if made {
		defer func() {
			// Given up or not, the drive is left as it was.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			if derr := service.Delete(ctx, scratch, ""); derr != nil && !errors.Is(derr, graph.NotExist) {
				err = errors.Join(err, fmt.Errorf("the folder %s could not be removed: %w", strings.Join(folder, "/"), derr))
			}
		}()
	}
	file, path, err := a.openTranscript(out)
	if err != nil {
		return err
	}
	requests.Reset() // what was asked to get here names people and places
	began := time.Now()
	results := suite.Collect(ctx, a.tellResult, func(t suite.T) {
		suite.Run(t, suite.Options{Service: service, Folder: scratch, Only: only})
	})
	done := sumUp(results, path)
	werr := writeTranscript(file, transcript{cfg: cfg, drive: drive, began: began, done: done, requests: requests.String()})
	if werr = errors.Join(werr, file.Close()); werr != nil {
		return fmt.Errorf("write the transcript: %w", werr)
	}
	return a.saySelftest(ctx, done)
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// scratchFolder finds the folder to work in, or makes it. Those above it must exist.
func scratchFolder(ctx context.Context, s graph.Service, path []string) (id graph.ItemID, made bool, err error) {
	at, err := s.Root(ctx)
	if err != nil {
		return "", false, err
	}
	for i, name := range path {
		next, err := s.Child(ctx, at.ID, name)
		switch {
		case errors.Is(err, graph.NotExist) && i == len(path)-1:
			next, err := s.Mkdir(ctx, at.ID, name)
			return next.ID, err == nil, err
		case errors.Is(err, graph.NotExist):
			return "", false, fmt.Errorf("there is no folder %s in the drive: make it first", strings.Join(path[:i+1], "/"))
		case err != nil:
			return "", false, err
		case next.Type != graph.Folder:
			return "", false, usage("%s is no folder", strings.Join(path[:i+1], "/"))
		}
		at = next
	}
	for _, err := range s.Children(ctx, at.ID) {
		if err != nil {
			return "", false, err
		}
		return "", false, usage("the folder %s has content: name an empty one, or one that does not exist", strings.Join(path, "/"))
	}
	return at.ID, false, nil
}

// openTranscript makes the file for the transcript, which only its owner can read.
func (a *app) openTranscript(out string) (*os.File, string, error) {
	if out == "" {
		out = "duskfs-selftest-" + time.Now().Format("20060102-150405") + ".txt"
	}
	if !filepath.IsAbs(out) {
		out = filepath.Join(a.Work, out)
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, "", usage("%s exists: name another file with --out", out)
	}
	return f, out, err
}

func (a *app) tellResult(r suite.Result) {
	fmt.Fprintf(a.Err, "%-8s %s\n", r.Outcome, r.Name)
	if r.Outcome != suite.Held {
		for _, n := range r.Notes {
			fmt.Fprintf(a.Err, "         %s\n", redacted(n))
		}
	}
}

func sumUp(results []suite.Result, transcript string) selftested {
	done := selftested{Results: results, Transcript: transcript}
	for i, r := range results {
		for j, n := range r.Notes {
			done.Results[i].Notes[j] = redacted(n)
		}
		switch r.Outcome {
		case suite.Held:
			done.Held++
		case suite.Skipped:
			done.Skipped++
		default:
			done.Failed++
		}
	}
	return done
}

func (a *app) saySelftest(ctx context.Context, done selftested) error {
	var err error
	if a.json {
		err = a.printJSON(done)
	} else {
		_, err = fmt.Fprintf(a.Out, "%d held, %d failed, %d skipped\ntranscript: %s\n", done.Held, done.Failed, done.Skipped, done.Transcript)
	}
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return errors.New("interrupted; the folder is left as it was")
	case done.Failed > 0 || done.Held == 0:
		return &outcome{status: exitFailed}
	}
	return nil
}

// transcript is what the file tells.
type transcript struct {
	cfg      *config.Config
	drive    graph.Drive
	began    time.Time
	done     selftested
	requests string
}

func writeTranscript(w io.Writer, t transcript) error {
	var b strings.Builder
	service := "another host"
	if u, err := url.Parse(t.cfg.GraphURL); err == nil && (strings.HasSuffix(u.Host, ".microsoft.com") || strings.HasSuffix(u.Host, ".microsoft.us") || strings.HasSuffix(u.Host, ".chinacloudapi.cn")) {
		service = u.Host
	}
	fmt.Fprintf(&b, "duskfs selftest\nversion   %s, %s/%s\nservice   %s\ndrive     %s\nbegan     %s\ntook      %s\nresult    %d held, %d failed, %d skipped\n\n",
		version(), runtime.GOOS, runtime.GOARCH, service, t.drive.Type, t.began.UTC().Format(time.RFC3339), time.Since(t.began).Round(time.Second),
		t.done.Held, t.done.Failed, t.done.Skipped)
	for _, r := range t.done.Results {
		fmt.Fprintf(&b, "%-8s %8s  %s\n", r.Outcome, r.Took.Round(time.Millisecond), r.Name)
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "                   %s\n", n)
		}
	}
	b.WriteString("\nrequests\n" + redacted(t.requests))
	_, err := io.WriteString(w, b.String())
	return err
}

// The order counts: what an address holds goes with it.
var (
	addresses = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s"]*`)
	mailNames = regexp.MustCompile(`[^\s"/=:]+@[^\s"/=:]+`)
	longWords = regexp.MustCompile(`[A-Za-z0-9!_.~%+-]{16,}`)
)

// redacted takes addresses and names of people out of a text, and shortens ids and whatever else could be
// a credential.
func redacted(text string) string {
	text = addresses.ReplaceAllString(text, "(address)")
	text = mailNames.ReplaceAllString(text, "(person)")
	return longWords.ReplaceAllStringFunc(text, func(w string) string {
		if len(w) < 24 && !strings.ContainsAny(w, "0123456789") {
			return w
		}
		return w[:4] + "…"
	})
}
