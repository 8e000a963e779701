package daemon

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/auth"
	"github.com/duskfs/duskfs/graph/rest"
)

// Account is Graph as one account sees it: a sign-in and a client above it.
type Account struct {
	source  *auth.Source
	client  *rest.Client
	options rest.Options // of the client
	dir     string       // of the account's state
}

// Connect prepares the sign-in that a configuration describes. It does no network: the first call
// signs in. A configuration that cannot work is a *config.Error. log may be nil.
func Connect(cfg *config.Config, version string, log *slog.Logger) (*Account, error) {
	return connect(cfg, version, log, auth.New)
}

// connectAnyhow is Connect for a mount, which goes on with what is known of a person who is not signed
// in any more.
func connectAnyhow(cfg *config.Config, version string, log *slog.Logger) (*Account, error) {
	return connect(cfg, version, log, func(c auth.Config) (*auth.Source, error) {
		s, err := auth.New(c)
		if errors.Is(err, graph.SignIn) {
			if last, ok := auth.Last(c); ok {
				return last, nil
			}
		}
		return s, err
	})
}

func connect(cfg *config.Config, version string, log *slog.Logger, signIn func(auth.Config) (*auth.Source, error)) (*Account, error) {
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	source, err := signIn(signInAs(cfg, version, transport))
	if err != nil {
		return nil, mistake(err)
	}
	user := cfg.User
	if source.Identity().Person() {
		user = "" // then `me` is who signed in
	}
	options := rest.Options{
		GraphURL: cfg.GraphURL, Tokens: source, User: user,
		Transport: transport, Version: version, Logger: log,
		HeaderTimeout: cfg.Timeout, StallTimeout: cfg.Timeout, Patience: cfg.Patience,
	}
	client, err := rest.New(options)
	if err != nil {
		return nil, mistake(err)
	}
	return &Account{source: source, client: client, options: options, dir: accountDir(cfg, source.Identity())}, nil
}

// mistake turns what the packages below call Invalid into a mistake of the configuration.
func mistake(err error) error {
	var e *graph.Error
	if errors.As(err, &e) && e.Kind == graph.Invalid && e.Message != "" {
		return &config.Error{What: e.Message}
	}
	return err
}

// newTransport trusts the configured authorities besides the system's, and goes through the
// configured proxy.
func newTransport(cfg *config.Config) (*http.Transport, error) {
	var pool *x509.CertPool
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return nil, &config.Error{Where: cfg.Source("ca.file"), What: fmt.Sprintf("the file of certificate authorities %s cannot be read: %v", cfg.CAFile, err)}
		}
		if pool, err = x509.SystemCertPool(); err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, &config.Error{Where: cfg.Source("ca.file"), What: fmt.Sprintf("there is no certificate in %s", cfg.CAFile)}
		}
	}
	t := rest.NewTransport(pool)
	if cfg.Proxy != "" {
		u, err := url.Parse(cfg.Proxy)
		if err != nil {
			return nil, &config.Error{Where: cfg.Source("proxy"), What: "the address of the proxy cannot be read"}
		}
		t.Proxy = http.ProxyURL(u)
	}
	return t, nil
}

// Close lets go of connections.
func (a *Account) Close() { a.client.Close() }

// auth tells how the sign-in stands, without asking the service.
func (a *Account) auth() control.Auth {
	id, st := a.source.Identity(), a.source.State()
	out := control.Auth{State: "unknown", Account: id.Name + " in " + id.Tenant, Expires: moment(st.Expires)}
	switch {
	case errors.Is(st.Err, graph.SignIn):
		out.State = "needed"
	case st.SignedIn:
		out.State = "ok"
	case st.Err != nil:
		out.State = "offline"
	}
	if st.Err != nil {
		out.Error = sentence(graph.KindOf(st.Err), st.Err.Error(), time.Time{}, time.Time{})
	}
	return out
}

// Found is a drive that can be mounted, as `duskfs drives --json` prints it.
type Found struct {
	Drive string `json:"drive"` // what to type to mount it
	ID    string `json:"id"`
	Name  string `json:"name"`
	Type  string `json:"type"` // personal, business or documentLibrary
	Owner string `json:"owner"`
	Site  string `json:"site"`
	URL   string `json:"url"`
	Quota Quota  `json:"quota"`
}

// Quota is the space of a drive in bytes; a total of 0 is unknown.
type Quota struct {
	Total     int64 `json:"total"`
	Used      int64 `json:"used"`
	Remaining int64 `json:"remaining"`
}

// Drives lists what can be mounted: the own drive and the libraries one may see, or the libraries
// of the sites that match a query.
func (a *Account) Drives(ctx context.Context, query string) ([]Found, error) {
	drives, err := a.client.Drives(ctx, query)
	if err != nil {
		return nil, err
	}
	all := []Found{}
	for i, d := range drives {
		all = append(all, Found{
			Drive: typed(d, i == 0 && query == "" && d.Site == "" && !d.Library()), ID: string(d.ID), Name: d.Name, Type: d.Type, Owner: d.Owner, Site: d.Site, URL: d.WebURL,
			Quota: Quota{Total: d.Quota.Total, Used: d.Quota.Used, Remaining: d.Quota.Remaining},
		})
	}
	return all, nil
}

// typed is what to type to mount a drive: by site and library where its address tells them, else
// by its id.
func typed(d graph.Drive, own bool) string {
	if own {
		return rest.Spec{Where: rest.Me}.String()
	}
	byID := rest.Spec{Where: rest.ByID, Name: string(d.ID)}.String()
	u, err := url.Parse(d.WebURL)
	if err != nil || u.Host == "" || !d.Library() || d.Name == "" || strings.Count(strings.Trim(u.Path, "/"), "/") < 1 {
		return byID
	}
	s := rest.Spec{Where: rest.Site, Name: u.Host, Path: path.Dir(u.Path), Library: d.Name}
	if back, err := rest.ParseSpec(s.String()); err != nil || back != s {
		return byID
	}
	return s.String()
}
