package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/duskfs/duskfs/graph"
)

const (
	maxMargin = 5 * time.Minute
	// refusalRest is how long a refused sign-in is believed without asking again, so that a dead
	// secret does not knock at the service with every call.
	refusalRest = 10 * time.Second
)

// Source hands out the access token. All of its methods may be called by any number of goroutines;
// those who need a token at the same time share one request.
type Source struct {
	cred      credential
	identity  Identity
	readsOnly bool
	turn      chan struct{} // holds one value while nobody signs in

	mu       sync.Mutex // guards what follows; never held over the network
	kept     token
	renew    time.Time // when kept is given out no more
	attempts int       // sign-ins ended, either way
	failure  error     // how the last one failed, nil if it did not
	restTo   time.Time // until then failure stands without another try, unless the stamp is another
	stamp    string    // of the credential when failure came about
}

func newSource(cred credential, id Identity) *Source {
	s := &Source{cred: cred, identity: id, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// Identity names who signs in.
func (s *Source) Identity() Identity { return s.identity }

// ReadsOnly reports whether a person agreed to reading only when signing in, though the configuration asks for more: with
// Config.ReadOnly there are tokens, without it none until somebody has signed in anew.
func (s *Source) ReadsOnly() bool { return s.readsOnly }

// State is what is known of the sign-in without asking the service.
type State struct {
	SignedIn bool      // a token is at hand
	Expires  time.Time // when it dies; zero without one
	Scopes   []string  // what the token allows, as far as the service said
	Err      error     // why the last sign-in failed; nil if it did not
	// Unsaved is why the renewed sign-in of a person could not be kept, nil if it was. What is kept
	// still serves.
	Unsaved error
}

// State does no network.
func (s *Source) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := State{Err: s.failure, Scopes: s.kept.scopes, Unsaved: s.kept.unsaved}
	if s.kept.secret != "" && time.Now().Before(s.kept.expires) {
		st.SignedIn, st.Expires = true, s.kept.expires
	}
	return st
}

// Token returns a token that lives for a while yet, signing in if there is none. It fails with
// SignIn when the credential is refused (Message then says what to do), Throttled or Offline when
// another try may help, and with the context's error when that ends first.
func (s *Source) Token(ctx context.Context) (string, error) {
	return s.obtain(ctx, "", ask{})
}

// Refresh returns a token other than the one that the service just refused with 401. The first
// caller signs in anew; those who come with the same refused token share the result. The claims
// are the decoded JSON of a claims challenge, or empty. Errors are those of Token.
func (s *Source) Refresh(ctx context.Context, refused, claims string) (string, error) {
	return s.obtain(ctx, refused, ask{fresh: true, claims: claims})
}

// obtain returns the kept token unless it is the refused one, else signs in when its turn comes.
func (s *Source) obtain(ctx context.Context, refused string, a ask) (string, error) {
	tok, seen, ok := s.look(refused)
	if ok {
		return tok, nil
	}
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", fmt.Errorf("%s: %w", op, ctx.Err())
	}
	tok, now, ok := s.look(refused)
	if ok {
		return tok, nil
	}
	stamp := s.cred.stamp()
	if err := s.stands(now != seen, stamp); err != nil {
		return "", err
	}
	began := time.Now()
	got, err := s.cred.token(ctx, a)
	if err == nil && got.secret == refused {
		err = &graph.Error{Op: op, Kind: graph.SignIn,
			Message: "the sign-in service issued the same token that Graph just refused; check that the app may use Microsoft Graph"}
	}
	s.settle(began, stamp, got, err)
	if err != nil {
		return "", err
	}
	return got.secret, nil
}

// look returns the kept token if it may be given out, and how many sign-ins have ended.
func (s *Source) look(refused string) (secret string, attempts int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok = s.kept.secret != "" && s.kept.secret != refused && time.Now().Before(s.renew)
	return s.kept.secret, s.attempts, ok
}

// stands returns the last failure if it answers this caller too: because it came while the caller
// waited, or because another try is not due yet.
func (s *Source) stands(shared bool, stamp string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shared || time.Now().Before(s.restTo) && stamp == s.stamp {
		return s.failure
	}
	return nil
}

// settle records how a sign-in ended.
func (s *Source) settle(began time.Time, stamp string, got token, err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return // it was this caller who gave up: the next one tries for itself
	}
	s.attempts++
	s.failure, s.restTo, s.stamp = err, time.Time{}, stamp
	if err != nil {
		s.restTo = now.Add(rest(err))
		return
	}
	s.kept = got
	s.renew = got.expires.Add(-min(maxMargin, got.expires.Sub(began)/10))
}

// rest says how long to leave the service in peace after a failure.
func rest(err error) time.Duration {
	var e *graph.Error
	if !errors.As(err, &e) {
		return 0
	}
	switch e.Kind {
	case graph.Throttled:
		return e.RetryAfter
	case graph.SignIn:
		return refusalRest
	}
	return 0
}
