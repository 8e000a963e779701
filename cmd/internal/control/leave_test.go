package control

import (
	"net"
	"testing"
)

// leave makes closing a listener leave its socket file behind, as a kill does.
func leave(t *testing.T, l net.Listener) {
	t.Helper()
	u, ok := l.(*net.UnixListener)
	if !ok {
		t.Fatalf("a %T", l)
	}
	u.SetUnlinkOnClose(false)
}
