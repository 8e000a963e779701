package graph

import "context"

// NoNotices says that a drive gives no notice of changes, now or ever: poll instead, and perhaps try again
// some hours later, since the refusal can be a passing one (graph-facts §15.2).
const NoNotices Kind = "no notices of changes"

// Notifier tells at once when something in a drive may have changed. A [Service] may be one.
type Notifier interface {
	// Notices calls changed for every notice of the service, and whenever notices may have been missed: at
	// first, and after each break of the connection. It says nothing about what changed; read the feed. The call
	// must not block long. Notices keeps connecting until the context ends, whose error it then returns; it fails
	// with NoNotices where there are none, and with SignIn, Denied or NotExist where asking again is in vain.
	Notices(ctx context.Context, changed func()) error
}
