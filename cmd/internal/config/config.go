// Package config puts together what duskfs is told by its configuration file, a .env file, the
// environment and flags, in this rising order, and remembers of every value where it came from.
//
// A key has one name everywhere: "log.level" in the file is level under log, the variable
// DUSKFS_LOG_LEVEL, and the row "log.level" of `duskfs config show`. The table in keys.go is the
// one list of them.
package config

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/flush/schedule"
	"github.com/duskfs/duskfs/graph/auth"
	"github.com/duskfs/duskfs/graph/rest"
)

// Config is the effective configuration. It is a value; nothing in it changes after Load.
type Config struct {
	Drives     []rest.Spec // what to mount, in the order named
	Mountpoint string      // absolute, empty if none was named
	ReadOnly   bool        // of all drives
	// ReadOnlyDrives are drives that refuse every change beside others that do not.
	ReadOnlyDrives []rest.Spec

	Tenant string // directory (tenant) id or domain
	Client string // application (client) id
	Secret Secret // application secret
	User   string // sign-in name of the person whose OneDrive `me` means, or who has to sign in

	SignIn              auth.Mode // empty: as the credentials say
	Certificate         string    // file with certificate and private key
	CertificatePassword Secret
	AssertionFile       string // file with a workload's token
	Keychain            bool   // the key of a kept sign-in goes to the keychain where there is one

	Cloud string // name of one of Microsoft's clouds

	GraphURL string // root, https, without a version
	LoginURL string // root, https, without a tenant
	CAFile   string // PEM file of further certificate authorities, empty for none
	Proxy    string // address of a proxy; empty: what the environment says

	StateDir string // absolute

	Timeout  time.Duration // for the head of an answer, and for a byte of a body
	Patience time.Duration // for a call that the service refuses for now

	FlushAt      schedule.Rule // times of day at which changes are sent by themselves
	RefreshEvery time.Duration // how often to ask for remote changes
	Flush        Flush
	Conflicts    cache.Policy // what becomes of a file that both sides changed
	Notify       Notify

	Upload Upload
	Mirror Mirror

	ReadTimeout time.Duration // how long a read waits for the service without a byte
	FUSE        []string      // options for the kernel's side of FUSE

	CaseBlind bool // names are found in any letter case
	LogLevel  slog.Level

	zone    *time.Location
	values  []Value
	ignored string
	exposed []Exposed
}

// Upload is what `duskfs upload` does when no arguments say otherwise.
type Upload struct {
	Folder string    // absolute; empty if none was named
	Drive  rest.Spec // where it goes to
	Path   string    // folder of the drive, as typed; may be empty
}

// Mirror is what `duskfs mirror` does when no arguments say otherwise. The values are as typed, and
// empty if nothing names them.
type Mirror struct {
	Host    string // of the site
	Site    string // last part of its address, or display name
	Library string // display name
	Folder  string // absolute

	Drives []rest.Spec   // instead of the one above
	Sites  []string      // all libraries of these, by address or name
	Every  time.Duration // how often permissions are read without a sign; negative in every run, 0 never
	Told   bool          // the application may hear from the feed where sharing changed
}

// Flush says how changes are sent.
type Flush struct {
	After          time.Duration // by themselves, when nothing was changed for so long; 0 does not
	OnUnmount      bool          // when a mount is ended by a command
	MaxDuration    time.Duration // how long one flush may take; 0 is no limit
	Deadline       schedule.Rule // times of day at which a flush that runs stops
	MaxBytes       int64         // how much one flush sends; 0 is no limit
	Rate           schedule.Rate // bytes a second
	Order          plan.Order
	Transfers      int  // steps of one drive under way at once
	Retries        int  // how often one flush tries again what met somebody else's change
	NoRemoteDelete bool // nothing is ever deleted there
}

// Notify says how people hear of what went wrong while they did not look.
type Notify struct {
	Command string // run by the shell with a JSON object on its standard input; empty for none
	Desktop bool
}

// Value is one effective setting, fit to be shown: secrets are masked.
type Value struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // "default", "FILE:LINE", "variable NAME" or "flag --NAME"
	Var    string `json:"variable"`
	Secret bool   `json:"-"` // Value is a mask
}

// Values lists every key with its effective value and where that came from, in the order of the
// table of keys. Secrets are masked.
func (c *Config) Values() []Value { return append([]Value(nil), c.values...) }

// Source says where the value of a key came from, for messages that tell people what to mend.
func (c *Config) Source(key string) string {
	for _, v := range c.values {
		if v.Key == key {
			return v.Source
		}
	}
	return ""
}

// Ignored says in a sentence why the .env of the working directory was not read, empty if it was or if
// there is none.
func (c *Config) Ignored() string { return c.ignored }

// Exposed lists the files that hold a secret and that others may read or change, though whoever runs this could guard them.
func (c *Config) Exposed() []Exposed { return c.exposed }

// With returns the configuration with other values of some keys, for one job.
func (c *Config) With(settings map[string]string) (*Config, error) {
	d := *c
	d.values = append([]Value(nil), c.values...)
	for _, k := range Keys() {
		v, ok := settings[k.Name]
		if !ok {
			continue
		}
		if err := k.set(&d, v, place{}); err != nil {
			return nil, &Error{What: k.Name + ": " + err.Error()}
		}
	}
	for name := range settings {
		if _, ok := keyNamed(name); !ok {
			return nil, &Error{What: fmt.Sprintf("unknown key %q", name)}
		}
	}
	return &d, nil
}

// Secret is a string that does not show itself: every way of printing it gives a mask.
type Secret string

const mask = "********"

// String returns a mask, or nothing if there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString masks the secret for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText masks the secret for JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue masks the secret for logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reveal returns the secret itself, for whoever signs in with it.
func (s Secret) Reveal() string { return string(s) }

// Error is a mistake in what was configured. Where names the file and line, the variable or the
// flag; the program ends with the status for wrong usage.
type Error struct {
	Where string
	What  string
}

// Error gives the place and what is wrong with it, in one line.
func (e *Error) Error() string {
	if e.Where == "" {
		return e.What
	}
	return fmt.Sprintf("%s: %s", e.Where, e.What)
}
