package rest

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/duskfs/duskfs/graph"
)

const (
	maxBroken    = 4 // requests in all of a call that the service fails or that break
	maxUnsent    = 3 // requests in all of a call whose connection is never made
	missingFirst = 250 * time.Millisecond
	missingCap   = 4 * time.Second
	longAddress  = 2000 // characters beyond which a bodyless 401 means the address (graph-facts §11.2)
)

// verb says what to do after a request.
type verb int

const (
	fail    verb = iota // give up with an error
	accept              // the answer is good
	again               // repeat after a while
	pause               // close the gate for a while, then repeat
	refresh             // get another token, then repeat
)

// verdict is what tries rule about an outcome.
type verdict struct {
	what verb
	wait time.Duration
	err  error
}

// tries counts the requests of one call and rules what follows from each. It neither waits nor
// talks to anybody.
type tries struct {
	missing, broken, unsent int
	refreshed               bool
	patience                time.Duration // left to wait while throttled
	broke, throttle         *backoff.ExponentialBackOff
}

func newTries(patience time.Duration) *tries {
	return &tries{
		patience: patience,
		broke:    &backoff.ExponentialBackOff{InitialInterval: 500 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.3, MaxInterval: 8 * time.Second},
		throttle: &backoff.ExponentialBackOff{InitialInterval: time.Second, Multiplier: 2, RandomizationFactor: 0.3, MaxInterval: time.Minute},
	}
}

// mayBreak says how many requests of a call the service may fail.
func (k call) mayBreak() int {
	if k.broken > 0 {
		return k.broken
	}
	return maxBroken
}

func (t *tries) judge(k call, o outcome) verdict {
	if o.err != nil {
		return t.judgeError(k, o)
	}
	asked := retryAfter(o.header)
	switch s := o.status; {
	case s/100 == 2 || s/100 == 3:
		return verdict{what: accept}
	case s == http.StatusUnauthorized && !k.storage && !t.refreshed:
		if len(k.url) > longAddress && len(o.body) == 0 {
			return verdict{err: failure(k, o)}
		}
		t.refreshed = true
		return verdict{what: refresh}
	case refusesForNow(s) && (asked > 0 || s != http.StatusServiceUnavailable):
		// Refused before it was worked on: nothing happened, writes may be repeated too.
		return t.wait(asked, failure(k, o))
	case s == http.StatusNotFound && t.missing < k.missing:
		t.missing++
		return verdict{what: again, wait: min(missingFirst<<(t.missing-1), missingCap)}
	case s == http.StatusRequestTimeout || s >= 500 && s != http.StatusNotImplemented && s != http.StatusInsufficientStorage:
		t.broken++
		if k.read && t.broken < k.mayBreak() {
			return verdict{what: again, wait: max(asked, t.broke.NextBackOff())}
		}
	}
	return verdict{err: failure(k, o)}
}

// refusesForNow tells the answers that ask to come again later. "Unavailable" is one of them only
// if it says when.
func refusesForNow(status int) bool {
	return status == http.StatusTooManyRequests || status == 509 || status == http.StatusServiceUnavailable
}

func (t *tries) judgeError(k call, o outcome) verdict {
	var e *graph.Error
	known := errors.As(o.err, &e)
	switch {
	case known && e.Kind == graph.Throttled && e.Op != waiting:
		// The sign-in service asks to wait; that closes no gate of Graph's (Q28).
		v := t.wait(e.RetryAfter, e)
		if v.what == pause {
			v.what = again
		}
		return v
	case known && e.Kind != graph.Offline:
		return verdict{err: e}
	case o.unsent:
		t.unsent++
		if t.unsent < maxUnsent {
			return verdict{what: again, wait: t.broke.NextBackOff()}
		}
	default:
		t.broken++
		if k.read && t.broken < k.mayBreak() {
			return verdict{what: again, wait: t.broke.NextBackOff()}
		}
	}
	if known {
		return verdict{err: e}
	}
	kind := graph.Offline
	if !k.read && !o.unsent {
		kind = graph.Lost
	}
	return verdict{err: &graph.Error{Op: k.op, Item: k.item, Kind: kind, Status: o.status, Message: redact(o.err.Error())}}
}

// wait rules about a request to wait, within the patience of the call.
func (t *tries) wait(asked time.Duration, err error) verdict {
	if asked <= 0 {
		asked = t.throttle.NextBackOff()
	}
	if t.patience -= asked; t.patience < 0 {
		return verdict{err: err}
	}
	return verdict{what: pause, wait: asked}
}

// maxRetryAfter is the longest wait that is believed; nobody has seen one of more than some hours.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header: seconds, or a date (RFC 9110). 0 means that there is none.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return min(max(0, time.Duration(n)*time.Second), maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, time.Until(at)), maxRetryAfter)
	}
	return 0
}

// challenge returns the claims that a refusal asks for as JSON, or "" (graph-facts §1.5).
func challenge(h http.Header) string {
	for _, line := range h.Values("WWW-Authenticate") {
		if !strings.Contains(line, "insufficient_claims") {
			continue
		}
		_, rest, ok := strings.Cut(line, `claims="`)
		if !ok {
			continue
		}
		text, _, _ := strings.Cut(rest, `"`)
		text = strings.TrimRight(text, "=")
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if claims, err := enc.DecodeString(text); err == nil {
				return string(claims)
			}
		}
	}
	return ""
}
