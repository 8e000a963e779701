package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/flush/upload"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph/name"
	"github.com/duskfs/duskfs/graph/rest"
)

// Pick makes of patterns as in a .gitignore a function that says which paths take part, nil for all.
type Pick func(include, exclude []string) (func(path string, dir bool) bool, error)

// uploadNote begins what a process that uploads without a mount says of itself.
const uploadNote = "upload of "

// UploadOptions are the world of an upload.
type UploadOptions struct {
	Config   *config.Config
	Version  string
	Log      *slog.Logger
	Pick     Pick
	Progress func(flush.Progress) // may be nil
	// Waiting is told in a sentence why nothing happens yet. May be nil.
	Waiting func(why string)
}

// Upload brings a folder to a drive: through the daemon of the account if one runs, else in this process, with the
// store of the account to itself. While another process uploads for the account, it waits for that.
func Upload(ctx context.Context, o UploadOptions, r control.UploadRequest) (upload.Result, error) {
	if _, _, err := target(r); err != nil {
		return upload.Result{}, err
	}
	if within(r.Folder, o.Config.StateDir) {
		return upload.Result{}, &config.Error{What: r.Folder + " is state of duskfs, which is never sent"}
	}
	account, err := Connect(o.Config, o.Version, o.Log)
	if err != nil {
		return upload.Result{}, err
	}
	defer account.Close()
	if err := PrepareState(o.Config.StateDir); err != nil {
		return upload.Result{}, err
	}
	syscall.Umask(0o077) // badger makes its files 0666
	store, peer, err := storeOrDaemon(ctx, account.dir, o)
	if err != nil {
		return upload.Result{}, err
	}
	if peer != nil {
		return peer.Upload(ctx, r, o.Progress)
	}
	if err := store.Note(uploadNote + r.Folder); err != nil {
		return upload.Result{}, errors.Join(err, store.Close())
	}
	res, err := uploadWith(ctx, job{cfg: o.Config, account: account, store: store, log: o.Log, pick: o.Pick}, r, o.Progress)
	if err == nil {
		store.Tidy()
	}
	return res, errors.Join(err, store.Close())
}

// storeOrDaemon opens the store, or finds the daemon that has it open.
func storeOrDaemon(ctx context.Context, dir string, o UploadOptions) (*cache.Store, *control.Client, error) {
	// Only the lock says when another process has ended.
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for told := false; ; {
		store, err := cache.Open(dir, cache.Options{CaseBlind: o.Config.CaseBlind, Conflicts: o.Config.Conflicts, Lean: true, Probe: probe(ctx), Logger: o.Log})
		var used *cache.InUseError
		if !errors.As(err, &used) {
			return store, nil, explained(err, dir, o.Config)
		}
		if used.Note != "" && !strings.HasPrefix(used.Note, uploadNote) {
			rec, ferr := control.NewRegistry(o.Config.StateDir).Find(ctx, used.Note, used.Note)
			if ferr == nil {
				return nil, control.NewClient(rec.Mount, rec.Socket), nil
			}
		}
		if !told && o.Waiting != nil {
			o.Waiting(fmt.Sprintf("waiting for process %d, which has this account's state open (%s)", used.PID, used.Note))
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-look.C:
		}
	}
}

// job is what an upload works with, here or in a daemon.
type job struct {
	cfg      *config.Config
	account  *Account
	store    *cache.Store
	log      *slog.Logger
	pick     Pick
	throttle *push.Throttle // shared with flushes; nil: one of its own
}

// target finds out which drive is meant, and the names of folders from its root to where the content goes. Errors are
// mistakes in what was typed.
func target(r control.UploadRequest) (rest.Spec, []string, error) {
	spec, err := rest.ParseSpec(r.Drive)
	if err != nil {
		return spec, nil, &config.Error{What: err.Error()}
	}
	var names []string
	for n := range strings.SplitSeq(r.Path, "/") {
		if n != "" {
			names = append(names, n)
		}
	}
	if !r.Contents {
		names = append(names, filepath.Base(r.Folder))
	}
	for i, n := range names {
		if err := name.Check(n); err != nil || n == "." || n == ".." {
			if i == len(names)-1 && !r.Contents {
				return spec, nil, &config.Error{What: fmt.Sprintf("a drive cannot have a folder with the name %q: --contents puts what is in it directly below a path that you name", n)}
			}
			return spec, nil, &config.Error{What: fmt.Sprintf("%q cannot be the name of a folder of a drive: %v", n, err)}
		}
	}
	return spec, names, nil
}

// uploadWith does an upload.
func uploadWith(ctx context.Context, j job, r control.UploadRequest, progress func(flush.Progress)) (upload.Result, error) {
	cfg, err := j.cfg.With(r.Settings)
	if err != nil {
		return upload.Result{}, err
	}
	spec, names, err := target(r)
	if err != nil {
		return upload.Result{}, err
	}
	if cfg.ReadOnly {
		return upload.Result{}, &config.Error{Where: cfg.Source("read-only"), What: "read-only is set, under which nothing is ever sent"}
	}
	take, err := j.pick(r.Include, r.Exclude)
	if err != nil {
		return upload.Result{}, err
	}
	drive, service, err := j.account.Service(ctx, spec)
	if err != nil {
		return upload.Result{}, err
	}
	c := cfg.Flush
	o := upload.Options{
		Store: j.store, Service: service, Drive: drive, State: j.account.dir, Account: j.account.source.Identity().Name,
		Folder: r.Folder, Target: names, Take: take, Sparse: len(r.Include) > 0, Follow: r.Follow, Bar: barred(cfg.StateDir),
		Delete: r.Delete && !c.NoRemoteDelete, AllowDeletes: r.ConfirmDeletes, AllowEmpty: r.AllowEmpty, DryRun: r.DryRun,
		Policy: cfg.Conflicts, Order: c.Order, Parallel: c.Transfers, Scheduled: r.Scheduled,
		Limits:   flush.Limits{Bytes: c.MaxBytes, Time: c.MaxDuration, Until: c.Deadline, Rate: c.Rate},
		Progress: progress, Logger: j.log,
	}
	if _, own := r.Settings["flush.bandwidth"]; !own {
		o.Throttle = j.throttle
	}
	res, err := upload.Run(ctx, o)
	res.Target = path.Join("/", res.Target)
	return res, err
}

// barred says what never takes part, however it is reached: our own state, and mounts of drives.
func barred(stateDir string) func(place string, crossing bool) bool {
	return func(place string, crossing bool) bool {
		if within(place, stateDir) {
			return true
		}
		in, err := fusemount.Within(place)
		return crossing && (in || err != nil)
	}
}

// within reports whether a file or folder is a folder or lies in it, symbolic links followed.
func within(place, dir string) bool {
	at, err := filepath.EvalSymlinks(place)
	if err != nil {
		return false // it is gone, or is not looked at either
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	rel, err := filepath.Rel(dir, at)
	return err == nil && filepath.IsLocal(rel)
}

// running are the uploads under way, so that one of a kind runs at a time.
type running struct {
	mu  sync.Mutex // guards what follows; a leaf
	now map[string]bool
}

func (u *running) begin(r control.UploadRequest) (end func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := r.Drive + "\x00" + r.Path + "\x00" + r.Folder
	if u.now[key] {
		return nil, fmt.Errorf("an upload of %s to there runs already", r.Folder)
	}
	if u.now == nil {
		u.now = map[string]bool{}
	}
	u.now[key] = true
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.now, key)
	}, nil
}

// Upload implements control.API.
func (a *answers) Upload(ctx context.Context, r control.UploadRequest, progress func(flush.Progress)) (upload.Result, error) {
	m := a.m
	if m.reads {
		return upload.Result{}, fmt.Errorf("upload to %s: %s", r.Drive, agreedToRead)
	}
	end, err := m.uploads.begin(r)
	if err != nil {
		return upload.Result{}, err
	}
	defer end()
	return uploadWith(ctx, job{cfg: m.cfg, account: m.account, store: m.store, log: m.log, pick: m.pick, throttle: m.throttle}, r, progress)
}
