package daemon

import (
	"context"
	"net/http"
	"path/filepath"
	"time"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/graph/auth"
	"github.com/duskfs/duskfs/graph/rest"
)

// signInAs says how a configuration signs in.
func signInAs(cfg *config.Config, version string, transport http.RoundTripper) auth.Config {
	c := auth.Config{
		Mode: cfg.SignIn, Tenant: cfg.Tenant, ClientID: cfg.Client, ClientSecret: cfg.Secret.Reveal(),
		Certificate: cfg.Certificate, CertificatePassword: cfg.CertificatePassword.Reveal(), AssertionFile: cfg.AssertionFile,
		User: cfg.User, ReadOnly: cfg.ReadOnly, Dir: filepath.Join(cfg.StateDir, "signin"),
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

// StateDir is the folder of the account's unsent work.
func (p *Person) StateDir(a auth.Account) string { return accountDir(p.cfg, a.Identity) }

// Close lets go of connections.
func (p *Person) Close() { p.transport.CloseIdleConnections() }

func accountDir(cfg *config.Config, id auth.Identity) string {
	return filepath.Join(cfg.StateDir, "accounts", id.Key())
}

// Who is an account and how its sign-in stands, as `duskfs whoami --json` prints it.
type Who struct {
	Account string     `json:"account"` // sign-in name of a person, or "app:" and the client id
	Tenant  string     `json:"tenant"`
	Cloud   string     `json:"cloud"` // host of the sign-in service
	Kind    string     `json:"kind"`  // person, secret, certificate, federated or managed
	How     string     `json:"how,omitempty"`
	State   string     `json:"state"`   // ok, needed or offline
	Expires *time.Time `json:"expires"` // of the token at hand; it is renewed by itself
	Since   *time.Time `json:"since,omitempty"`
	Scopes  []string   `json:"scopes"`
	Key     string     `json:"key,omitempty"`
	Error   string     `json:"error,omitempty"`
}

// Whoami asks for a token, which costs no request if one is kept, and tells whose it is. The error
// is that of the token; what is known without one is told all the same.
func (a *Account) Whoami(ctx context.Context) (Who, error) {
	_, err := a.source.Token(ctx)
	id, st, told := a.source.Identity(), a.source.State(), a.auth()
	w := Who{Account: id.Name, Tenant: id.Tenant, Cloud: id.Cloud, Kind: string(id.Mode), State: told.State,
		Expires: moment(st.Expires), Scopes: st.Scopes, Error: told.Error}
	if err != nil && w.Error == "" {
		w.Error = err.Error()
	}
	if w.Scopes == nil {
		w.Scopes = []string{}
	}
	return w, err
}
