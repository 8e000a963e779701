package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	msal "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"

	"github.com/duskfs/duskfs/graph"
)

// managed signs in as the managed identity of an Azure machine. The machine's own service vouches
// for it, without a secret of ours; MSAL finds that service by the machine's environment.
type managed struct {
	client managedidentity.Client
	graph  string
}

func newManagedSource(p prepared) (*Source, error) {
	var id managedidentity.ID = managedidentity.SystemAssigned()
	name := "managed:system"
	if p.ClientID != "" {
		id, name = managedidentity.UserAssignedClientID(p.ClientID), "managed:"+strings.ToLower(p.ClientID)
	}
	transport := p.Transport
	if t, ok := transport.(*http.Transport); ok { // the service is at this machine: no proxy reaches it
		t = t.Clone()
		t.Proxy = nil
		transport = t
	}
	client, err := managedidentity.New(id, managedidentity.WithHTTPClient(newCarrier(transport, p.UserAgent)))
	if err != nil {
		return nil, invalid("the managed identity cannot be used on this machine: %v", err)
	}
	return newSource(&managed{client: client, graph: p.graph.String()}, Identity{
		Cloud: strings.ToLower(p.login.Host), Tenant: strings.ToLower(p.Tenant), Account: name, Name: name, Mode: Managed,
	}), nil
}

func (m *managed) token(ctx context.Context, a ask) (token, error) {
	var options []managedidentity.AcquireTokenOption
	if claims := a.beyondCache(); claims != "" {
		options = append(options, managedidentity.WithClaims(claims))
	}
	result, err := m.client.AcquireToken(ctx, m.graph, options...)
	if err != nil {
		return token{}, managedFailure(ctx, err)
	}
	return token{secret: result.AccessToken, expires: result.ExpiresOn, scopes: []string{m.graph + "/.default"}}, nil
}

// managedFailure turns an error of the machine's own service into one of ours.
func managedFailure(ctx context.Context, err error) error {
	var refused msal.CallErr
	var broken *url.Error
	e := &graph.Error{Op: op, Kind: graph.SignIn}
	switch {
	case ctx.Err() != nil:
		return failure(ctx, err, nil)
	case errors.As(err, &refused) && refused.Resp != nil:
		status := refused.Resp.StatusCode
		switch {
		case status == http.StatusTooManyRequests:
			e.Kind, e.Message = graph.Throttled, "the machine's identity service asks to wait"
			e.RetryAfter = retryAfter(refused.Resp.Header.Get("Retry-After"))
		case status >= http.StatusInternalServerError:
			e.Kind, e.Message = graph.Offline, "the machine's identity service is out of order for the moment"
		default:
			e.Message = "this machine has no managed identity, or not the one that CLIENT_ID names; assign it to the machine"
		}
	case errors.As(err, &broken):
		e.Kind, e.Message = graph.Offline, "this machine's identity service cannot be reached; auth.mode managed works on Azure machines only"
	default:
		e.Message = "the answer of the machine's identity service makes no sense"
	}
	return e
}

// stamp is always the same: a refused application stays refused.
func (m *managed) stamp() string { return "" }
