//go:build !linux && !darwin

package control

import "net"

// samePerson trusts the modes of folder and socket where the kernel is not asked.
func samePerson(net.Conn) bool { return true }
