package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/graph"
)

const (
	// lockWait is how long another process may hold the files of a sign-in; it takes milliseconds.
	lockWait = 15 * time.Second
	lockStep = 10 * time.Millisecond
)

// record is what a person's sign-in left, as it is sealed.
type record struct {
	// SignIn is new with each login, so that a renewal cannot bring a former one back.
	SignIn string          `json:"sign_in"`
	Home   string          `json:"home"` // the account's id in MSAL's form: person.tenant
	Name   string          `json:"name"` // sign-in name
	Tenant string          `json:"tenant"`
	How    string          `json:"how"` // device or browser
	Since  time.Time       `json:"since"`
	Scopes []string        `json:"scopes"` // what was granted
	Cache  json.RawMessage `json:"cache"`  // MSAL's, opaque
	// Over and Code are the service's last word, once it has ended the sign-in; both empty until then.
	Over string `json:"over,omitempty"`
	Code string `json:"code,omitempty"`
}

var (
	errNobody   = errors.New("nobody is signed in")
	errReplaced = errors.New("somebody has signed in anew") // perhaps the same person
)

// vault keeps one person's sign-in in sealed files of a folder. Any number of processes may share
// it: each change is made under a file lock that is held for no call over the network, and replaces the
// file in one step, so that a kill leaves the old or the new.
type vault struct {
	dir, name string
	keychain  Keychain // nil: there is none
}

// openVault names the files of a sign-in by cloud, tenant, app and the person configured.
func openVault(p prepared) *vault {
	name := Identity{Cloud: p.login.Host, Tenant: p.Tenant, Account: p.ClientID}.Key()
	if p.User != "" {
		sum := sha256.Sum256([]byte(strings.ToLower(p.User)))
		name += "_" + hex.EncodeToString(sum[:6])
	}
	return &vault{dir: p.Dir, name: name, keychain: p.Keychain}
}

func (v *vault) file(ending string) string { return filepath.Join(v.dir, v.name+ending) }

// load reads the record. It fails with errNobody, or with SignIn and a sentence if what is kept
// cannot be used.
func (v *vault) load(ctx context.Context) (record, holder, error) {
	var r record
	sealed, err := os.ReadFile(v.file(".tokens"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, "", errNobody
	case err != nil:
		return r, "", unusable("%s cannot be read: %s", v.file(".tokens"), reason(err))
	}
	h, err := keyHolder(sealed)
	if err != nil {
		return r, "", v.damaged()
	}
	key, err := v.key(ctx, h)
	if err != nil {
		return r, h, err
	}
	content, err := unseal(sealed, key, v.name)
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	if err != nil || r.Home == "" {
		return record{}, h, v.damaged()
	}
	return r, h, nil
}

func (v *vault) damaged() error {
	return unusable("the file %s is damaged", v.file(".tokens"))
}

func unusable(format string, args ...any) error {
	return &graph.Error{Op: op, Kind: graph.SignIn,
		Message: "the kept sign-in cannot be used: " + fmt.Sprintf(format, args...) + "; run `duskfs login` again"}
}

// key fetches the key from who holds it.
func (v *vault) key(ctx context.Context, h holder) ([]byte, error) {
	var text string
	switch h {
	case inKeychain:
		if v.keychain == nil {
			return nil, unusable("its key is in the keychain, which this session cannot reach")
		}
		var err error
		text, err = v.keychain.Get(ctx, v.entry())
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%s: %w", op, ctx.Err())
		case errors.Is(err, ErrNoKey):
			return nil, unusable("its key is no longer in the keychain")
		case err != nil:
			return nil, unusable("the keychain that has its key does not answer; unlock it")
		}
	default:
		data, err := os.ReadFile(v.file(".key"))
		if err != nil {
			return nil, unusable("its key %s cannot be read: %s", v.file(".key"), reason(err))
		}
		text = strings.TrimSpace(string(data))
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != keySize {
		return nil, unusable("its key is damaged")
	}
	return key, nil
}

// entry is the name of the key in the keychain: another one for each state folder.
func (v *vault) entry() string {
	sum := sha256.Sum256([]byte(v.dir))
	return v.name + " " + hex.EncodeToString(sum[:6])
}

// save replaces what is kept by a new sign-in.
func (v *vault) save(ctx context.Context, r record) (h holder, err error) {
	err = v.locked(ctx, func() error {
		key, holds, err := v.keyToSave(ctx)
		if err != nil {
			return err
		}
		h = holds
		if err := v.write(r, key, holds); err != nil {
			return err
		}
		return v.remember(r)
	})
	return h, err
}

// last is who signed in last, which stays when the sign-in itself is gone: work that they did not send
// is kept for them. There is no secret in it.
type last struct {
	Home   string `json:"home"`
	Name   string `json:"name"`
	Tenant string `json:"tenant"`
}

func (v *vault) remember(r record) error {
	text, err := json.Marshal(last{Home: r.Home, Name: r.Name, Tenant: r.Tenant})
	if err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	return v.replace(".last", text)
}

// recall finds who signed in last. It reports false if nobody ever did, as far as can be told.
func (v *vault) recall() (record, bool) {
	text, err := os.ReadFile(v.file(".last"))
	if err != nil {
		return record{}, false
	}
	var l last
	if json.Unmarshal(text, &l) != nil || l.Home == "" || l.Name == "" || l.Tenant == "" {
		return record{}, false
	}
	return record{Home: l.Home, Name: l.Name, Tenant: l.Tenant}, true
}

// renew replaces the record by what change makes of it. If the sign-in it belongs to has ended
// meanwhile, it fails with errNobody after a logout or errReplaced after a login, and changes nothing.
func (v *vault) renew(ctx context.Context, signIn string, change func(*record)) error {
	return v.locked(ctx, func() error {
		r, h, err := v.load(ctx)
		switch {
		case err != nil:
			return err
		case r.SignIn != signIn:
			return errReplaced
		}
		key, err := v.key(ctx, h)
		if err != nil {
			return err
		}
		change(&r)
		return v.write(r, key, h)
	})
}

// remove forgets the sign-in and its key. It is no error if there is none.
func (v *vault) remove(ctx context.Context) error {
	return v.locked(ctx, func() error {
		sealed, err := os.ReadFile(v.file(".tokens"))
		if err == nil && v.keychain != nil {
			if h, err := keyHolder(sealed); err == nil && h == inKeychain {
				// Without its file the key opens nothing; a keychain that does not answer is no reason
				// to stay signed in.
				defer func() { _ = v.keychain.Delete(ctx, v.entry()) }()
			}
		}
		for _, ending := range []string{".tokens", ".tokens.new", ".key", ".key.new"} {
			if err := os.Remove(v.file(ending)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove %s: %s", v.file(ending), reason(err))
			}
		}
		return syncDir(v.dir)
	})
}

// keyToSave finds the key for a new sign-in: the one in use if it can be had, else a new one, in the
// keychain if that takes it and gives it back.
func (v *vault) keyToSave(ctx context.Context) ([]byte, holder, error) {
	if sealed, err := os.ReadFile(v.file(".tokens")); err == nil {
		if h, err := keyHolder(sealed); err == nil && (h == inKeychain) == (v.keychain != nil) {
			if key, err := v.key(ctx, h); err == nil {
				return key, h, nil
			}
		}
	}
	key := newKey()
	text := hex.EncodeToString(key)
	if v.keychain != nil && v.keychain.Set(ctx, v.entry(), text) == nil {
		if back, err := v.keychain.Get(ctx, v.entry()); err == nil && back == text {
			return key, inKeychain, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	return key, inFile, v.replace(".key", []byte(text+"\n"))
}

func (v *vault) write(r record, key []byte, h holder) error {
	content, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	sealed, err := seal(content, key, v.name, h)
	if err != nil {
		return err
	}
	return v.replace(".tokens", sealed)
}

// replace puts a file in place in one step that a power cut leaves done or not done.
func (v *vault) replace(ending string, data []byte) (err error) {
	fresh := v.file(ending + ".new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if also := f.Close(); err == nil {
		err = also
	}
	if err == nil {
		err = os.Rename(fresh, v.file(ending))
	}
	if err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	return syncDir(v.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	defer func() { _ = d.Close() }() // nothing was written through it
	if err := d.Sync(); err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	return nil
}

// locked does something while no other process changes the files.
func (v *vault) locked(ctx context.Context, do func() error) error {
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	if err := os.Chmod(v.dir, 0o700); err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	f, err := os.OpenFile(v.file(".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	defer func() { _ = f.Close() }() // lets the lock go
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("keep sign-in: %s is locked by another process: %w", v.file(".lock"), ctx.Err())
		}
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return do()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("keep sign-in: lock: %w", err)
		}
		timer.Reset(lockStep)
	}
}
