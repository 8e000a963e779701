// Package rest speaks Microsoft Graph over HTTP. A [Client] holds what all drives of an account
// share: token, throttling gate, limits. A [Drive] is one drive and implements graph.Service.
//
// Repeating, waiting and giving up are decided in one place, [Client.do], by one rule: a read may
// be repeated, a write only when it surely had no effect.
package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// Defaults of Options.
const (
	DefaultGraphURL      = "https://graph.microsoft.com"
	DefaultConcurrency   = 8
	DefaultHeaderTimeout = time.Minute
	DefaultStallTimeout  = time.Minute
	DefaultPatience      = 20 * time.Minute
	DefaultFragment      = 10 << 20
)

// Tokens gives out access tokens; auth.Source is one. Errors of kind Throttled and Offline are
// worth another try, others are final.
type Tokens interface {
	Token(ctx context.Context) (string, error)
	// Refresh returns a token other than the refused one. The claims are the JSON of a claims
	// challenge, or empty.
	Refresh(ctx context.Context, refused, claims string) (string, error)
}

// Options shape a Client. Tokens is required.
type Options struct {
	GraphURL string // root: https, no version; empty is the worldwide cloud
	Tokens   Tokens
	// User is whose drive "me" means when an app signs in as itself, which has no /me: an id or
	// sign-in name. Empty with a signed-in person.
	User string

	// Transport carries calls to Graph, StorageTransport bytes from and to the storage hosts, which
	// never see a token. Nil is a transport of NewTransport(nil), and Transport.
	Transport        http.RoundTripper
	StorageTransport http.RoundTripper

	Version string       // of the product, for the User-Agent
	Logger  *slog.Logger // nil is silent

	// Concurrency is the most calls, uploads and downloads under way at once, each; 0 is the default. There
	// are fewer at first and after the service has refused something.
	Concurrency int
	// UnitsPerMinute paces calls in resource units. 0 is [SmallTenant] at Microsoft's hosts and no pace
	// elsewhere, negative is none; what the service says of its limit goes before it.
	UnitsPerMinute int
	UnitsBurst     int // units that may be used at once after a rest; 0 is a minute's
	// Units are the prices of calls; nil is what the service has published.
	Units         *Units
	HeaderTimeout time.Duration // for the head of an answer
	StallTimeout  time.Duration // without a byte of a body, either way
	// Patience is how long a call waits in all while the service throttles it.
	Patience time.Duration
	// Fragment is how many bytes of an upload go in one request, rounded to what the service takes:
	// a multiple of 320 KiB below 60 MiB. 0 begins with DefaultFragment, sends more on fast links and less
	// on slow ones.
	Fragment int64
	// SharingChanges asks the change feed to tell where sharing has changed (Item.SharingChanged). The service does so on
	// business drives and libraries, for an application that was granted Sites.FullControl.All; elsewhere it says
	// nothing. Pages take twice the bytes.
	SharingChanges bool
	// Paranoid reads the versions of a file after every upload that replaced it, to find out whether the bytes of
	// somebody else came between. Without it that is done where the service's counters say that it is worth it, which
	// those of personal drives do not.
	Paranoid bool

	grows bool
}

// Client is Graph as one account sees it. All methods may be called by any number of goroutines.
// It starts none that outlives a call.
type Client struct {
	opts      Options
	prefer    map[string]string // header of listings
	feeds     map[string]string // header of feeds
	root      string            // scheme and host, lower case, no slash
	userAgent string
	gate      *gate
	budget    *budget
	units     Units
	calls     *crowd
	uploads   *crowd
	downloads *crowd // held while a body is open, so kept apart from what a flush needs
	urls      *addressBook
}

// UserAgent is how the product names itself to the service, which serves undecorated traffic last
// (graph-facts §9).
func UserAgent(version string) string {
	if version == "" {
		version = "dev"
	}
	return "NONISV|duskfs|duskfs/" + version
}

// NewTransport returns a transport that trusts a pool, or the system's if it is nil, and does not
// wait for ever on a dead network. Proxies come from the environment.
func NewTransport(pool *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   2 * DefaultConcurrency,
		ForceAttemptHTTP2:     true,
	}
}

// New returns a client. It does no network; an address that cannot be used fails with Invalid.
func New(o Options) (*Client, error) {
	if o.GraphURL == "" {
		o.GraphURL = DefaultGraphURL
	}
	u, err := url.Parse(o.GraphURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, &graph.Error{Op: "connect", Kind: graph.Invalid, Item: o.GraphURL,
			Message: "the address of Graph must be the root of an https service, such as " + DefaultGraphURL}
	}
	if o.Tokens == nil {
		return nil, &graph.Error{Op: "connect", Kind: graph.Invalid, Message: "nobody to sign in"}
	}
	if o.Transport == nil {
		o.Transport = NewTransport(nil)
	}
	if o.StorageTransport == nil {
		o.StorageTransport = o.Transport
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	orInt(&o.Concurrency, DefaultConcurrency)
	if o.UnitsPerMinute == 0 && microsofts(u.Hostname()) {
		o.UnitsPerMinute = SmallTenant
	}
	if o.Units == nil {
		published := publishedUnits()
		o.Units = &published
	}
	orTime(&o.HeaderTimeout, DefaultHeaderTimeout)
	orTime(&o.StallTimeout, DefaultStallTimeout)
	orTime(&o.Patience, DefaultPatience)
	if o.Fragment <= 0 {
		o.Fragment, o.grows = DefaultFragment, true
	}
	o.Fragment = min(max(o.Fragment/fragmentUnit, 1), maxFragmentUnits) * fragmentUnit
	return &Client{
		opts:      o,
		root:      "https://" + strings.ToLower(u.Host),
		userAgent: UserAgent(o.Version),
		prefer:    prefer(),
		feeds:     prefer(o.sharing()...),
		gate:      &gate{},
		budget:    newBudget(o.UnitsPerMinute, o.UnitsBurst),
		units:     *o.Units,
		calls:     newCrowd(o.Concurrency),
		uploads:   newCrowd(o.Concurrency),
		downloads: newCrowd(o.Concurrency),
		urls:      newAddressBook(),
	}, nil
}

// prefer makes the header that says what an answer shall hold besides the ordinary. Without the first, personal drives leave
// out shortcuts to folders that others share (graph-facts §4). It is repeated on every page. Not asked for is
// deltaExcludeParent: folders above a change cost little.
func prefer(more ...string) map[string]string {
	return map[string]string{"Prefer": strings.Join(append([]string{"Include-Feature=AddToOneDrive"}, more...), ", ")}
}

// sharing is what a feed has to be asked for to tell of sharing: the last needs the others (graph-facts §4).
func (o Options) sharing() []string {
	if !o.SharingChanges {
		return nil
	}
	return []string{"hierarchicalsharing", "deltashowremovedasdeleted", "deltatraversepermissiongaps", "deltashowsharingchanges"}
}

// microsofts reports whether a host is one of Microsoft's clouds (graph-facts §1.7).
func microsofts(host string) bool {
	host = "." + strings.ToLower(host)
	return strings.HasSuffix(host, ".microsoft.com") || strings.HasSuffix(host, ".microsoft.us") ||
		strings.HasSuffix(host, ".microsoftgraph.chinacloudapi.cn")
}

func orInt(v *int, fallback int) {
	if *v <= 0 {
		*v = fallback
	}
}

func orTime(v *time.Duration, fallback time.Duration) {
	if *v <= 0 {
		*v = fallback
	}
}

// Drive returns the drive with an id. It does no network, so the drive may not exist.
func (c *Client) Drive(id graph.DriveID) *Drive { return &Drive{c: c, id: id} }

// Close lets go of idle connections.
func (c *Client) Close() {
	for _, t := range []http.RoundTripper{c.opts.Transport, c.opts.StorageTransport} {
		if idle, ok := t.(interface{ CloseIdleConnections() }); ok {
			idle.CloseIdleConnections()
		}
	}
}

// address makes the address of a path below the version root. The path is escaped already.
func (c *Client) address(path string) string { return c.root + "/v1.0" + path }

// ours reports whether an address may be sent a token: it is Graph as configured, by https.
func (c *Client) ours(u *url.URL) bool {
	return u.Scheme == "https" && "https://"+strings.ToLower(u.Host) == c.root && u.User == nil
}
