package graph

import "strings"

// SameDrive compares two drive ids. Personal accounts spell theirs in either case and with or
// without leading zeros (Q16); ids of other drives are compared as they are.
func SameDrive(a, b DriveID) bool {
	if a == b {
		return true
	}
	x, ok := personal(a)
	if !ok {
		return false
	}
	y, ok := personal(b)
	return ok && x == y
}

// personal returns the canonical form of a personal drive id: 16 lower-case hexadecimal digits.
func personal(id DriveID) (string, bool) {
	s := strings.ToLower(string(id))
	if len(s) == 0 || len(s) > 16 {
		return "", false
	}
	for _, c := range s {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return "", false
		}
	}
	return strings.Repeat("0", 16-len(s)) + s, true
}
