package graph

import "time"

// Pacer tells how long nothing will be sent since the service asked for a pause. A [Service] may be one.
type Pacer interface {
	// Pause returns how long the pause under way will last, 0 if there is none.
	Pause() time.Duration
}
