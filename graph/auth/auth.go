// Package auth signs in and keeps the token that every call to Graph carries. It is the only
// package that knows MSAL.
//
// A [Source] stands above MSAL and is shared by everybody who talks to Graph. MSAL counts a token
// with less than five minutes left as dead, and has no answer to a token that the service refuses
// before its time; a Source has both.
package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
)

const (
	// DefaultLoginURL is the sign-in service of the worldwide cloud.
	DefaultLoginURL = "https://login.microsoftonline.com"
	// DefaultGraphURL is Graph in the worldwide cloud.
	DefaultGraphURL = "https://graph.microsoft.com"

	op             = "sign in"
	requestTimeout = 30 * time.Second
)

// Config says who signs in, and where.
type Config struct {
	Tenant       string // id or verified domain
	ClientID     string // the app registration
	ClientSecret string

	// LoginURL and GraphURL are roots: https, no tenant, no version. Empty means the worldwide
	// cloud. The token is asked for GraphURL's own "/.default", at any host: national clouds need
	// theirs (graph-facts §1.7), and an emulator takes its own.
	LoginURL string
	GraphURL string

	// Transport carries the requests; nil is http.DefaultTransport. It must trust the sign-in
	// service's certificate. Redirects are not followed, since a request carries the secret.
	Transport http.RoundTripper
	// UserAgent is sent with every request; empty leaves Go's.
	UserAgent string
}

// Identity names who is signed in without a secret in it. State that belongs to an account is kept
// under its Key.
type Identity struct {
	Cloud   string // host, and port if it has one, of the sign-in service
	Tenant  string // as configured, lower case
	Account string // "app:" and the client id, for an app that signs in as itself
}

// Key is the same for the same identity, different for others, and fit for a file name.
func (i Identity) Key() string {
	key := strings.ToLower(i.Cloud + "_" + i.Tenant + "_" + i.Account)
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.', r == '-', r == '_', r == '@':
			return r
		}
		return '-'
	}, key)
}

// credential is a way to prove who one is: an app secret today; a certificate, a device code or a
// managed identity fit the same shape. It is called by one goroutine at a time.
type credential interface {
	// token signs in. A fresh one must not come from any cache. Errors are fit for a person and
	// hold no secret.
	token(ctx context.Context, ask ask) (token, error)
}

// ask says what sort of token is wanted.
type ask struct {
	fresh  bool
	claims string // JSON of a claims challenge (graph-facts §1.5), or empty
}

// token is an access token. It is opaque: nothing in it is ours to read.
type token struct {
	secret  string
	expires time.Time
}

// New returns a source of tokens. It does no network; a configuration that cannot work fails with
// Invalid.
func New(c Config) (*Source, error) {
	for _, missing := range []struct{ value, what string }{
		{c.Tenant, "the tenant (TENANT_ID)"},
		{c.ClientID, "the app's client id (CLIENT_ID)"},
		{c.ClientSecret, "the app's client secret (CLIENT_SECRET)"},
	} {
		if strings.TrimSpace(missing.value) == "" {
			return nil, invalid("%s is not configured", missing.what)
		}
	}
	if strings.ContainsAny(c.Tenant, "/?#% ") {
		return nil, invalid("the tenant %q is neither an id nor a domain", c.Tenant)
	}
	login, err := root(c.LoginURL, DefaultLoginURL)
	if err != nil {
		return nil, err
	}
	graphRoot, err := root(c.GraphURL, DefaultGraphURL)
	if err != nil {
		return nil, err
	}
	cred, err := newSecret(c, login, graphRoot.String()+"/.default")
	if err != nil {
		return nil, err
	}
	return newSource(cred, Identity{
		Cloud:   strings.ToLower(login.Host),
		Tenant:  strings.ToLower(c.Tenant),
		Account: "app:" + strings.ToLower(c.ClientID),
	}), nil
}

// root reads the root of a service.
func root(text, fallback string) (*url.URL, error) {
	if text == "" {
		text = fallback
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return nil, invalid("%q is no address of a service", text)
	case u.Scheme != "https":
		return nil, invalid("%q must begin with https://", text)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return nil, invalid("%q must be the root of a service, such as %s", text, fallback)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// microsoft reports whether MSAL trusts the host without asking Microsoft about it
// (graph-facts §1.2). For any other, an emulator above all, instance discovery is off.
func microsoft(host string) bool {
	switch strings.ToLower(host) {
	case "login.microsoftonline.com", "login.microsoft.com", "login.windows.net", "sts.windows.net",
		"login.partner.microsoftonline.cn", "login.chinacloudapi.cn", "login.microsoftonline.de",
		"login-us.microsoftonline.com", "login.microsoftonline.us", "login.usgovcloudapi.net",
		"login.sovcloud-identity.fr", "login.sovcloud-identity.de", "login.sovcloud-identity.sg":
		return true
	}
	return false
}

func invalid(format string, args ...any) error {
	return &graph.Error{Op: op, Kind: graph.Invalid, Message: fmt.Sprintf(format, args...)}
}
