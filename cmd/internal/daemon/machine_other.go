//go:build !linux

package daemon

import (
	"context"
	"errors"
)

// systemBus is there for hearMachine alone, which knows no bus here.
var systemBus struct{}

// hearMachine hears nothing here. A logout ends the daemon with a signal, and that is told.
func hearMachine(context.Context, struct{}, func(string)) error { return errors.ErrUnsupported }
