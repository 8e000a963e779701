package graphtest

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// SharePointHost is the name under which the emulator's sites are found.
const SharePointHost = "contoso.sharepoint.example"

// Hosts of the service when it is reached through Transport.
const (
	memGraph   = "graph.duskfs.example"
	memLogin   = "login.duskfs.example"
	memStorage = "storage.duskfs.example"
)

// Defaults of the application registration.
const (
	DefaultClientID     = "7d1f0e5a-3c52-4b0e-9a44-d05cf5000001"
	DefaultClientSecret = "SECRET-CLIENT-emulator"
)

// Options shape a Server. The zero value is a small tenant in memory: two people with a business
// OneDrive each, and a site sites/Engineering with the libraries Documents and Archive, all empty.
type Options struct {
	// Dir is a state folder: bodies, the tree, the CA and its key live there and survive a clean
	// stop. Empty keeps all in memory (the CA file then lies in a temporary folder until Close).
	Dir string
	// Seed makes ids, generated content and the order of a shuffled feed. Same seed, same world. A
	// state folder keeps the seed it was made with.
	Seed uint64
	// Personal gives Me a drive of the personal form.
	Personal bool
	// Bare leaves the tenant without people and sites; add them before the first request.
	Bare bool
	// Sample fills the drive of Me and the library Documents with plausible files.
	Sample bool
	// TokenLife is how long access tokens live; 0 is an hour. SetTokenLife changes it.
	TokenLife time.Duration
	// FeedLag is how long a change stays unseen by delta. SetFeedLag changes it.
	FeedLag time.Duration
	// FeedPage is how many changed items a page of the feed has if the client does not say; 0 is 200.
	FeedPage int
	// ListPage is how many children a page has if the client does not say; 0 is 200.
	ListPage int
	// BareFeed leaves parentReference.path out of the feed, as the documentation says. The field
	// differs: business drives send it, and other clients lean on it.
	BareFeed bool
	// ShuffleFeed mixes the order of the items in every page of the feed.
	ShuffleFeed bool
	// EmptyFirstPage makes every enumeration of the feed begin with an empty page.
	EmptyFirstPage bool
	// TombstoneChildren lists everything below a deleted folder as deleted too.
	TombstoneChildren bool
	// OfficeRewrite, if positive, changes the bytes of uploaded Office, PDF and HTML files that
	// long after the upload. SetOfficeRewrite changes it.
	OfficeRewrite time.Duration
	// SessionLife is how long an upload session lives after its last fragment; 0 is 15 minutes.
	SessionLife time.Duration
	// DownloadLife is how long a pre-authenticated address lives; 0 is an hour.
	DownloadLife time.Duration
	// CopyDelay is how long a copy takes.
	CopyDelay time.Duration
	// StrictSessionMatch makes If-Match on createUploadSession behave as in the field: making the
	// session changes the eTag, and the last fragment then answers 412.
	StrictSessionMatch bool
	// TolerateAuthorization lets the storage host serve all requests that carry an Authorization
	// header, as the real one did for years and rclone before 1.67 relies on. Without it bytes are
	// refused both ways, and only the status and the end of a session are served. All are
	// violations either way.
	TolerateAuthorization bool
	// SocketLife is how long a notification address lives; 0 is an hour.
	SocketLife time.Duration
	// SocketPing is how often a notification connection is pinged; 0 is 25 seconds.
	SocketPing time.Duration
	// Webhooks carries notices to subscribers; nil is a transport that trusts the system and the
	// service's own CA.
	Webhooks http.RoundTripper
	// UnitsPerMinute limits the resource units an app may use in a minute; 0 is no limit.
	UnitsPerMinute int
	// Quirks are the oddities in force. SetQuirks changes them.
	Quirks Quirks
	// Hosts are more host names for the certificate. It has graph.microsoft.com and
	// login.microsoftonline.com anyway, for clients that a proxy or the resolver sends here.
	Hosts []string
}

// Server is an emulated Microsoft Graph, Entra ID and storage host. All methods are safe for
// concurrent use.
type Server struct {
	opts Options
	key  []byte // signs download addresses
	ca   *authority
	tmp  string // temporary folder to remove at Close

	mu                 sync.Mutex
	users              []*User
	sites              []*site
	drives             map[string]*Drive
	order              []*Drive
	sessions           map[string]*session
	copies             map[string]*copyJob
	later              []effect
	faults             []*Fault
	offline            bool
	life               time.Duration
	lag                time.Duration
	rewrite            time.Duration
	quirks             Quirks
	odds               map[int]*oddity      // of the catalogue, by number
	silent             map[string]time.Time // drives throttled by themselves, by id
	dice               *mrand.Rand
	acting, actingName string // who the work under way is done for
	counts             Counts
	check              checker
	units              unitWindow
	entra              entra
	serial             uint64
	requests           []Request // the log, newest last
	logged             int
	latency            time.Duration
	bandwidth          int64

	listeners  map[*listener]bool
	sockets    map[string]socketGrant // by token
	dropSocket map[*int]func()
	subs       []*subscription
	talking    sync.WaitGroup // conversations and deliveries; none is added once stopped is set
	stopProxy  []func()
	stopped    bool

	graphURL, loginURL, storageURL string

	servers []*http.Server
	serving sync.WaitGroup
	closing sync.Once
}

// New makes a service. Nothing listens yet: call Listen, or use Transport.
func New(o Options) (*Server, error) {
	s := &Server{opts: o, drives: map[string]*Drive{}, sessions: map[string]*session{}, copies: map[string]*copyJob{},
		listeners: map[*listener]bool{}, sockets: map[string]socketGrant{}, dropSocket: map[*int]func(){},
		life: o.TokenLife, lag: o.FeedLag, rewrite: o.OfficeRewrite, quirks: o.Quirks, counts: newCounts(),
		graphURL: "https://" + memGraph, loginURL: "https://" + memLogin, storageURL: "https://" + memStorage}
	s.odds, s.silent = map[int]*oddity{}, map[string]time.Time{}
	s.dice = mrand.New(mrand.NewPCG(o.Seed, 0xd1ce))
	s.check.seen = map[string]int{}
	s.check.pause, s.check.hasty = map[string]silence{}, map[string]int{}
	s.entra.init(s)
	if o.Dir != "" {
		for _, dir := range []string{o.Dir, s.bodyDir()} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return nil, fmt.Errorf("make state folder: %w", err)
			}
		}
	}
	restored, err := s.load()
	if err != nil {
		return nil, err
	}
	if restored {
		return s, nil
	}
	s.key = make([]byte, 32)
	if _, err := rand.Read(s.key); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if !o.Bare {
		kind := Business
		if o.Personal {
			kind = Personal
		}
		s.addUser("alice@contoso.example", "Alice Example", kind)
		s.addUser("bob@contoso.example", "Bob Example", Business)
		s.addSite("sites/Engineering", "Engineering", "Documents", "Archive")
	}
	if o.Sample && !o.Bare {
		if err := s.users[0].d.Sample(); err != nil {
			return nil, err
		}
		if err := s.sites[0].drives[0].Sample(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// now is the time of the service.
func (s *Server) now() time.Time { return time.Now().UTC() }

// random returns n random bytes in hexadecimal; for secrets.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// Listen serves on loopback TLS: Graph on addr ("127.0.0.1:0" picks a port), the login host and the
// storage host on the next two ports (or on two free ones).
func (s *Server) Listen(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen address: %w", err)
	}
	p, err := net.LookupPort("tcp", port)
	if err != nil {
		return fmt.Errorf("listen address: %w", err)
	}
	next := func(i int) string {
		if p == 0 {
			return addr
		}
		return net.JoinHostPort(host, fmt.Sprint(p+i))
	}
	return s.ListenOn(next(0), next(1), next(2))
}

// ListenOn serves on loopback TLS at three addresses. The first two may be equal; the storage host
// needs one of its own.
func (s *Server) ListenOn(graph, login, storage string) error {
	if err := s.prepareCA(); err != nil {
		return err
	}
	open := func(addr string, h hostKind) (string, error) {
		l, err := s.ca.listen(addr)
		if err != nil {
			return "", err
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveHTTP(h, w, r) }),
			ReadHeaderTimeout: time.Minute, ErrorLog: quietLog()}
		s.mu.Lock()
		s.servers, s.check.slow = append(s.servers, srv), true
		s.mu.Unlock()
		s.serving.Go(func() {
			if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
				s.violate("", "the emulator stopped serving: "+err.Error())
			}
		})
		return "https://" + l.Addr().String(), nil
	}
	g, err := open(graph, hostGraph)
	if err != nil {
		return err
	}
	l := g
	if login != graph || strings.HasSuffix(login, ":0") {
		if l, err = open(login, hostLogin); err != nil {
			return err
		}
	}
	st, err := open(storage, hostStorage)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.graphURL, s.loginURL, s.storageURL = g, l, st
	s.mu.Unlock()
	return nil
}

// Close stops serving, waits for requests under way, and writes the tree to the state folder.
func (s *Server) Close() error {
	var err error
	s.closing.Do(func() { err = s.close() })
	return err
}

func (s *Server) close() error {
	s.hangUp()
	s.mu.Lock()
	servers := s.servers
	s.mu.Unlock()
	var all []error
	for _, srv := range servers {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		if srv.Shutdown(ctx) != nil {
			all = append(all, srv.Close())
		}
		cancel()
	}
	s.serving.Wait()
	all = append(all, s.save())
	if s.tmp != "" {
		all = append(all, os.RemoveAll(s.tmp))
	}
	return errors.Join(all...)
}

// GraphURL is the root of Graph: https, no version.
func (s *Server) GraphURL() string { s.mu.Lock(); defer s.mu.Unlock(); return s.graphURL }

// LoginURL is the root of the login host: https, no tenant.
func (s *Server) LoginURL() string { s.mu.Lock(); defer s.mu.Unlock(); return s.loginURL }

// StorageURL is the root of the host that serves and takes bytes.
func (s *Server) StorageURL() string { s.mu.Lock(); defer s.mu.Unlock(); return s.storageURL }

// TenantID is the GUID of the tenant.
func (s *Server) TenantID() string { return s.guidOf("tenant") }

// CAFile is the path of the PEM file with the certificate of the service's own CA. It is made by
// the first call, or by Listen; empty if it cannot be made.
func (s *Server) CAFile() string {
	if s.prepareCA() != nil {
		return ""
	}
	return s.ca.file
}

// CAPool holds the service's own CA and nothing else.
func (s *Server) CAPool() *x509.CertPool {
	pool := x509.NewCertPool()
	if s.prepareCA() == nil {
		pool.AddCert(s.ca.cert)
	}
	return pool
}

// Env gives the variables a client of the service needs, as NAME=value.
func (s *Server) Env() []string {
	var user string
	if u := s.Me(); u != nil {
		user = u.ID
	}
	return []string{
		"DUSKFS_GRAPH_URL=" + s.GraphURL(),
		"DUSKFS_LOGIN_URL=" + s.LoginURL(),
		"DUSKFS_CA_FILE=" + s.CAFile(),
		"TENANT_ID=" + s.TenantID(),
		"CLIENT_ID=" + DefaultClientID,
		"CLIENT_SECRET=" + DefaultClientSecret,
		"USER_ID=" + user,
	}
}

// SetOffline makes every connection break, or lets them work again.
func (s *Server) SetOffline(off bool) { s.mu.Lock(); defer s.mu.Unlock(); s.offline = off }

// SetTokenLife sets how long access tokens given from now on live; 0 is an hour.
func (s *Server) SetTokenLife(d time.Duration) { s.mu.Lock(); defer s.mu.Unlock(); s.life = d }

// SetFeedLag sets how long changes stay unseen by delta.
func (s *Server) SetFeedLag(d time.Duration) { s.mu.Lock(); defer s.mu.Unlock(); s.lag = d }

// SetOfficeRewrite sets how long after an upload an Office, PDF or HTML file is rewritten; 0 stops it.
func (s *Server) SetOfficeRewrite(d time.Duration) { s.mu.Lock(); defer s.mu.Unlock(); s.rewrite = d }

// effect is something that happens at a later moment. Nothing runs in the background: what is due
// happens when the next request or colleague arrives.
type effect struct {
	at time.Time
	do func(now time.Time)
}

// settle lets everything happen that is due. The caller holds the lock.
func (s *Server) settle() {
	now := s.now()
	for {
		due := -1
		for i, e := range s.later {
			if !e.at.After(now) && (due < 0 || e.at.Before(s.later[due].at)) {
				due = i
			}
		}
		if due < 0 {
			return
		}
		e := s.later[due]
		s.later = append(s.later[:due], s.later[due+1:]...)
		e.do(e.at)
	}
}

// prepareCA makes or loads the CA.
func (s *Server) prepareCA() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ca != nil {
		return nil
	}
	dir := s.opts.Dir
	if dir == "" {
		tmp, err := os.MkdirTemp("", "graphtest-")
		if err != nil {
			return fmt.Errorf("make folder for the CA: %w", err)
		}
		s.tmp, dir = tmp, tmp
	}
	ca, err := loadAuthority(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"), s.opts.Hosts)
	if err != nil {
		return err
	}
	s.ca = ca
	return nil
}
