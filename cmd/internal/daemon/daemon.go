// Package daemon runs one mount: it signs in, finds the drives, opens the store of the account,
// and puts file system, kernel connection, flush engine and control socket together. It owns the
// order in which they start and stop.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/rest"
)

// Ready says that a mount is up.
type Ready struct {
	Mount  string   `json:"mount"`
	Drives []string `json:"drives"` // as people see them
	// Offline: the service is out of reach, and the drives are shown as they were last known.
	Offline bool `json:"offline"`
	// SignIn says why the sign-in was refused, and what to do; the drives are then shown as they were
	// last known.
	SignIn string `json:"sign_in,omitempty"`
	// ReadOnly says why the drives refuse changes, and what to do, if nobody has asked for that.
	ReadOnly string `json:"read_only,omitempty"`
}

// Options of a mount.
type Options struct {
	Config  *config.Config
	Version string       // of the program
	Log     *slog.Logger // where the daemon reports
	Pick    Pick         // for uploads
	// Ready is called once, when programs can use the mount. May be nil.
	Ready func(Ready)
}

// Run mounts what the configuration names and serves it until ctx ends, somebody asks for it
// through the control socket, or the kernel ends the mount. Unsent changes are kept. The error of
// a start that failed says in one line what to do; its kind is graph.SignIn if the credential was
// refused and a drive was never mounted before.
func Run(ctx context.Context, o Options) error {
	syscall.Umask(0o077) // badger makes its files 0666
	m := &mount{cfg: o.Config, log: o.Log, pick: o.Pick, stop: make(chan struct{}), broken: make(chan struct{})}
	m.throttle = push.NewThrottle(o.Config.Flush.Rate, time.Now)
	if err := m.start(ctx, o); err != nil {
		if also := m.takeDown(); also != nil {
			m.log.Warn("taking down a mount that did not start", "err", also)
		}
		m.farewell(err)
		return err
	}
	if o.Ready != nil {
		o.Ready(m.ready())
	}
	var why string
	select {
	case <-ctx.Done():
		why = "interrupted"
	case <-m.stop:
		why = "asked to"
	case <-m.kernel.Done():
		why = "unmounted by somebody else"
	case <-m.broken:
		// What is written is in the store's log or in its file, as after a kill. Nothing else can be waited for.
		return errors.Join(ErrBroken, m.kernel.Detach())
	}
	m.log.Info("stopping", "mount", m.point, "why", why)
	if why != "asked to" { // who asked is told by the command
		m.sayUnsent(isEnded)
	}
	err := m.takeDown()
	m.farewell(err)
	return err
}

// ErrBroken: a fault of the program has left a lock taken. The process must end; Restart begins a new one.
var ErrBroken = errors.New("a fault of the program has stopped it, nothing that was written is lost; please report what the log says")

// unmountWait is how long programs that still use a mount are waited for when it ends. What they have
// written is safe by then.
const unmountWait = 3 * time.Second

// mount is one mount and everything that keeps it. Its fields are set by start, in this order, and
// taken down by takeDown in the other one.
type mount struct {
	cfg     *config.Config
	log     *slog.Logger
	point   string // mountpoint, absolute and free of links
	account *Account
	aside   *control.Aside // in place of a state folder that cannot be written, else nil
	store   *cache.Store
	drives  []drive
	began   time.Time // by the clock on the wall
	offline bool
	refused string // what the service said to the sign-in, if it did not like it
	reads   bool   // read-only, since the person agreed to no more at sign-in

	listener   net.Listener // of the control socket
	unregister func()
	herald     *herald
	engine     *flush.Engine
	cancel     context.CancelFunc // ends the engine
	running    sync.WaitGroup     // the engine
	files      *fs.FS
	kernel     *fusemount.Mount
	control    *control.Server

	pick     Pick
	throttle *push.Throttle // of all that this account sends; nil: no limit
	uploads  running

	broken   chan struct{} // closed when nothing in this process can go on
	stop     chan struct{} // closed when somebody asks for the end
	stopOnce sync.Once
}

// drive is one drive of the mount.
type drive struct {
	spec    rest.Spec
	name    string // of its folder, and in messages
	info    cache.DriveInfo
	service graph.Service
	asleep  bool // nobody has ever looked into it
}

func (m *mount) start(ctx context.Context, o Options) (err error) {
	cfg := m.cfg
	m.began = time.Now().Round(0)
	var aside bool
	if m.point, aside, err = check(cfg); err != nil {
		return err
	}
	if err := m.connect(o); err != nil {
		return err
	}
	state := cfg.StateDir
	if aside {
		if err := m.standAside(ctx); err != nil {
			return err
		}
		state = m.aside.Dir()
	}
	dir := m.account.dir
	there := *cfg
	there.StateDir = state
	if m.store, err = openStore(ctx, dir, &there, o.Log); err != nil {
		return err
	}
	if err := m.store.Note(m.point); err != nil {
		return err
	}
	if err := m.find(ctx, dir); err != nil {
		return err
	}
	var specs []string
	for _, spec := range cfg.Drives {
		specs = append(specs, spec.String())
	}
	m.listener, m.unregister, err = control.NewRegistry(state).Listen(ctx, m.point, specs)
	if err != nil {
		return err
	}
	m.herald = startHerald(cfg.Notify, m.point, m.log)
	m.engine = m.newEngine()
	if m.files, err = m.newFiles(); err != nil {
		return err
	}
	m.kernel, err = fusemount.New(ctx, fusemount.Options{FS: m.files, Mountpoint: m.point, Extra: m.cfg.FUSE, Forgetful: runtime.GOOS == "darwin", Broken: func() { close(m.broken) }, Logger: m.log})
	if err != nil {
		return err
	}
	if err := m.remember(); err != nil {
		return err
	}
	engineCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m.cancel = cancel
	m.running.Go(func() {
		if err := m.engine.Run(engineCtx); err != nil {
			m.log.Error("flush engine", "err", err)
		}
	})
	m.running.Go(func() { m.watchMachine(engineCtx) })
	m.control = control.Serve(m.listener, &answers{m}, m.log)
	return nil
}

// agreedToRead is what people read where changes are refused since the person agreed to reading only.
const agreedToRead = "at sign-in only reading was agreed to; to change files, `duskfs login` and mount again"

// connect prepares the sign-in. A person who has agreed to reading only gets a mount to read: with any other, nothing could
// be read, and what is changed would never be sent.
func (m *mount) connect(o Options) (err error) {
	if m.account, err = connectAnyhow(m.cfg, o.Version, o.Log); err != nil || !m.account.source.ReadsOnly() {
		return err
	}
	m.account.Close()
	m.cfg.ReadOnly, m.reads = true, true
	m.log.Warn("the mount is read-only: " + agreedToRead)
	m.account, err = connectAnyhow(m.cfg, o.Version, o.Log)
	return err
}

// Check looks for what a person can get wrong, before anything is touched but a mount whose daemon was
// killed, which is cleared. It returns the mountpoint in the form that everybody compares, and leaves a
// state folder that can be written to, or to mount read-only, be read. Run checks the same.
func Check(cfg *config.Config) (mountpoint string, err error) {
	mountpoint, _, err = check(cfg)
	return mountpoint, err
}

// check is Check that also says whether the state folder cannot be written.
func check(cfg *config.Config) (mountpoint string, aside bool, err error) {
	if len(cfg.Drives) == 0 {
		return "", false, &config.Error{What: "no drive is named: `duskfs mount DRIVE... MOUNTPOINT`, or set drives in the configuration"}
	}
	if cfg.Mountpoint == "" {
		return "", false, &config.Error{What: "no mountpoint is named: `duskfs mount DRIVE... MOUNTPOINT`, or set mountpoint in the configuration"}
	}
	if !slices.ContainsFunc(cfg.Drives, func(s rest.Spec) bool { return !readOnly(cfg, s) }) {
		cfg.ReadOnly = true // nothing else is needed, so nothing else is asked for
	}
	if err := apart(cfg.Mountpoint, cfg.StateDir); err != nil {
		return "", false, err
	}
	point, err := fusemount.Prepare(cfg.Mountpoint)
	if err != nil {
		return "", false, err
	}
	if aside, err = usable(cfg); err != nil {
		return "", false, err
	}
	if real, err := filepath.EvalSymlinks(cfg.StateDir); err == nil {
		return point, aside, apart(point, real)
	}
	return point, aside, nil
}

// endingWait is how long a store that another process has open is waited for: that one may be about
// to end, after a kill or since somebody took its mount away.
const endingWait = 2 * time.Second

func openStore(ctx context.Context, dir string, cfg *config.Config, log *slog.Logger) (*cache.Store, error) {
	waiting, cancel := context.WithTimeout(ctx, endingWait)
	defer cancel()
	for {
		s, err := cache.Open(dir, cache.Options{CaseBlind: cfg.CaseBlind, Conflicts: cfg.Conflicts, Probe: probe(ctx), Logger: log})
		var used *cache.InUseError
		if !errors.As(err, &used) {
			return s, explained(err, dir, cfg)
		}
		select {
		case <-waiting.Done():
			return nil, explained(err, dir, cfg)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// explained says in words for people why a store could not be opened.
func explained(err error, dir string, cfg *config.Config) error {
	var used *cache.InUseError
	if errors.As(err, &used) {
		where := ""
		if used.Note != "" {
			where = " for " + used.Note
		}
		if strings.HasPrefix(used.Note, uploadNote) {
			return fmt.Errorf("this account is in use by process %d for the %s: wait until that has ended", used.PID, used.Note)
		}
		return fmt.Errorf("this account is in use by process %d%s: name all drives in one `duskfs mount`, or unmount that first", used.PID, where)
	}
	switch {
	case errors.Is(err, cache.ErrNoSpace):
		return fmt.Errorf("the disk of the state folder %s is full: free some space, or set state.dir to a folder on another disk", cfg.StateDir)
	case err != nil:
		return fmt.Errorf("open state folder %s: %w", dir, err)
	}
	return nil
}

func (m *mount) newEngine() *flush.Engine {
	c := m.cfg.Flush
	o := flush.Options{
		Store: m.store, Schedule: m.cfg.FlushAt, Poll: m.cfg.RefreshEvery, Logger: m.log,
		After: c.After, Order: c.Order, Parallel: c.Transfers, Rounds: 1 + c.Retries, NoDeletes: c.NoRemoteDelete,
		Limits: flush.Limits{Bytes: c.MaxBytes, Time: c.MaxDuration, Until: c.Deadline, Rate: c.Rate}, Throttle: m.throttle,
		State: m.account.dir, Account: m.account.source.Identity().Name, Notify: m.herald.tell,
		Writeback: func(ino cache.Ino) { m.kernel.Writeback(ino) },
		Refused:   m.denied,
	}
	for _, d := range m.drives {
		o.Drives = append(o.Drives, flush.Drive{Num: d.info.Num, Name: d.name, ReadOnly: m.readOnly(d), Asleep: d.asleep, Service: d.service})
	}
	return flush.New(o)
}

// readOnly reports whether a drive was asked to refuse every change.
func (m *mount) readOnly(d drive) bool { return readOnly(m.cfg, d.spec) }

func readOnly(cfg *config.Config, s rest.Spec) bool {
	return cfg.ReadOnly || s.Where == rest.SharePoint || slices.Contains(cfg.ReadOnlyDrives, s)
}

// denied makes a drive that turned out to be read-only for this person refuse changes when they are made.
func (m *mount) denied(num cache.DriveNum, on bool) {
	if on {
		m.log.Warn("the service takes no changes of this drive: it is read-only from now on, and what is unsent is kept", "drive", num)
	} else {
		m.log.Info("the service takes changes of this drive", "drive", num)
	}
	m.files.Refuse(num, on)
}

func (m *mount) newFiles() (*fs.FS, error) {
	o := fs.Options{
		Tree: m.store.Tree(), Content: m.store.Content(), Sync: m.store.Sync,
		UID: uint32(syscall.Getuid()), GID: uint32(syscall.Getgid()),
		CaseBlind:   m.cfg.CaseBlind,
		Timeout:     m.cfg.ReadTimeout,
		WantRefresh: m.engine.Want, Logger: m.log,
	}
	for _, d := range m.drives {
		o.Drives = append(o.Drives, fs.Drive{
			Info: d.info, Name: d.name, ReadOnly: m.readOnly(d),
			Remote: remote{Service: d.service, engine: m.engine},
			Space:  m.space(d.info.Num),
		})
	}
	return fs.New(o)
}

// space tells the file system what is left in a drive.
func (m *mount) space(n cache.DriveNum) func() (graph.Quota, int64) {
	return func() (graph.Quota, int64) {
		info, err := m.store.Drive(n)
		if err != nil {
			return graph.Quota{}, 0
		}
		p, err := m.store.Outbox(n).Pending()
		if err != nil {
			return info.Drive.Quota, 0
		}
		return info.Drive.Quota, p.Bytes
	}
}

// remote is a drive as the file system needs it.
type remote struct {
	graph.Service
	engine *flush.Engine
}

// List asks the engine, which alone applies what the service says.
func (r remote) List(ctx context.Context, folder cache.Ino) error { return r.engine.List(ctx, folder) }

func (m *mount) ready() Ready {
	r := Ready{Mount: m.point, Offline: m.offline, SignIn: m.refused}
	if m.reads {
		r.ReadOnly = agreedToRead
	}
	libraries := 0
	for _, d := range m.drives {
		if d.spec.Where == rest.SharePoint {
			libraries++
			continue
		}
		r.Drives = append(r.Drives, d.name)
	}
	switch libraries {
	case 0:
	case 1:
		r.Drives = append(r.Drives, "a library of SharePoint")
	default:
		r.Drives = append(r.Drives, fmt.Sprintf("%d libraries of SharePoint", libraries))
	}
	return r
}

// askToStop makes Run go on to its end.
func (m *mount) askToStop() { m.stopOnce.Do(func() { close(m.stop) }) }

// takeDown ends what start began, as far as it got, all but the socket: whoever asked for the end
// is waiting there.
func (m *mount) takeDown() error {
	var errs []error
	if m.control != nil {
		m.control.Stop()
	}
	if m.cancel != nil {
		m.cancel()
		m.running.Wait()
	}
	if m.kernel != nil {
		ctx, cancel := context.WithTimeout(context.Background(), unmountWait)
		errs = append(errs, m.kernel.Unmount(ctx))
		cancel()
	}
	if m.files != nil {
		errs = append(errs, m.files.Close())
	}
	if m.herald != nil {
		ctx, cancel := context.WithTimeout(context.Background(), farewellTime)
		m.herald.settle(ctx)
		cancel()
		m.herald.end()
	}
	if m.store != nil {
		errs = append(errs, m.store.Sync(), m.store.Close())
	}
	if m.account != nil {
		m.account.Close()
	}
	if m.aside != nil {
		errs = append(errs, m.aside.Remove())
	}
	return errors.Join(errs...)
}

// farewell takes the mount out of the registry, so that the next one finds the place free, and then
// answers who waits for the end.
func (m *mount) farewell(result error) {
	if m.listener == nil {
		return
	}
	m.unregister()
	if m.control != nil {
		m.control.Close(result)
		return
	}
	_ = m.listener.Close() // nobody was served
}

// folderNames gives each drive the name of its folder: unlike each other in any letter case. Those of `sharepoint` are
// in folders of their sites.
func folderNames(drives []drive) []string {
	names := make([]string, len(drives))
	top, sites := namesTaken{}, map[string]string{}
	inSites := map[string]namesTaken{}
	for i, d := range drives {
		base := d.info.Drive.Name
		switch {
		case d.spec.Where == rest.Me:
			base = "OneDrive"
		case d.spec.Where == rest.User && d.info.Drive.Owner != "":
			base = d.info.Drive.Owner
		case d.spec.Where == rest.SharePoint:
			continue
		}
		names[i] = top.take(base)
	}
	for i, d := range drives {
		if d.spec.Where != rest.SharePoint {
			continue
		}
		key, title := siteOf(d.info.Drive)
		if sites[key] == "" {
			sites[key], inSites[key] = top.take(title), namesTaken{}
		}
		names[i] = sites[key] + "/" + inSites[key].take(d.info.Drive.Name)
	}
	return names
}

// namesTaken are the names in a folder, in lower case.
type namesTaken map[string]bool

// take makes a name for a folder of one that may not be fit for one, or taken.
func (t namesTaken) take(base string) string {
	base = strings.Trim(strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '-'
		}
		return r
	}, base), " .")
	if base == "" {
		base = "Drive"
	}
	name := base
	for n := 2; t[strings.ToLower(name)]; n++ {
		name = fmt.Sprintf("%s (%d)", base, n)
	}
	t[strings.ToLower(name)] = true
	return name
}

// moment gives a time for JSON: null if it never was.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
