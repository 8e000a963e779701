package auth

import (
	"context"
	"net/http"
	"net/url"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// secret signs an app in as itself by a client secret (client credentials, graph-facts §1.3).
type secret struct {
	open   func() (confidential.Client, error)
	client confidential.Client
	scopes []string
	hide   string // the secret, to be struck from any text
}

func newSecret(c Config, login *url.URL, scope string) (*secret, error) {
	cred, err := confidential.NewCredFromSecret(c.ClientSecret)
	if err != nil {
		return nil, invalid("the client secret cannot be used")
	}
	authority := login.JoinPath(c.Tenant).String()
	carrier := newCarrier(c.Transport, c.UserAgent)
	s := &secret{scopes: []string{scope}, hide: c.ClientSecret}
	s.open = func() (confidential.Client, error) {
		return confidential.New(authority, c.ClientID, cred,
			confidential.WithHTTPClient(carrier),
			confidential.WithInstanceDiscovery(microsoft(login.Hostname())))
	}
	if s.client, err = s.open(); err != nil {
		return nil, invalid("the tenant or the login address cannot be used: %v", err)
	}
	return s, nil
}

func (s *secret) token(ctx context.Context, a ask) (token, error) {
	if a.fresh { // MSAL would answer from its cache, so start without one
		client, err := s.open()
		if err != nil {
			return token{}, failure(ctx, err, s.hide)
		}
		s.client = client
	}
	var options []confidential.AcquireByCredentialOption
	if a.claims != "" {
		options = append(options, confidential.WithClaims(a.claims))
	}
	result, err := s.client.AcquireTokenByCredential(ctx, s.scopes, options...)
	if err != nil {
		return token{}, failure(ctx, err, s.hide)
	}
	return token{secret: result.AccessToken, expires: result.ExpiresOn}, nil
}

// newCarrier returns the client MSAL talks through. MSAL itself neither retries nor limits time.
func newCarrier(transport http.RoundTripper, userAgent string) *http.Client {
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &http.Client{
		Transport:     decorated{transport, userAgent},
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// decorated names the program in every request.
type decorated struct {
	http.RoundTripper
	userAgent string
}

// RoundTrip sends the request.
func (d decorated) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.userAgent != "" {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", d.userAgent)
	}
	return d.RoundTripper.RoundTrip(r)
}
