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

// tokenLength is how long a word of the service may be before it is taken for a token. An id has 36
// characters and may stand in quotes.
const tokenLength = 48

// failure turns an error of MSAL into one of ours. MSAL's own holds the request, secret included,
// or the answer, token included: nothing of it is wrapped.
func failure(ctx context.Context, err error, hide []string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	var ours *graph.Error
	if errors.As(err, &ours) {
		return ours
	}
	var refused msal.CallErr
	if errors.As(err, &refused) && refused.Resp != nil {
		return answer(refused, hide)
	}
	e := &graph.Error{Op: op, Kind: graph.Failed}
	var broken *url.Error
	var nonsense msal.InvalidJsonErr
	switch {
	case errors.As(err, &broken):
		e.Kind, e.Message = graph.Offline, unreachable(broken)
	case errors.Is(err, context.DeadlineExceeded): // not the caller's, so that of the prompt
		e.Kind, e.Message = graph.SignIn, "nobody signed in in time; run `duskfs login` again"
	case errors.As(err, &nonsense):
		e.Message = "what answers at the login address is no sign-in service; does this network want a sign-in of its own in a browser?"
	case strings.Contains(err.Error(), "issuer '"):
		e.Message = "the sign-in service names another issuer than the login address; check DUSKFS_LOGIN_URL"
	case strings.Contains(err.Error(), "declined scopes"):
		e.Kind, e.Message = graph.SignIn, "the app was not given all it asked for; have an administrator grant its Microsoft Graph permissions (for a personal account set TENANT_ID to consumers)"
	default:
		e.Kind, e.Code, e.Message = described(err.Error(), hide)
	}
	return e
}

// described reads what a browser brought back instead of a code: the service's words, which MSAL
// passes on as text.
func described(text string, hide []string) (graph.Kind, string, string) {
	if _, after, ok := strings.Cut(text, "AADSTS"); ok {
		digits := after[:len(after)-len(strings.TrimLeft(after, "0123456789"))]
		if code, err := strconv.Atoi(digits); err == nil {
			if kind, message := advice(code); message != "" {
				return kind, "AADSTS" + digits, message
			}
			return graph.SignIn, "AADSTS" + digits, foreign("AADSTS"+after, hide)
		}
	}
	if strings.Contains(text, "access_denied") || strings.Contains(text, "denied access") {
		return graph.SignIn, "access_denied", "the sign-in was cancelled or refused in the browser; run `duskfs login` again"
	}
	return graph.Failed, "", "the answer of the sign-in service makes no sense"
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
func answer(refused msal.CallErr, hide []string) error {
	resp := refused.Resp
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
		Trace       string `json:"trace_id"`
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if len(data) == 0 && refused.Err != nil { // MSAL reads the body itself while it waits for a code
		_, text, _ := strings.Cut(refused.Err.Error(), ":\n")
		data = []byte(text)
	}
	if err == nil {
		err = json.Unmarshal(data, &body)
	}
	// Status stays empty: whoever judges an answer of Graph by its status must not take this one for it.
	e := &graph.Error{Op: op, Kind: graph.SignIn, Code: body.Error, Request: body.Trace,
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
		e.Message = foreign(body.Description, hide)
	}
	return e
}

// foreign makes words of the service fit to be shown: no more than the sentence, without what has to
// stay hidden or looks like a token. Our own sentences hold no secret and stay as they are.
func foreign(text string, hide []string) string {
	text = firstSentence(text)
	for _, h := range hide {
		if h != "" {
			text = strings.ReplaceAll(text, h, "…")
		}
	}
	words := strings.Split(text, " ")
	for i, w := range words {
		if len(w) >= tokenLength && !strings.Contains(w, "://") {
			words[i] = "…"
		}
	}
	return strings.Join(words, " ")
}

// firstSentence cuts the service's words before the trace ids that follow them.
func firstSentence(text string) string {
	text, _, _ = strings.Cut(text, "\r\n")
	text, _, _ = strings.Cut(text, " Trace ID:")
	text, _, _ = strings.Cut(text, "\n")
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
