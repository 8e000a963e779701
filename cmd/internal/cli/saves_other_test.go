//go:build !linux

package cli_test

import "errors"

func (onDisk) Exchange(string, string) error { return errors.ErrUnsupported }
