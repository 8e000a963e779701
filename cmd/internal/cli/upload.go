package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/cmd/internal/daemon"
	"github.com/duskfs/duskfs/flush/upload"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph"
)

// codeFolders are those that the upload script left out.
var codeFolders = []string{".terragrunt-cache/", "node_modules/", ".git/", "__pycache__/", ".terraform/"}

func (a *app) uploadCommand() *cobra.Command {
	var r control.UploadRequest
	var f filter
	var links string
	var noCode bool
	c := &cobra.Command{
		Use: "upload [FOLDER] [DRIVE:PATH]", Short: "Bring a plain folder to a drive: what is new or changed",
		Long: `Brings FOLDER to PATH/NAME in a drive, NAME being the folder's own; folders are made as needed, empty ones too.
PATH may be empty ("me:"); it is what follows the last colon. What is there already is not sent: a file that has not
changed since the last upload is not even read, and on a first upload to a place that has content hashes are compared.
Without arguments folder and place come from UPLOAD_FOLDER and ONEDRIVE_UPLOAD_PATH, from the environment or a .env in
the working directory, or from upload.folder, upload.drive and upload.path of the configuration.

Nothing is deleted there without --delete, and then only what an upload has brought there and FOLDER has no more. A file
that both sides changed is treated as "conflicts" says: keep-both leaves theirs and sends yours as a copy beside it.
An upload that was broken off, by whatever, is gone on with by the next. If a mount of the same account runs, its daemon
does the work.

Exit status: 0 everything is there, 1 failed (offline, folder empty, too little room), 2 wrong usage, 3 done in part:
something was refused, deferred, changed while it was read, met a conflict, was held back or left by a limit,
11 sign-in needed.`,
		Args: atMost(2),
		RunE: func(c *cobra.Command, args []string) error {
			r.Include, r.Exclude = f.include, f.exclude
			if noCode {
				r.Exclude = append(append([]string{}, codeFolders...), r.Exclude...)
			}
			switch links {
			case "skip":
			case "follow":
				r.Follow = true
			default:
				return usage("--links: want skip or follow, not %q", links)
			}
			if _, err := pick(r.Include, r.Exclude); err != nil {
				return err
			}
			return a.upload(c.Context(), args, r)
		},
	}
	flags := c.Flags()
	f.patternFlags(flags)
	flags.BoolVar(&noCode, "exclude-code", false, "leave out what the upload script did: .terragrunt-cache, node_modules, .git, __pycache__, .terraform")
	flags.BoolVar(&r.Contents, "contents", false, "put what is in FOLDER into PATH, not FOLDER itself")
	flags.StringVar(&links, "links", "skip", "symbolic links: `skip` them, or follow them and send what they lead to")
	flags.BoolVar(&r.Delete, "delete", false, "delete there what was uploaded earlier and is not in FOLDER any more")
	flags.BoolVar(&r.ConfirmDeletes, "confirm-deletes", false, "delete even if it is very many")
	flags.BoolVar(&r.AllowEmpty, "allow-empty", false, "go on though FOLDER is empty, or has nothing of what was uploaded from it earlier")
	flags.BoolVar(&r.DryRun, "dry-run", false, "say what would be sent, and send nothing")
	flags.BoolVar(&r.Scheduled, "scheduled", false, "")
	_ = flags.MarkHidden("scheduled") // it exists: the line above made it
	a.setting(c, false, "conflicts", "conflicts", "POLICY", "keep-both, mine or theirs: what becomes of a file that both sides changed")
	a.setting(c, false, "flush.bandwidth", "bandwidth", "RATE", "bytes a second, such as 2MB, or a timetable")
	a.setting(c, false, "flush.deadline", "deadline", "TIMES", "times of day at which it stops, such as 07:30")
	a.setting(c, false, "flush.max-duration", "max-duration", "TIME", "how long it may take, such as 2h")
	a.setting(c, false, "flush.max-bytes", "max-bytes", "SIZE", "how much it sends, such as 5GB")
	a.jsonFlag(c)
	return c
}

// uploadSettings are the keys that have flags of upload.
var uploadSettings = []string{"conflicts", "flush.bandwidth", "flush.deadline", "flush.max-duration", "flush.max-bytes"}

// pick is filter.take for the daemon, which has no flags.
func pick(include, exclude []string) (func(path string, dir bool) bool, error) {
	f := filter{include: include, exclude: exclude}
	return f.take()
}

func (a *app) upload(ctx context.Context, args []string, r control.UploadRequest) error {
	cfg, err := a.scriptConfig()
	if err != nil {
		return err
	}
	if err := a.uploadWhat(cfg, args, &r); err != nil {
		return err
	}
	r.Settings = map[string]string{}
	for _, k := range uploadSettings {
		if f, ok := a.flags[k]; ok {
			r.Settings[k] = f.Value
		}
	}
	// Most of what this process holds is the store's; a small heap matters more here than a little time.
	debug.SetGCPercent(25)
	w := a.newWatch()
	res, err := daemon.Upload(ctx, daemon.UploadOptions{
		Config: cfg, Version: version(), Log: daemon.NewLog(w.err(), max(cfg.LogLevel, slog.LevelWarn)), Pick: pick, Progress: w.show,
		Waiting: func(why string) { fmt.Fprintln(w.err(), "duskfs: "+why) },
	}, r)
	w.end()
	if err != nil && res.Folder == "" {
		return fmt.Errorf("%s%w", offline(graph.KindOf(err)), err)
	}
	if a.json {
		if perr := a.printJSON(uploadReport{Event: "result", Result: res, InPart: res.InPart()}); perr != nil {
			return perr
		}
	} else {
		a.writeUpload(res, err)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s%w", offline(graph.KindOf(err)), err)
	case res.InPart():
		return &outcome{status: exitInPart}
	}
	return nil
}

// uploadReport is the last line that `duskfs upload --json` prints.
type uploadReport struct {
	Event string `json:"event"` // "result"
	upload.Result
	InPart bool `json:"in_part"`
}

// uploadWhat finds out which folder goes where, from the arguments or, if there are none, the configuration.
func (a *app) uploadWhat(cfg *config.Config, args []string, r *control.UploadRequest) error {
	folder := cfg.Upload.Folder
	if len(args) > 0 {
		folder = args[0]
	}
	r.Drive, r.Path = cfg.Upload.Drive.String(), strings.Trim(cfg.Upload.Path, "/")
	switch {
	case len(args) == 2:
		at := strings.LastIndex(args[1], ":")
		if at < 0 {
			return usage("%q names no place: write DRIVE:PATH, such as me:backup, or %s: for the top of the drive", args[1], args[1])
		}
		r.Drive, r.Path = args[1][:at], args[1][at+1:]
	case len(args) == 1 && cfg.Upload.Path == "":
		return usage("there is no place to upload to: `duskfs upload %s DRIVE:PATH`, such as me:backup", args[0])
	case folder == "":
		return usage("there is no folder to upload: `duskfs upload FOLDER DRIVE:PATH`, or set UPLOAD_FOLDER and ONEDRIVE_UPLOAD_PATH")
	}
	r.Folder = a.abs(folder)
	if in, err := fusemount.Within(r.Folder); err == nil && in {
		return usage("%s lies in a mount of duskfs: what is changed there is sent by `duskfs flush`", folder)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (a *app) writeUpload(res upload.Result, err error) {
	out := &printer{w: a.Out}
	if res.Plan != nil {
		writePlan(out, res.Drive, *res.Plan)
	} else if res.Sent > 0 || err == nil {
		out.line("%s: %s sent, %s; %s of %s there already", res.Drive+":"+res.Target, count(res.Sent, "change"), size(res.Bytes),
			fmt.Sprint(res.Unchanged), count(res.Files, "file"))
	}
	for i, p := range res.Problems {
		if i == maxTold {
			out.line("  and %d more; the receipt has them all", len(res.Problems)-i)
			break
		}
		out.line("  %-9s %s%s", p.Outcome, p.Path, because(p.Reason))
	}
	if res.Guarded > 0 && res.Plan == nil {
		out.line("  %s held back: that is a lot; --dry-run --confirm-deletes lists them, --confirm-deletes sends them", count(res.Guarded, "deletion"))
	}
	if res.Over > 0 {
		out.line("  %s left for the next upload: this one reached its limit", count(res.Over, "change"))
	}
	if n := res.Left.Links; n > 0 {
		out.line("  %s left out; --links follow sends what they lead to", count(n, "symbolic link"))
	}
	if n := res.Left.Special; n > 0 {
		out.line("  %s left out: neither a file nor a folder", count(n, "item"))
	}
	if res.Receipt != "" {
		out.line("receipt: %s", res.Receipt)
	}
}

// maxTold is how many problems are printed for people.
const maxTold = 50
