package auth

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"

	"github.com/duskfs/duskfs/graph"
)

const (
	// capability is declared with every sign-in, because a [Source] handles claims challenges
	// (graph-facts §1.5). In return tokens live for a day.
	capability = "CP1"
	// noClaims asks for nothing, and makes MSAL pass its cache by.
	noClaims = "{}"
)

// app signs an app in as itself (client credentials, graph-facts §1.3) by a secret, a certificate or
// a workload's token. Its tokens stay in memory.
type app struct {
	client confidential.Client
	scopes []string
	hide   []string
}

func newAppSource(p prepared) (*Source, error) {
	proof, err := proofOf(p)
	if err != nil {
		return nil, err
	}
	client, err := confidential.New(p.authority(), p.ClientID, proof,
		confidential.WithHTTPClient(newCarrier(p.Transport, p.UserAgent)),
		confidential.WithInstanceDiscovery(microsoft(p.login.Hostname())),
		confidential.WithClientCapabilities([]string{capability}))
	if err != nil {
		return nil, invalid("the tenant or the login address cannot be used: %v", err)
	}
	name := "app:" + strings.ToLower(p.ClientID)
	return newSource(&app{client: client, scopes: []string{allOf(p.graph)}, hide: p.hide()}, Identity{
		Cloud: strings.ToLower(p.login.Host), Tenant: strings.ToLower(p.Tenant), Account: name, Name: name, Mode: p.Mode,
	}), nil
}

// proofOf prepares the credential of an app.
func proofOf(p prepared) (confidential.Credential, error) {
	switch p.Mode {
	case Certificate:
		certs, key, err := readCertificate(p.Certificate, p.CertificatePassword)
		if err != nil {
			return confidential.Credential{}, err
		}
		proof, err := confidential.NewCredFromCert(certs, key)
		if err != nil {
			return proof, invalid("the certificate in %s cannot be used: the service takes RSA keys only", p.Certificate)
		}
		return proof, nil
	case Federated:
		return confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) {
			return readAssertion(p.AssertionFile)
		}), nil
	}
	proof, err := confidential.NewCredFromSecret(p.ClientSecret)
	if err != nil {
		return proof, invalid("the client secret cannot be used")
	}
	return proof, nil
}

// readAssertion reads a workload's token. Platforms replace the file before the token dies, so it is
// read for each sign-in.
func readAssertion(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", &graph.Error{Op: op, Kind: graph.SignIn, Message: "the workload's token cannot be read: " + file + ": " + reason(err)}
	}
	assertion := strings.TrimSpace(string(text))
	if assertion == "" {
		return "", &graph.Error{Op: op, Kind: graph.SignIn, Message: "the workload's token is empty: " + file}
	}
	return assertion, nil
}

// reason is a file's error without the path, which our sentences name themselves.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func (s *app) token(ctx context.Context, a ask) (token, error) {
	var options []confidential.AcquireByCredentialOption
	if claims := a.beyondCache(); claims != "" {
		options = append(options, confidential.WithClaims(claims))
	}
	result, err := s.client.AcquireTokenByCredential(ctx, s.scopes, options...)
	if err != nil {
		return token{}, failure(ctx, err, s.hide)
	}
	return token{secret: result.AccessToken, expires: result.ExpiresOn, scopes: s.scopes}, nil
}

// beyondCache returns the claims to give to MSAL: not empty if its cache must not answer.
func (a ask) beyondCache() string {
	if a.claims == "" && a.fresh {
		return noClaims
	}
	return a.claims
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

// stamp is always the same: a refused application stays refused.
func (s *app) stamp() string { return "" }
