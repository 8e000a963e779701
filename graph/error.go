package graph

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says who must do what about a failed call. Kinds are errors themselves, so that
// errors.Is(err, graph.Changed) asks the question. The set is closed.
type Kind string

// The kinds.
const (
	NotExist  Kind = "not found"
	Exist     Kind = "name already taken"
	Changed   Kind = "changed meanwhile"
	Denied    Kind = "not allowed"
	Invalid   Kind = "refused as invalid"
	Full      Kind = "no space left in the drive"
	Locked    Kind = "locked by somebody"
	Throttled Kind = "throttled"
	Offline   Kind = "service out of reach"
	SignIn    Kind = "sign-in needed"
	Restart   Kind = "change feed must start anew"
	// Lost: the answer did not arrive, and the call may or may not have taken effect.
	Lost Kind = "answer lost"
	// Failed: the service answered with an error of its own, or with nonsense.
	Failed Kind = "service failed"
)

// Error makes a kind usable as the target of errors.Is.
func (k Kind) Error() string { return string(k) }

// Error is a failed call. It never holds a token or a pre-authenticated address.
type Error struct {
	Op      string // what was tried: "delta", "upload", …
	Kind    Kind
	Item    string // id, path or name of what it was tried on; may be empty
	Status  int    // HTTP status, 0 if there was none
	Code    string // the service's most specific code
	Message string // the service's words, or a sentence for the person
	Request string // the service's request id
	// RetryAfter is how long the service asks to wait, 0 if it does not say.
	RetryAfter time.Duration
	Err        error // cause, may be nil
}

// Error gives operation and object once, then what the service said.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Item != "" {
		fmt.Fprintf(&b, " %s", e.Item)
	}
	fmt.Fprintf(&b, ": %s", string(e.Kind))
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	} else if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	switch {
	case e.Status != 0 && e.Code != "":
		fmt.Fprintf(&b, " (%d %s)", e.Status, e.Code)
	case e.Status != 0:
		fmt.Fprintf(&b, " (%d)", e.Status)
	case e.Code != "":
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches the kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// Stops reports whether a call failed for what stops all of them for now, and not by itself: the service is out of reach
// or asks for a pause, the sign-in is dead, or ctx has ended.
func Stops(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, Offline) || errors.Is(err, SignIn) || errors.Is(err, Throttled)
}

// KindOf returns the kind of an error that came from this vocabulary, and "" for others.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	return ""
}
