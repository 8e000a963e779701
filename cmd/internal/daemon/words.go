package daemon

import (
	"regexp"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// sentence says in words for people why the service could not be asked. text is the error in full,
// which goes to the log; at is when it was first met.
func sentence(kind graph.Kind, text string, at, now time.Time) string {
	cause := essence(kind, text)
	with := func(s string) string {
		if cause == "" {
			return s
		}
		return s + ": " + cause
	}
	switch kind {
	case graph.Offline, graph.Lost:
		return with("the service cannot be reached" + since(at, now))
	case graph.SignIn:
		if cause == "" {
			return "nobody is signed in any more; run `duskfs login`, or renew the secret"
		}
		return cause // which says what to do
	case graph.Throttled:
		return "the service asks to wait, and is asked again by itself"
	case graph.Failed:
		return with("the service fails" + since(at, now))
	case graph.Full:
		return "the drive is full: make room there, or send less"
	case graph.Denied:
		return with("the service does not allow it" + since(at, now))
	case graph.NotExist:
		return with("the drive is not found any more" + since(at, now))
	}
	return text
}

// what the network's errors say besides their cause: the call, addresses, ports.
var noise = regexp.MustCompile(`(?i)(^|[\s:])(get|post|put|patch|delete|head|dial|lookup|read|write|tcp[46]?|udp[46]?|on|connect)?\s*"?[\w./\[\]-]*://\S+|` +
	`\b(dial|lookup|read|write) (tcp|udp)?[46]? ?\S*|\bon \S+:\d+$|\s*\(\d{3}[^)]*\)$|\s*\(\w+\)$`)

// essence is the end of an error's chain, without operation, ids and addresses.
func essence(kind graph.Kind, text string) string {
	if _, after, ok := strings.Cut(text, string(kind)); ok && kind != "" {
		text = after
	}
	text = strings.TrimSpace(strings.Trim(text, ": "))
	if kind == graph.SignIn {
		return text
	}
	if kind == graph.Offline || kind == graph.Lost {
		parts := strings.Split(text, ": ")
		text = parts[len(parts)-1]
	}
	text = strings.TrimSpace(noise.ReplaceAllString(text, ""))
	return strings.Trim(text, ": ")
}
