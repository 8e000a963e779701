package control

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
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
	var cred *unix.Xucred
	var cerr error
	err = raw.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	})
	return err == nil && cerr == nil && (cred.Uid == 0 || int(cred.Uid) == os.Getuid())
}
