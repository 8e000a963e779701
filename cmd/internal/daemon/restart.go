package daemon

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// RestartedFlag is the hidden flag that tells a daemon how often it has begun anew.
const RestartedFlag = "restarted"

// maxRestarts ends what fails again and again.
const maxRestarts = 5

// Restart replaces this process, which is broken, by a new one with the same arguments. It returns only if that is
// not possible, or was done too often.
func Restart(args, environ []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program itself: %w", err)
	}
	args, err = again(args)
	if err != nil {
		return err
	}
	return fmt.Errorf("begin anew: %w", syscall.Exec(self, append([]string{self}, args...), environ))
}

// again counts one more beginning in the arguments of a daemon.
func again(args []string) ([]string, error) {
	before := 0
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool {
		n, is := strings.CutPrefix(a, "--"+RestartedFlag+"=")
		if is {
			before, _ = strconv.Atoi(n) // we wrote it
		}
		return is
	})
	if before >= maxRestarts {
		return nil, fmt.Errorf("it began anew %d times: that is enough", before)
	}
	at := slices.Index(args, "--")
	if at < 0 {
		at = len(args)
	}
	return slices.Insert(args, at, fmt.Sprintf("--%s=%d", RestartedFlag, before+1)), nil
}
