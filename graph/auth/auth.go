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

// Config says who signs in, how and where. Which fields count depends on the mode; see [Choose].
type Config struct {
	Mode Mode // empty: follows from the fields below

	Tenant   string // id or verified domain; for a person also common, organizations or consumers
	ClientID string // the app registration; of a managed identity, the one assigned by a user

	ClientSecret        string // the app's secret
	Certificate         string // file with the app's certificate and private key, PEM or PFX
	CertificatePassword string // of that file, if it is encrypted
	AssertionFile       string // file with the token that a workload is known by; read anew for each sign-in

	// User is the sign-in name or the object id of the person who has to sign in; empty takes
	// whoever does. Only for people.
	User string
	// ReadOnly asks a person for permission to read only.
	ReadOnly bool
	// Dir is the folder that keeps a person's sign-in. It is made with mode 0700.
	Dir string
	// Keychain holds the key of the kept sign-in. Nil keeps it in a file of mode 0600 in Dir.
	Keychain Keychain

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
	Tenant  string // of an app as configured, of a person the id that the service gave; lower case
	Account string // "app:" and the client id, "managed:" and the client id, "person:" and an id that stays
	Name    string // of the account, for people; may change without its being another identity
	Mode    Mode
}

// Person reports whether somebody is signed in, and not an app as itself.
func (i Identity) Person() bool { return i.Mode == Person }

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

// credential is a way to prove who one is. It is called by one goroutine at a time.
type credential interface {
	// token signs in. A fresh one must not come from any cache. Errors are fit for a person and
	// hold no secret.
	token(ctx context.Context, ask ask) (token, error)
	// stamp changes when a refusal may no longer be the last word: somebody has signed in anew. It
	// costs next to nothing.
	stamp() string
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
	scopes  []string
	unsaved error // why the renewed sign-in of a person could not be kept; the old one still serves
}

// New returns a source of tokens. It does no network, but may ask the keychain, which takes a limited
// time. A configuration that cannot work fails with Invalid; a person who has not signed in by
// [Login], with SignIn.
func New(c Config) (*Source, error) {
	p, err := prepare(c)
	if err != nil {
		return nil, err
	}
	switch p.Mode {
	case Person:
		return newPersonSource(p)
	case Managed:
		return newManagedSource(p)
	}
	return newAppSource(p)
}

// prepared is a configuration that was found to make sense.
type prepared struct {
	Config // Mode and Tenant are set
	login  *url.URL
	graph  *url.URL
}

func (p prepared) authority() string { return p.login.JoinPath(p.Tenant).String() }

// hide lists what must not appear in words that are not our own.
func (p prepared) hide() []string { return []string{p.ClientSecret, p.CertificatePassword} }

func prepare(c Config) (prepared, error) {
	p := prepared{Config: c}
	var err error
	if p.Mode, err = Choose(c); err != nil {
		return p, err
	}
	if p.Tenant == "" {
		p.Tenant = "common"
	}
	if strings.ContainsAny(p.Tenant, "/?#% ") {
		return p, invalid("the tenant %q is neither an id nor a domain", p.Tenant)
	}
	if p.login, err = root(c.LoginURL, DefaultLoginURL); err != nil {
		return p, err
	}
	p.graph, err = root(c.GraphURL, DefaultGraphURL)
	return p, err
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
