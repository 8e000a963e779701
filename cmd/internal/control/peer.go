//go:build linux || darwin

package control

import (
	"net"
	"os"
)

// samePerson asks the kernel who is at the other end. The folder's and the socket's modes say the
// same; this holds even where somebody has loosened them.
func samePerson(c net.Conn) bool {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return false
	}
	var uid uint32
	var perr error
	err = raw.Control(func(fd uintptr) { uid, perr = peer(int(fd)) })
	return err == nil && perr == nil && (uid == 0 || int(uid) == os.Getuid())
}
