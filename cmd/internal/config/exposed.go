package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"golang.org/x/sys/unix"
)

// Exposed is a file with a secret that others may read or change.
type Exposed struct {
	File string
	Mode fs.FileMode
}

// What says what is wrong with it.
func (e Exposed) What() string {
	return fmt.Sprintf("it holds a secret, and others may read or change it (mode %o)", e.Mode)
}

// Remedy is the command that guards the file.
func (e Exposed) Remedy() string { return "`chmod 600 " + e.File + "`" }

// Guard leaves the file to its owner.
func (e Exposed) Guard() error { return os.Chmod(e.File, 0o600) }

// expose notes a file with a secret if others may read or change it.
func (c *Config) expose(file string) {
	st, err := os.Stat(file)
	if err == nil && exposed(st.Mode(), ownedByUs(st), errors.Is(unix.Access(file, unix.W_OK), unix.EROFS)) {
		c.exposed = append(c.exposed, Exposed{file, st.Mode().Perm()})
	}
}

// exposed reports whether others may read or change a file, and its owner could end that. Of files of somebody else, and
// of those that the system lays down to be read only (the secrets of a container), whoever set them up has decided.
func exposed(mode fs.FileMode, ours, readOnly bool) bool {
	return mode.IsRegular() && mode.Perm()&0o066 != 0 && ours && !readOnly
}

// hides reports whether a value of this key is not for others: it is a secret, or an address with a password in it.
func (k Key) hides(value string) bool {
	if k.secret {
		return value != ""
	}
	u, err := url.Parse(value)
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has
}
