package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"time"
)

// Registry is the folder that says which mounts have a daemon. Every user of a state folder sees
// the same: also mounts that use an Aside in its place, as long as all have one folder for temporary files.
type Registry struct {
	state string
}

// Record is one mount in the registry.
type Record struct {
	Mount  string   `json:"mount"`
	Socket string   `json:"socket"`
	PID    int      `json:"pid"`
	Drives []string `json:"drives"` // as named when they were mounted
}

// NewRegistry returns the registry of a state folder. It touches nothing yet.
func NewRegistry(stateDir string) Registry { return Registry{state: stateDir} }

func (r Registry) dir() string { return filepath.Join(r.state, "run") }

// ID is a short name that stands for a mountpoint in file names.
func ID(mount string) string {
	sum := sha256.Sum256([]byte(mount))
	return hex.EncodeToString(sum[:8])
}

// Listen registers a mountpoint and listens on its socket. A mountpoint that another daemon serves
// fails. What a daemon that was killed left behind is replaced. The function returned takes the mount
// out of the registry; the listener is the caller's to close.
func (r Registry) Listen(ctx context.Context, mount string, drives []string) (net.Listener, func(), error) {
	if err := privateDir(r.dir()); err != nil {
		return nil, nil, err
	}
	record := filepath.Join(r.dir(), ID(mount)+".json")
	if old, err := readRecord(record); err == nil {
		if answers(ctx, old) {
			return nil, nil, fmt.Errorf("%s is mounted already (process %d); `duskfs unmount %s` ends that", mount, old.PID, mount)
		}
		_ = os.Remove(old.Socket) // left behind; a socket that stays fails below
	}
	socket, err := r.socketPath(mount)
	if err != nil {
		return nil, nil, err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("clear old socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", socket)
	if err != nil {
		return nil, nil, fmt.Errorf("control socket: %w", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		// By the time the listener is closed the name may be that of the next daemon.
		u.SetUnlinkOnClose(false)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		_ = l.Close() // the first error counts
		return nil, nil, fmt.Errorf("control socket: %w", err)
	}
	rec := Record{Mount: mount, Socket: socket, PID: os.Getpid(), Drives: drives}
	if err := writeRecord(record, rec); err != nil {
		_ = l.Close() // the first error counts
		return nil, nil, err
	}
	return l, func() {
		_ = os.Remove(record) // what stays is cleared by whoever looks next
		_ = os.Remove(socket)
	}, nil
}

// socketPath is where the socket of a mount goes: beside its record if the kernel's limit for such
// paths allows, else in a private folder of the runtime or temporary directory.
func (r Registry) socketPath(mount string) (string, error) {
	limit := 107 // sun_path of Linux, with the terminating zero
	if runtime.GOOS != "linux" {
		limit = 103
	}
	name := ID(mount) + ".sock"
	p := filepath.Join(r.dir(), name)
	if len(p) <= limit {
		return p, nil
	}
	// Two state folders may hold the same mountpoint one after the other; the name tells them apart.
	name = ID(r.state+"\x00"+mount) + ".sock"
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" || !filepath.IsAbs(base) || len(base) > limit-40 {
		base = temporary()
	} else {
		base = filepath.Join(base, "duskfs")
	}
	p = filepath.Join(base, name)
	if len(p) > limit {
		return "", fmt.Errorf("the path of the state folder is too long for a socket: %s: set state.dir to a shorter one", r.state)
	}
	return p, privateDir(base)
}

// privateDir makes a folder that only its owner can enter, and refuses one that others own.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if !info.IsDir() || !ownedByUs(info) {
		return fmt.Errorf("%s belongs to somebody else", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("make folder private: %w", err)
		}
	}
	return nil
}

func readRecord(file string) (Record, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Record{}, err
	}
	var rec Record
	if err := json.Unmarshal(b, &rec); err != nil || rec.Socket == "" || rec.Mount == "" {
		return Record{}, fmt.Errorf("%s: no record of a mount", file)
	}
	return rec, nil
}

func writeRecord(file string, rec Record) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	tmp := file + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("register mount: %w", err)
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("register mount: %w", err)
	}
	return nil
}

// answers reports whether a daemon listens on the socket of a record.
func answers(ctx context.Context, rec Record) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", rec.Socket)
	if err != nil {
		return !nobodyThere(err)
	}
	_ = c.Close() // nothing was said
	return true
}

// List returns the mounts that have a daemon, by mountpoint. Records of daemons that are gone are
// cleared away.
func (r Registry) List(ctx context.Context) ([]Record, error) {
	live, _, err := r.scan(ctx, true)
	return live, err
}

// Look is List that clears nothing away: it returns the records of daemons that are gone too.
func (r Registry) Look(ctx context.Context) (live, gone []Record, err error) {
	return r.scan(ctx, false)
}

func (r Registry) scan(ctx context.Context, clear bool) (live, gone []Record, err error) {
	var files []string
	for _, dir := range []string{r.dir(), filepath.Join(r.asides(), "run")} {
		found, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			return nil, nil, err
		}
		files = append(files, found...)
	}
	for _, f := range files {
		rec, err := readRecord(f)
		switch {
		case err == nil && answers(ctx, rec):
			live = append(live, rec)
			continue
		case errors.Is(err, fs.ErrPermission):
			return nil, nil, fmt.Errorf("registry of mounts: %w", err)
		case err == nil:
			gone = append(gone, rec)
		}
		if !clear {
			continue
		}
		_ = os.Remove(f) // somebody else may have cleared it meanwhile
		if err == nil {
			_ = os.Remove(rec.Socket)
		}
	}
	sort.Slice(live, func(i, j int) bool { return live[i].Mount < live[j].Mount })
	return live, gone, nil
}

// Find returns the mount that holds a path; with an empty path, the one that holds the working
// directory work, else the only one there is. It fails with ErrNoDaemon, wrapped in a sentence
// that says what to do, or with ErrWhich.
func (r Registry) Find(ctx context.Context, path, work string) (Record, error) {
	live, err := r.List(ctx)
	if err != nil {
		return Record{}, err
	}
	if path != "" {
		if rec, ok := holder(live, path); ok {
			return rec, nil
		}
		return Record{}, fmt.Errorf("%w at %s: start one with `duskfs mount`", ErrNoDaemon, path)
	}
	if rec, ok := holder(live, work); ok {
		return rec, nil
	}
	switch len(live) {
	case 0:
		return Record{}, fmt.Errorf("%w: start one with `duskfs mount`", ErrNoDaemon)
	case 1:
		return live[0], nil
	}
	var all []string
	for _, rec := range live {
		all = append(all, rec.Mount)
	}
	return Record{}, fmt.Errorf("%w: %s", ErrWhich, strings.Join(all, ", "))
}

// holder returns the record with the longest mountpoint that contains path.
func holder(live []Record, path string) (best Record, found bool) {
	for _, rec := range live {
		if Inside(rec.Mount, path) && (!found || len(rec.Mount) > len(best.Mount)) {
			best, found = rec, true
		}
	}
	return best, found
}

// Inside reports whether a clean absolute path is a folder or something below it.
func Inside(folder, path string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
