package graph

import "context"

// CheckIner ends a check-out. A library can require that files be checked out to be changed: what was
// uploaded there is then checked out to who did it, and others see nothing of it, or the bytes before, until it
// is checked in. A [Service] may be one.
type CheckIner interface {
	// CheckedOut reports whether a file is checked out, by whomever.
	CheckedOut(ctx context.Context, id ItemID) (bool, error)
	// CheckIn checks a file in. Locked if somebody else has it checked out. It may be repeated.
	CheckIn(ctx context.Context, id ItemID, comment string) error
}
