// Package mirror keeps a plain folder equal to a drive: it takes all files at first and then what the change feed names,
// reads who may see each, and tells what changed in reports that an index can be fed with.
//
//	FOLDER/data/…                                       the files
//	FOLDER/.permissions.json                            who may see each
//	FOLDER/sync_logs/sync_changes_DATE_TIME.json        what a run changed; see [Report]
//	FOLDER/.duskfs/                                     files under way, and the trash
//
// A run goes through steps that each can be cut short and done again: the feed is read to its end and remembered; every
// file here is looked at, and what moved or is gone leaves its place; what is missing or new is fetched; permissions are
// read; the report is written; and only then is it remembered that it was. So what a report tells may be told twice, and
// is never left out. A report is the difference between what was told of each path and what is there, whatever happened
// in between.
//
// Nothing is deleted but what the feed or a complete enumeration names as gone. Files that somebody put into the folder
// are left alone, and set aside where a file of the drive needs their name. Memory does not grow with the number of
// files, but for that of [Mirror.RemoteFiles] and [Mirror.LocalFiles].
package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
)

// Service is what a mirror asks of a drive. Any graph.Service is one. If it is a [graph.Sharing] too, permissions are
// read.
type Service interface {
	graph.Feed
	graph.Reader
}

// Options of a mirror. Service, Folder and State are required.
type Options struct {
	Service Service
	// Drive describes the drive in reports.
	Drive graph.Drive
	// Folder is where the mirror is; it is made if needed. Shown is how reports name it, Folder if empty.
	Folder, Shown string
	// State is a folder for what the mirror remembers. It belongs to this drive and this Folder, must not be in Folder,
	// and is best on a disk of this machine.
	State string
	// Logs is where reports go; sync_logs in Folder if empty.
	Logs string

	// Take says which paths of the drive are mirrored; nil takes all. A folder that is not taken goes with all below it.
	Take func(path string, dir bool) bool
	// MaxSize is the largest file that is mirrored, in bytes; 0 is no limit.
	MaxSize int64
	// NoTrash removes files for good instead of putting them into the trash, where they stay for 30 days.
	NoTrash bool
	// Guard says how many deletions are too many to carry out unasked; AllowDeletes carries them out.
	Guard        plan.Guard
	AllowDeletes bool

	// SharingChanges says that the feed tells where sharing has changed. Without it, permissions are also read again by
	// and by, each within PermissionsEvery: a day if 0, in every run if negative.
	SharingChanges   bool
	PermissionsEvery time.Duration
	// ReconcileEvery is how often the whole drive is enumerated and compared, since the feed loses deletions now and
	// then: a week if 0, never if negative.
	ReconcileEvery time.Duration
	// AlwaysReport writes a report of a run that changed nothing too.
	AlwaysReport bool
	// Deliver, if set, is given every report once it is written: at least once, and again in the next run if it failed.
	Deliver func(ctx context.Context, d Delivery) error

	// Progress, if set, is told how far a run has come, by one goroutine at a time. It must not block.
	Progress func(Progress)

	Parallel int                         // downloads at once; default 4
	Host     string                      // for the names of what is set aside; default the host's name
	Free     func(string) (int64, error) // bytes free for this user on the disk of a folder; default asks the system
	Now      func() time.Time            // default time.Now
	Logger   *slog.Logger                // default discards
}

// Delivery is a report to deliver.
type Delivery struct {
	Report string // path of the file
	// Permissions: it tells of permissions that changed.
	Permissions bool
}

// Step is something that a run would do; see [Mirror.Rehearse].
type Step struct {
	Do    string `json:"do"` // fetch, replace, restore, move, remove
	Path  string `json:"path"`
	From  string `json:"from,omitempty"` // of a move
	Bytes int64  `json:"bytes,omitempty"`
}

// Progress is how far a run has come.
type Progress struct {
	Phase string // feed, look, fetch, permissions, report
	Items int64  // that the feed brought, or were looked at, or files fetched, or whose permissions were read
	Total int64  // of them; 0 is unknown
	Bytes int64  // fetched
	Size  int64  // of all that is fetched; 0 is unknown
	Path  string // a file that is fetched
}

// Problem is something that a run could not do. The next run tries again.
type Problem struct {
	Path  string `json:"path,omitempty"`
	Error string `json:"error"`
}

// problemsKept bounds the problems that are listed.
const problemsKept = 1000

// Result is what a run did.
type Result struct {
	Added           int `json:"added"`
	Modified        int `json:"modified"`
	Deleted         int `json:"deleted"`
	PermissionsOnly int `json:"permission_only_changes"`
	Restored        int `json:"restored"` // files that were missing or changed here
	Total           int `json:"total_files"`

	Report   string    `json:"report,omitempty"` // path of the report, "" if none was written
	Fetched  int       `json:"fetched"`          // files whose bytes came from the drive
	Bytes    int64     `json:"bytes"`            // of them
	Read     int       `json:"permissions_read"` // files whose permissions were read
	Held     int       `json:"held"`             // deletions that the guard holds back
	LeftOut  int       `json:"left_out"`         // files and folders that are not to be mirrored
	Waiting  int       `json:"waiting"`          // files whose permissions are read in a later run
	Partial  bool      `json:"partial"`          // something of the drive is not as it should be here, or not known
	Problems []Problem `json:"problems"`         // at most 1000 of them
	Failed   int       `json:"failed"`           // problems in all
}

// InPart reports whether something was left undone that people should see to.
func (r Result) InPart() bool { return r.Partial || r.Failed > 0 || r.Held > 0 }

// Mirror keeps one folder equal to one drive. One run at a time.
type Mirror struct{ o Options }

// New makes a mirror. It starts and opens nothing.
func New(o Options) *Mirror {
	if o.Shown == "" {
		o.Shown = o.Folder
	}
	if o.Logs == "" {
		o.Logs = filepath.Join(o.Folder, "sync_logs")
	}
	if o.PermissionsEvery == 0 {
		o.PermissionsEvery = 24 * time.Hour
	}
	if o.ReconcileEvery == 0 {
		o.ReconcileEvery = 7 * 24 * time.Hour
	}
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	if o.Host == "" {
		host, err := os.Hostname()
		if err != nil {
			host = ""
		}
		o.Host, _, _ = strings.Cut(host, ".")
	}
	if o.Free == nil {
		o.Free = freeBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Mirror{o}
}

// stampLayout is the time in the names of reports.
const stampLayout = "2006-01-02_15-04-05"

// run is one Sync under way.
type run struct {
	o        Options
	s        state
	d        *folder
	f        feed
	compared bool // an enumeration ended in this run
	progress *progress
	paths    locks
	items    sync.Mutex // held while rows of items are read, changed and written

	mu  sync.Mutex // guards res
	res Result

	// Of a rehearsal: who is told, and the files that were told of.
	step   func(Step)
	moving map[graph.ItemID]bool
}

// Sync brings the folder up to date and returns what it did. A failure of single files is in the Result, and so is a
// full disk that ends the run; an error means that the run ended early for another reason. What it had done by then is
// told by the next report.
func (m *Mirror) Sync(ctx context.Context) (Result, error) {
	r := &run{o: m.o, res: Result{Problems: []Problem{}}, progress: &progress{tell: m.o.Progress}}
	err := r.open(ctx)
	if full := r.fullDisk(err); full != nil && ctx.Err() == nil {
		r.problem("", full)
		err = nil
	}
	r.res.Partial = r.res.Partial || r.res.Failed > 0 || r.res.Held > 0
	return r.res, err
}

// open opens the folder and what is remembered of it, and does the run.
func (r *run) open(ctx context.Context) error {
	root, err := openFolder(r.o.Folder)
	if err != nil {
		return fmt.Errorf("the folder %s: %w", r.o.Shown, err)
	}
	defer root.Close()
	if r.s, err = openState(func() (*cache.Ledger, error) { return cache.OpenLedger(r.o.State) }); err != nil {
		return err
	}
	r.d = &folder{root: root, host: r.o.Host, now: r.o.Now}
	if !r.o.NoTrash {
		r.d.bin = r.o.Now().Format(stampLayout)
	}
	return errors.Join(r.all(ctx), r.s.l.Close())
}

// fullDisk says which disk is full, nil if an error means something else.
func (r *run) fullDisk(err error) error {
	switch {
	case errors.Is(err, cache.ErrNoSpace):
		return fmt.Errorf("the disk of the state folder is full: free some space for %s and run again; what was done so far stands", r.o.State)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("the disk of %s, or of its reports, is full: free some space and run again; what was done so far stands", r.o.Shown)
	}
	return nil
}

func (r *run) all(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		r.settle, r.deliver, r.receive, r.compare, r.sync, r.look, r.clear, r.fetchAll, r.sync, r.readPermissions, r.report, r.deliver, r.forget,
	} {
		if err := step(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return r.s.l.Sync()
}

// sync makes what is remembered so far survive a power cut.
func (r *run) sync(context.Context) error { return r.s.l.Sync() }

// Rehearse tells what Sync would do, by one goroutine at a time, and does and writes nothing. It reads the feed, and what
// the mirror remembers where that is; what it learns is kept in the folder for temporary files meanwhile. Of the Result the
// counts of changes are not set.
func (m *Mirror) Rehearse(ctx context.Context, step func(Step)) (_ Result, err error) {
	r := &run{o: m.o, step: step, res: Result{Problems: []Problem{}}, progress: &progress{tell: m.o.Progress}}
	tmp, err := os.MkdirTemp("", "duskfs-dry-run-")
	if err != nil {
		return r.res, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	err = r.rehearse(ctx, tmp)
	if errors.Is(err, cache.ErrNoSpace) {
		err = fmt.Errorf("the disk of %s is full: free some space there, or let TMPDIR name another folder", os.TempDir())
	}
	r.res.Partial = r.res.Partial || r.res.Failed > 0 || r.res.Held > 0
	return r.res, err
}

func (r *run) rehearse(ctx context.Context, tmp string) (err error) {
	if r.s, err = openState(func() (*cache.Ledger, error) { return cache.SketchLedger(r.o.State, tmp) }); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.s.l.Close()) }()
	r.d = &folder{host: r.o.Host, now: r.o.Now}
	if root, err := os.OpenRoot(r.o.Folder); err == nil {
		defer root.Close()
		r.d.root = root
	}
	r.moving = map[graph.ItemID]bool{}
	for _, step := range []func(context.Context) error{r.receive, r.compare, r.look, r.clear, r.fetchAll, r.readPermissions} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// would tells a step in a rehearsal. It reports whether this is one.
func (r *run) would(s Step) bool {
	if r.step == nil {
		return false
	}
	if s.Do != "" {
		r.step(s)
	}
	return true
}

// problem notes something that could not be done.
func (r *run) problem(path string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.res.Failed++; len(r.res.Problems) < problemsKept {
		r.res.Problems = append(r.res.Problems, Problem{path, err.Error()})
	}
}

// count changes the result under its lock.
func (r *run) count(f func(*Result)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.res)
}

func (r *run) placer() *placer {
	return &placer{item: r.s.item, take: r.o.Take, most: r.o.MaxSize}
}

// ends reports whether an error is one that all further files would meet as well.
func ends(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, cache.ErrNoSpace) || errors.Is(err, graph.SignIn) || errors.Is(err, graph.Offline) || errors.Is(err, graph.Throttled)
}

// freeBytes says how much of the disk of a folder is free for this user.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// progress tells how far a run has come.
type progress struct {
	tell func(Progress)
	mu   sync.Mutex
	p    Progress
}

func (p *progress) update(f func(*Progress)) {
	if p.tell == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.p)
	p.tell(p.p)
}

func (p *progress) received(n int) {
	p.update(func(q *Progress) { q.Phase, q.Items = "feed", q.Items+int64(n) })
}

// begin starts a phase.
func (p *progress) begin(phase string) {
	p.update(func(q *Progress) { *q = Progress{Phase: phase} })
}

// locks lets one goroutine at a time work at a path.
type locks struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// hold waits for a path and returns what lets it go.
func (l *locks) hold(path string) (release func()) {
	for {
		l.mu.Lock()
		ch, taken := l.busy[path]
		if !taken {
			if l.busy == nil {
				l.busy = map[string]chan struct{}{}
			}
			mine := make(chan struct{})
			l.busy[path] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.busy, path)
				l.mu.Unlock()
				close(mine)
			}
		}
		l.mu.Unlock()
		<-ch
	}
}
