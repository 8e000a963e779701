package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/graph/auth"
	"github.com/duskfs/duskfs/graph/rest"
)

// signInAs says how a configuration signs in.
func signInAs(cfg *config.Config, version string, transport http.RoundTripper) auth.Config {
	c := auth.Config{
		Mode: cfg.SignIn, Tenant: cfg.Tenant, ClientID: cfg.Client, ClientSecret: cfg.Secret.Reveal(),
		Certificate: cfg.Certificate, CertificatePassword: cfg.CertificatePassword.Reveal(), AssertionFile: cfg.AssertionFile,
		User: cfg.User, ReadOnly: cfg.ReadOnly, Dir: signInDir(cfg),
		LoginURL: cfg.LoginURL, GraphURL: cfg.GraphURL,
		Transport: transport, UserAgent: rest.UserAgent(version),
	}
	if cfg.Keychain {
		c.Keychain = auth.SystemKeychain()
	}
	return c
}

// Person is somebody's sign-in, as `login` and `logout` change it. No daemon needs to run.
type Person struct {
	cfg       *config.Config
	transport *http.Transport
	auth      auth.Config
}

// NewPerson prepares the sign-in that a configuration describes. A configuration that cannot work is
// a *config.Error.
func NewPerson(cfg *config.Config, version string) (*Person, error) {
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	return &Person{cfg: cfg, transport: transport, auth: signInAs(cfg, version, transport)}, nil
}

// Login asks the person to sign in; see auth.Login.
func (p *Person) Login(ctx context.Context, how auth.Prompt) (auth.Account, error) {
	if err := PrepareState(p.cfg.StateDir); err != nil {
		return auth.Account{}, err
	}
	a, err := auth.Login(ctx, p.auth, how)
	return a, mistake(err)
}

// SignedIn tells who is signed in, without a request.
func (p *Person) SignedIn(ctx context.Context) (auth.Account, error) {
	a, err := auth.SignedIn(ctx, p.auth)
	return a, mistake(err)
}

// Logout forgets the sign-in, and reports whether there was one.
func (p *Person) Logout(ctx context.Context) (bool, error) {
	was, err := auth.Logout(ctx, p.auth)
	return was, mistake(err)
}

// Close lets go of connections.
func (p *Person) Close() { p.transport.CloseIdleConnections() }

func accountDir(cfg *config.Config, id auth.Identity) string {
	return filepath.Join(cfg.StateDir, "accounts", id.Key())
}

// Who is an account and how its sign-in stands, as `duskfs whoami --json` prints it.
type Who struct {
	Account string     `json:"account"` // sign-in name of a person, or "app:" and the client id
	Tenant  string     `json:"tenant"`
	Cloud   string     `json:"cloud"`   // host of the sign-in service
	Kind    string     `json:"kind"`    // person, secret, certificate, federated or managed
	State   string     `json:"state"`   // ok, needed, offline or unknown
	Expires *time.Time `json:"expires"` // of the token at hand, which is renewed by itself
	Scopes  []string   `json:"scopes"`
	Error   string     `json:"error,omitempty"`
	// Of a person only.
	How   string     `json:"how,omitempty"` // device or browser
	Since *time.Time `json:"since,omitempty"`
	Key   string     `json:"key,omitempty"` // who keeps the key of the kept tokens: keychain or file
}

// WhoIs tells of a sign-in that is kept.
func WhoIs(a auth.Account) Who {
	return Who{Account: a.Identity.Name, Tenant: a.Identity.Tenant, Cloud: a.Identity.Cloud, Kind: string(a.Identity.Mode),
		State: "unknown", Scopes: a.Scopes, How: a.How, Since: moment(a.Since), Key: a.Key}
}

// Whoami asks for a token, which costs no request where one is kept, and tells whose it is. The error
// is that of the token; what is known without one is told all the same.
func (a *Account) Whoami(ctx context.Context) (Who, error) {
	_, err := a.source.Token(ctx)
	id, st, told := a.source.Identity(), a.source.State(), a.auth()
	w := Who{Account: id.Name, Tenant: id.Tenant, Cloud: id.Cloud, Kind: string(id.Mode), State: told.State,
		Expires: moment(st.Expires), Scopes: append([]string{}, st.Scopes...)}
	if err != nil {
		w.Error = err.Error()
	}
	return w, err
}

// Unsent counts the changes of an account that were not sent yet: by asking the mounts that serve
// it, whose mountpoints are returned, or by looking into its state.
func (p *Person) Unsent(ctx context.Context, a auth.Account) (items int, mounts []string, err error) {
	dir := accountDir(p.cfg, a.Identity)
	running, err := control.NewRegistry(p.cfg.StateDir).List(ctx)
	if err != nil && !errors.Is(err, control.ErrNoDaemon) {
		return 0, nil, err
	}
	for _, r := range running {
		s, err := control.NewClient(r.Mount, r.Socket).Status(ctx)
		if err == nil && s.Cache.Dir == dir {
			items += s.Pending.Items
			mounts = append(mounts, r.Mount)
		}
	}
	if _, err := os.Stat(dir); len(mounts) > 0 || errors.Is(err, fs.ErrNotExist) {
		return items, mounts, nil
	}
	syscall.Umask(0o077) // badger makes its files 0666
	store, err := openStore(ctx, dir, p.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, nil, err
	}
	items, err = unsent(store)
	return items, nil, errors.Join(err, store.Close())
}

func unsent(store *cache.Store) (items int, err error) {
	drives, err := store.Drives()
	for _, d := range drives {
		p, perr := store.Outbox(d.Num).Pending()
		items, err = items+p.Items, errors.Join(err, perr)
	}
	return items, err
}

// signInDir is where the sign-ins of people are kept.
func signInDir(cfg *config.Config) string { return filepath.Join(cfg.StateDir, "signin") }
