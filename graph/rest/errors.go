package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// waiting is the operation of the error for a context too short for the wait the service asked for.
const waiting = "wait for the service"

const maxMessage = 300 // bytes of the service's words that an error repeats

func throttled(wait time.Duration) error {
	return &graph.Error{Op: waiting, Kind: graph.Throttled, RetryAfter: wait, Message: "the service asks to wait longer than this may take"}
}

// failure makes the error for an answer that is not wanted (graph-facts §10).
func failure(k call, o outcome) *graph.Error {
	codes, message := explain(o.body)
	e := &graph.Error{Op: k.op, Item: k.item, Status: o.status, Message: message,
		Request: o.header.Get("Request-Id"), RetryAfter: retryAfter(o.header)}
	if len(codes) > 0 {
		e.Code = codes[len(codes)-1]
	}
	e.Kind = kindOf(k, o.status, codes)
	if n, ok := length(o.reply); ok && o.status == http.StatusRequestedRangeNotSatisfiable {
		e.Err = &SizeError{Listed: -1, Actual: n}
	}
	switch {
	case e.Kind == graph.SignIn && len(k.url) > longAddress && len(o.body) == 0:
		e.Kind, e.Message = graph.Invalid, "the path is too long"
	case e.Message == "" && o.header.Get("X-Virus-Infected") != "":
		e.Message = "the service takes the file for malware, and does not hand it out"
	case e.Message == "":
		e.Message = strings.ToLower(http.StatusText(o.status))
	}
	return e
}

// kindOf finds the kind by status and codes, the outermost code first. It never looks at the text.
func kindOf(k call, status int, codes []string) graph.Kind {
	has := func(wanted ...string) bool {
		for _, code := range codes {
			for _, w := range wanted {
				if strings.EqualFold(code, w) {
					return true
				}
			}
		}
		return false
	}
	switch {
	case status == http.StatusLocked, status/100 == 4 && has("resourceLocked", "lockMismatch", "lockOwnerMismatch"):
		return graph.Locked
	case status == http.StatusInsufficientStorage, status/100 == 4 && has("quotaLimitReached", "insufficientStorage"):
		return graph.Full
	}
	switch status {
	case http.StatusUnauthorized:
		if k.storage { // the address has expired, not the sign-in
			return graph.Denied
		}
		return graph.SignIn
	case http.StatusPaymentRequired, http.StatusForbidden:
		return graph.Denied
	case http.StatusNotFound:
		return graph.NotExist
	case http.StatusConflict:
		if has("nameAlreadyExists", "similarRelationshipNameAlreadyExists", "upload_name_conflict") {
			return graph.Exist
		}
		return graph.Changed
	case http.StatusGone:
		return graph.NotExist
	case http.StatusPreconditionFailed:
		return graph.Changed
	case http.StatusTooManyRequests, 509:
		return graph.Throttled
	case http.StatusNotImplemented:
		return graph.Failed
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if k.read || status == http.StatusServiceUnavailable && has("serviceReadOnly") {
			return graph.Offline
		}
		return graph.Lost
	case http.StatusRequestedRangeNotSatisfiable:
		return graph.Failed
	}
	switch {
	case status/100 == 4:
		return graph.Invalid
	case status/100 == 5 && !k.read:
		return graph.Lost
	}
	return graph.Failed
}

// explain reads the body of an error: the codes from the general to the special, and the words.
// Bodies that are no JSON, such as the pages of storage hosts, explain nothing.
func explain(body []byte) (codes []string, message string) {
	type detail struct {
		Code    string          `json:"code"`
		Message string          `json:"message"`
		Inner   json.RawMessage `json:"innerError"` // "innererror" is matched as well: Go ignores case
	}
	var outer struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &outer) != nil {
		return nil, ""
	}
	for raw := outer.Error; len(raw) > 0 && len(codes) < 8; {
		var d detail
		if json.Unmarshal(raw, &d) != nil {
			break
		}
		if d.Code != "" {
			codes = append(codes, d.Code)
		}
		if message == "" {
			message = d.Message
		}
		raw = d.Inner
	}
	message = redact(strings.Join(strings.Fields(message), " "))
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return codes, message
}

// address finds what may be a pre-authenticated address inside a text.
var address = regexp.MustCompile(`(?i)\bhttps?://[^\s"'<>]+`)

// redact cuts addresses inside a text down to their host: their path and query can be credentials.
func redact(text string) string {
	return address.ReplaceAllStringFunc(text, func(found string) string {
		u, err := url.Parse(found)
		if err != nil {
			return "(address)"
		}
		return u.Scheme + "://" + shownHost(u) + "/…"
	})
}

// shownHost returns the host of an address for a message: a stranger may have made it of anything.
func shownHost(u *url.URL) string {
	host := u.Host
	if len(host) > 100 {
		host = host[:100] + "…"
	}
	return strings.Trim(strconv.Quote(strings.ToValidUTF8(host, "")), `"`)
}

// reason says why a request broke, without the address that net/http puts around it.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return errStalled
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// unsent reports whether a request certainly never left: its connection was not made.
func unsent(err error) bool {
	var dial *net.OpError
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial", errors.As(err, &dns),
		errors.As(err, &certificate), errors.As(err, &unknown),
		errors.Is(err, syscall.ECONNREFUSED):
		return true
	}
	return false
}
