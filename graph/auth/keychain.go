package auth

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/zalando/go-keyring"
)

// Keychain keeps small secrets for the person who is logged in to the machine. Get fails with
// ErrNoKey for a name it does not know. Calls end when ctx does, or soon after.
type Keychain interface {
	Get(ctx context.Context, name string) (string, error)
	Set(ctx context.Context, name, value string) error
	Delete(ctx context.Context, name string) error
}

// ErrNoKey: the keychain answers, and does not know the name.
var ErrNoKey = errors.New("the keychain has no such entry")

var errNoKeychain = errors.New("there is no keychain")

const (
	keychainService = "duskfs sign-in"
	// keychainWait is how long a keychain may take. It may ask the person to unlock it.
	keychainWait = 20 * time.Second
)

// SystemKeychain returns the keychain of the operating system, or nil if this session has none: on
// Linux that needs a session bus.
func SystemKeychain() Keychain {
	if runtime.GOOS == "linux" && os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		// The library would start a bus of its own, or wait for one.
		if _, err := os.Stat(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")); os.Getenv("XDG_RUNTIME_DIR") == "" || err != nil {
			return nil
		}
	}
	return systemKeychain{}
}

type systemKeychain struct{}

func (systemKeychain) Get(ctx context.Context, name string) (string, error) {
	return within(ctx, keychainWait, func() (string, error) {
		v, err := keyring.Get(keychainService, name)
		if errors.Is(err, keyring.ErrNotFound) {
			err = ErrNoKey
		}
		return v, err
	})
}

func (systemKeychain) Set(ctx context.Context, name, value string) error {
	_, err := within(ctx, keychainWait, func() (string, error) { return "", keyring.Set(keychainService, name, value) })
	return err
}

func (systemKeychain) Delete(ctx context.Context, name string) error {
	_, err := within(ctx, keychainWait, func() (string, error) {
		err := keyring.Delete(keychainService, name)
		if errors.Is(err, keyring.ErrNotFound) {
			err = nil
		}
		return "", err
	})
	return err
}

// within gives a call that takes no context a limited time. A call that hangs longer than that is
// abandoned: the library offers no way to end it, and its goroutine ends when the bus answers.
func within(ctx context.Context, limit time.Duration, call func() (string, error)) (string, error) {
	type result struct {
		value string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := call()
		done <- result{v, err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	case <-timer.C:
		return "", errNoKeychain
	}
}
