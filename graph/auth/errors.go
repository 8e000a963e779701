package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	msal "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"

	"github.com/duskfs/duskfs/graph"
)

// maxAnswer bounds what is read of an error's body.
const maxAnswer = 64 << 10

// failure turns an error of MSAL into one of ours. MSAL's own holds the request, secret included,
// or the answer, token included: nothing of it is wrapped.
func failure(ctx context.Context, err error, hide string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	var refused msal.CallErr
	if errors.As(err, &refused) && refused.Resp != nil {
		return answer(refused.Resp, hide)
	}
	e := &graph.Error{Op: op, Kind: graph.Failed}
	var broken *url.Error
	var nonsense msal.InvalidJsonErr
	switch {
	case errors.As(err, &broken):
		e.Kind, e.Message = graph.Offline, unreachable(broken)
	case errors.As(err, &nonsense):
		e.Message = "what answers at the login address is no sign-in service; does this network want a sign-in of its own in a browser?"
	case strings.Contains(err.Error(), "issuer '"):
		e.Message = "the sign-in service names another issuer than the login address; check DUSKFS_LOGIN_URL"
	case strings.Contains(err.Error(), "declined scopes"):
		e.Kind, e.Message = graph.SignIn, "the app was not given all it asked for; have an administrator grant its Microsoft Graph permissions"
	default:
		e.Message = "the answer of the sign-in service makes no sense"
	}
	return e
}

// unreachable says in a sentence why no answer came, without the address's path or query.
func unreachable(err *url.Error) string {
	host := "the sign-in service"
	if u, e := url.Parse(err.URL); e == nil && u.Host != "" {
		host = u.Host
	}
	var certificate *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err.Err, &unknown):
		return "the certificate of " + host + " is signed by nobody this machine trusts; if that is meant, name the authority's file in DUSKFS_CA_FILE"
	case errors.As(err.Err, &certificate), errors.As(err.Err, &name):
		return "the certificate of " + host + " is not valid for it"
	case err.Timeout():
		return host + " did not answer in time"
	}
	return fmt.Sprintf("%s cannot be reached: %v", host, err.Err)
}

// answer turns an HTTP error of the sign-in service into ours.
func answer(resp *http.Response, hide string) error {
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
		Trace       string `json:"trace_id"`
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(data, &body)
	}
	e := &graph.Error{Op: op, Kind: graph.SignIn, Status: resp.StatusCode, Code: body.Error, Request: body.Trace,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	for _, code := range body.Codes {
		kind, message := advice(code)
		if message == "" && e.Message != "" {
			continue
		}
		e.Code = fmt.Sprintf("AADSTS%d", code)
		if message != "" {
			e.Kind, e.Message = kind, message
			break
		}
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		e.Kind, e.Message = graph.Throttled, "the sign-in service asks to wait"
	case resp.StatusCode >= 500, body.Error == "temporarily_unavailable":
		e.Kind, e.Message = graph.Offline, "the sign-in service is out of order for the moment"
	case err != nil || body.Error == "":
		e.Kind, e.Message = graph.Failed, "what answers at the login address is no sign-in service"
	case e.Message == "":
		e.Message = firstSentence(body.Description)
	}
	if hide != "" {
		e.Message = strings.ReplaceAll(e.Message, hide, "…")
	}
	return e
}

// firstSentence cuts the service's words before the trace ids that follow them.
func firstSentence(text string) string {
	text, _, _ = strings.Cut(text, "\r\n")
	text, _, _ = strings.Cut(text, " Trace ID:")
	return strings.TrimSpace(text)
}

// retryAfter reads the header: seconds, or a date.
func retryAfter(text string) time.Duration {
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// advice says what a person has to do about a code of the service (graph-facts §1.4), or "".
func advice(code int) (graph.Kind, string) {
	switch code {
	case 7000215:
		return graph.SignIn, "the client secret is wrong; make sure that CLIENT_SECRET is the secret's value, not its id"
	case 7000222:
		return graph.SignIn, "the client secret has expired; make a new one in the app registration and configure it"
	case 70002, 700027, 7000218, 700025, 7000216:
		return graph.SignIn, "the app's credential is refused; check CLIENT_ID and the secret or certificate"
	case 50126:
		return graph.SignIn, "user name or password is wrong"
	case 700016:
		return graph.SignIn, "the tenant knows no app with this client id; check CLIENT_ID and TENANT_ID"
	case 90002, 50059, 900023:
		return graph.SignIn, "there is no such tenant; check TENANT_ID"
	case 90038:
		return graph.SignIn, "the tenant is in a national cloud; set DUSKFS_LOGIN_URL and DUSKFS_GRAPH_URL to that cloud's"
	case 50194, 9001023:
		return graph.SignIn, "this app cannot sign in through a shared tenant; set TENANT_ID to your own"
	case 70001, 7000112:
		return graph.SignIn, "the app is disabled; have an administrator enable it"
	case 500011, 70011, 1002012, 650056, 650057, 65005:
		return graph.SignIn, "the app is not set up for Microsoft Graph; have an administrator give it Graph permissions"
	case 65001, 65004, 90094:
		return graph.SignIn, "consent is missing; have an administrator grant the app's Microsoft Graph permissions"
	case 50105:
		return graph.SignIn, "the account is not assigned to the app; ask an administrator"
	case 50173, 700082, 70008, 700084, 70043, 50132, 50133, 50055, 50058, 54005, 70000, 700005, 501481, 50089:
		return graph.SignIn, "the sign-in is over; sign in again"
	case 50072, 50074, 50076, 50078, 50079, 53000, 53001, 53002, 53003, 530035:
		return graph.SignIn, "the organisation asks for more than this sign-in gave; sign in again, or ask an administrator about conditional access"
	case 50034:
		return graph.SignIn, "there is no such account"
	case 50053, 50057:
		return graph.SignIn, "the account is locked or disabled; ask an administrator"
	case 90055, 50196:
		return graph.Throttled, "the sign-in service asks to wait"
	case 50033, 90006, 90024, 90033:
		return graph.Offline, "the sign-in service is out of order for the moment"
	}
	return "", ""
}
