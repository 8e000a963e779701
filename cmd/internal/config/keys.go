package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/flush/schedule"
	"github.com/duskfs/duskfs/graph/auth"
	"github.com/duskfs/duskfs/graph/rest"
)

// Key is one setting.
type Key struct {
	Name string
	// Seed is the name that older scripts use for the same thing in their .env files; may be empty.
	Seed string
	Help string

	secret  bool
	list    bool
	initial func(place) string
	follows string // the key, earlier in the table, whose setting gives this one its default
	set     func(*Config, string, place) error
}

// Var returns the environment variable of the key.
func (k Key) Var() string {
	return prefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(k.Name))
}

const prefix = "DUSKFS_"

// place is what a value is read against.
type place struct {
	dirs Dirs
	// base is the folder that relative paths start from: that of the file which holds the value,
	// else the working directory.
	base string
}

// Keys lists all settings in the order in which they are shown.
func Keys() []Key {
	return []Key{
		{Name: "drives", list: true, set: setDrives,
			Help: "drives to mount: me, user:NAME, site:HOST:/PATH[#LIBRARY], group:ID, drive:ID"},
		{Name: "mountpoint", Help: "empty folder to mount at",
			set: path(func(c *Config) *string { return &c.Mountpoint })},
		{Name: "read-only", list: true, Help: "refuse every change: true, or the drives that do, named as in drives", initial: fixed("false"), set: setReadOnly},
		{Name: "auth.tenant", Seed: "TENANT_ID", Help: "directory (tenant) id",
			set: text(func(c *Config) *string { return &c.Tenant })},
		{Name: "auth.client", Seed: "CLIENT_ID", Help: "application (client) id",
			set: text(func(c *Config) *string { return &c.Client })},
		{Name: "auth.secret", Seed: "CLIENT_SECRET", secret: true, Help: "application secret",
			set: func(c *Config, s string, _ place) error { c.Secret = Secret(s); return nil }},
		{Name: "auth.mode", Help: "person, secret, certificate, federated or managed; without it, what the credentials say", set: setMode},
		{Name: "auth.certificate", Help: "PEM or PFX file with the application's certificate and private key",
			set: path(func(c *Config) *string { return &c.Certificate })},
		{Name: "auth.certificate-password", secret: true, Help: "password of that file",
			set: func(c *Config, s string, _ place) error { c.CertificatePassword = Secret(s); return nil }},
		{Name: "auth.assertion-file", Seed: "AZURE_FEDERATED_TOKEN_FILE", Help: "file with the token of a workload",
			set: path(func(c *Config) *string { return &c.AssertionFile })},
		{Name: "auth.keychain", Help: "keep the key of a person's sign-in in the keychain where there is one", initial: fixed("true"),
			set: func(c *Config, s string, _ place) error { return setBool(&c.Keychain, s) }},
		{Name: "auth.user", Seed: "USER_ID", Help: "person whose OneDrive `me` is, for sign-in as an application; else the person who has to sign in",
			set: text(func(c *Config) *string { return &c.User })},
		{Name: "cloud", Help: "global, usgov, dod or china: sets graph.url and login.url", initial: fixed("global"), set: setCloud},
		{Name: "graph.url", Help: "root of Microsoft Graph, for the emulator",
			follows: "cloud", set: rootURL(func(c *Config) *string { return &c.GraphURL })},
		{Name: "login.url", Help: "root of the sign-in service",
			follows: "cloud", set: rootURL(func(c *Config) *string { return &c.LoginURL })},
		{Name: "ca.file", Help: "PEM file with further certificate authorities",
			set: path(func(c *Config) *string { return &c.CAFile })},
		{Name: "proxy", Help: "address of a proxy (http, https or socks5)", set: setProxy},
		{Name: "network.timeout", Help: "how long an answer of the service, or more of one, is waited for", initial: fixed("1m"),
			set: period(func(c *Config) *time.Duration { return &c.Timeout }, 5*time.Second)},
		{Name: "network.patience", Help: "how long a call is made again and again while the service asks to wait", initial: fixed("20m"),
			set: period(func(c *Config) *time.Duration { return &c.Patience }, time.Second)},
		{Name: "state.dir", Help: "folder that keeps unsent work and what is known of the drives",
			initial: func(p place) string { return p.dirs.State }, set: path(func(c *Config) *string { return &c.StateDir })},
		{Name: "flush.zone", Help: "time zone of flush.at and flush.bandwidth, such as Europe/Berlin; without it, that of the machine", set: setZone},
		{Name: "flush.at", list: true, Help: "times of day at which changes are sent, such as 18:00", set: setFlushAt},
		{Name: "flush.after", Help: "send changes when nothing was changed for so long, such as 15m", initial: fixed("off"),
			set: duration(func(c *Config) *time.Duration { return &c.Flush.After }, 10*time.Second)},
		{Name: "flush.on-unmount", Help: "send changes when `duskfs unmount` ends the mount", initial: fixed("false"),
			set: func(c *Config, s string, _ place) error { return setBool(&c.Flush.OnUnmount, s) }},
		{Name: "flush.deadline", list: true, Help: "times of day at which a flush that runs stops, such as mon-fri 07:30; what is left goes with the next", set: setDeadline},
		{Name: "flush.max-duration", Help: "how long one flush may take; what is left goes with the next", initial: fixed("off"),
			set: duration(func(c *Config) *time.Duration { return &c.Flush.MaxDuration }, time.Minute)},
		{Name: "flush.max-bytes", Help: "how much one flush sends of each drive, such as 2GB: then no upload begins any more; what is left goes with the next", initial: fixed("off"), set: setMaxBytes},
		{Name: "flush.bandwidth", list: true, Help: "bytes a second, perhaps by time of day, such as mon-fri 08:00-18:00 500kB", initial: fixed("off"), set: setBandwidth},
		{Name: "flush.order", Help: "small, large or oldest: which files are sent first", initial: fixed("small"), set: setOrder},
		{Name: "flush.transfers", Help: "how many changes of a drive are sent at once, 1 to 16", initial: fixed("4"), set: setTransfers},
		{Name: "flush.retries", Help: "how often one flush tries again what met somebody else's change or lost its answer, 0 to 10; the next flush does in any case", initial: fixed("2"), set: setRetries},
		{Name: "flush.no-remote-delete", Help: "never delete anything there", initial: fixed("false"),
			set: func(c *Config, s string, _ place) error { return setBool(&c.Flush.NoRemoteDelete, s) }},
		{Name: "conflicts", Help: "keep-both, mine or theirs: what becomes of a file that both sides changed", initial: fixed("keep-both"), set: setConflicts},
		{Name: "notify.command", Help: "shell command that is run with a JSON object on its standard input when something goes wrong unseen",
			set: text(func(c *Config) *string { return &c.Notify.Command })},
		{Name: "notify.desktop", Help: "tell it on the desktop too, where there is one", initial: fixed("true"),
			set: func(c *Config, s string, _ place) error { return setBool(&c.Notify.Desktop, s) }},
		{Name: "upload.folder", Seed: "UPLOAD_FOLDER", Help: "folder that `duskfs upload` brings up when none is named",
			set: path(func(c *Config) *string { return &c.Upload.Folder })},
		{Name: "upload.drive", Help: "drive that it goes to", initial: fixed("me"), set: setUploadDrive},
		{Name: "upload.path", Seed: "ONEDRIVE_UPLOAD_PATH", Help: "folder of that drive below which it is put",
			set: text(func(c *Config) *string { return &c.Upload.Path })},
		{Name: "mirror.host", Seed: "SHAREPOINT_HOST", Help: "host of the site that `duskfs mirror` follows when no drive is named",
			set: text(func(c *Config) *string { return &c.Mirror.Host })},
		{Name: "mirror.site", Seed: "SITE_NAME", Help: "that site: the last part of its address, or its display name",
			set: text(func(c *Config) *string { return &c.Mirror.Site })},
		{Name: "mirror.library", Seed: "DOC_LIBRARY", Help: "its library, by display name",
			set: text(func(c *Config) *string { return &c.Mirror.Library })},
		{Name: "mirror.drives", list: true, Help: "drives to mirror instead of that library",
			set: func(c *Config, s string, _ place) (err error) { c.Mirror.Drives, err = specs(s); return err }},
		{Name: "mirror.sites", list: true, Help: "sites whose libraries are all mirrored, by address or name",
			set: func(c *Config, s string, _ place) error { c.Mirror.Sites = lines(s); return nil }},
		{Name: "mirror.permissions-every", Help: "how often the permissions of a mirrored file are read without a sign of change, or always, told, or off", initial: fixed("24h"), set: setPermissionsEvery},
		{Name: "mirror.folder", Seed: "LOCAL_ROOT", Help: "folder that it is mirrored to",
			set: path(func(c *Config) *string { return &c.Mirror.Folder })},
		{Name: "refresh.every", Help: "how often to ask for remote changes", initial: fixed("5m"), set: setRefreshEvery},
		{Name: "read.timeout", Help: "how long a program that reads waits for the service without a byte before it is told of an error", initial: fixed("30s"), set: setReadTimeout},
		{Name: "mount.options", list: true, Help: "options for the kernel's side of FUSE, such as volname=Work, noapplexattr or daemon_timeout=60 of macFUSE", set: setMountOptions},
		{Name: "names.case", Help: "exact or blind: whether names are found in another letter case",
			initial: func(p place) string { return p.dirs.Case }, set: setCase},
		{Name: "log.level", Help: "debug, info, warn or error", initial: fixed("info"), set: setLogLevel},
	}
}

func keyNamed(name string) (Key, bool) {
	for _, k := range Keys() {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

func fixed(s string) func(place) string { return func(place) string { return s } }

func text(field func(*Config) *string) func(*Config, string, place) error {
	return func(c *Config, s string, _ place) error { *field(c) = s; return nil }
}

func path(field func(*Config) *string) func(*Config, string, place) error {
	return func(c *Config, s string, p place) error {
		if s == "" {
			*field(c) = ""
			return nil
		}
		if s == "~" || strings.HasPrefix(s, "~/") {
			if p.dirs.Home == "" {
				return errors.New("there is no home folder for ~")
			}
			s = filepath.Join(p.dirs.Home, strings.TrimPrefix(s, "~"))
		}
		if !filepath.IsAbs(s) {
			s = filepath.Join(p.base, s)
		}
		*field(c) = filepath.Clean(s)
		return nil
	}
}

func setBool(to *bool, s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("want true or false, not %q", s)
	}
	*to = b
	return nil
}

func rootURL(field func(*Config) *string) func(*Config, string, place) error {
	return func(c *Config, s string, _ place) error {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			return fmt.Errorf("want an address such as https://graph.microsoft.com, not %q", s)
		}
		switch {
		case u.Scheme != "https":
			return fmt.Errorf("want an https address, not %q", u.Scheme)
		case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
			return fmt.Errorf("want the root alone, without version or tenant: https://%s", u.Host)
		case u.User != nil:
			return errors.New("want an address without user name and password")
		}
		*field(c) = "https://" + u.Host
		return nil
	}
}

func setMode(c *Config, s string, _ place) error {
	var names []string
	for _, m := range auth.Modes() {
		if s == string(m) || s == "" {
			c.SignIn = auth.Mode(s)
			return nil
		}
		names = append(names, string(m))
	}
	return fmt.Errorf("want one of %s, not %q", strings.Join(names, ", "), s)
}

// setCloud also sets the addresses; the keys that name those come later in the table and win.
func setCloud(c *Config, s string, _ place) error {
	var names []string
	for _, cloud := range auth.Clouds() {
		if s == cloud.Name {
			c.Cloud, c.GraphURL, c.LoginURL = cloud.Name, cloud.GraphURL, cloud.LoginURL
			return nil
		}
		names = append(names, cloud.Name)
	}
	return fmt.Errorf("want one of %s, not %q", strings.Join(names, ", "), s)
}

func setProxy(c *Config, s string, _ place) error {
	if s == "" {
		c.Proxy = ""
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
		return errors.New("want an address such as http://proxy.example.com:3128")
	}
	c.Proxy = s
	return nil
}

func setDrives(c *Config, s string, _ place) (err error) {
	c.Drives, err = specs(s)
	return err
}

// specs reads a list of drives. A comma separates them, unless what stands around it is none: the name of
// a library may hold one.
func specs(s string) (all []rest.Spec, err error) {
	for line := range strings.SplitSeq(s, "\n") {
		var some []rest.Spec
		for _, part := range lines(line) {
			d, perr := rest.ParseSpec(part)
			if perr != nil {
				err = perr
				break
			}
			some = append(some, d)
		}
		if err != nil {
			whole, werr := rest.ParseSpec(strings.TrimSpace(line))
			if werr != nil {
				return nil, err
			}
			some, err = []rest.Spec{whole}, nil
		}
		all = append(all, some...)
	}
	return all, nil
}

// lines takes a list apart.
func lines(s string) (all []string) {
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' }) {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

func setUploadDrive(c *Config, s string, _ place) (err error) {
	c.Upload.Drive, err = rest.ParseSpec(s)
	return err
}

// setReadOnly takes yes or no for all drives, or a list of those that are.
func setReadOnly(c *Config, s string, p place) error {
	c.ReadOnlyDrives = nil
	if setBool(&c.ReadOnly, s) == nil {
		return nil
	}
	var some Config
	if err := setDrives(&some, s, p); err != nil {
		return fmt.Errorf("want true, false or drives: %w", err)
	}
	c.ReadOnly, c.ReadOnlyDrives = false, some.Drives
	return nil
}

// setZone comes before the keys whose times it is about.
func setZone(c *Config, s string, _ place) error {
	c.zone = time.Local
	if s == "" {
		return nil
	}
	loc, err := time.LoadLocation(s)
	if err != nil {
		return fmt.Errorf("want the name of a time zone such as Europe/Berlin, not %q", s)
	}
	c.zone = loc
	return nil
}

// inZone is the place whose clock counts.
func (c *Config) inZone() *time.Location {
	if c.zone == nil {
		return time.Local
	}
	return c.zone
}

func setFlushAt(c *Config, s string, _ place) error { return c.setRule(&c.FlushAt, s) }

func setDeadline(c *Config, s string, _ place) error { return c.setRule(&c.Flush.Deadline, s) }

func (c *Config) setRule(to *schedule.Rule, s string) error {
	rule, err := schedule.Parse(strings.ReplaceAll(s, "\n", ", "))
	if err == nil {
		*to = rule.In(c.inZone())
	}
	return err
}

func setBandwidth(c *Config, s string, _ place) error {
	rate, err := schedule.ParseRate(strings.ReplaceAll(s, "\n", ", "))
	if err != nil {
		return err
	}
	c.Flush.Rate = rate.In(c.inZone())
	return nil
}

// isOff reports whether a limit is none.
func isOff(s string) bool { return s == "" || s == "off" || s == "never" || s == "0" }

// Period gives a time as people type it, such as 15m; empty for none.
func Period(d time.Duration) string {
	if d == 0 {
		return ""
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func duration(field func(*Config) *time.Duration, least time.Duration) func(*Config, string, place) error {
	return func(c *Config, s string, _ place) error {
		if isOff(s) {
			*field(c) = 0
			return nil
		}
		d, err := time.ParseDuration(s)
		if err != nil || d < least {
			return fmt.Errorf("want off, or a time of %s or more such as 15m or 2h, not %q", Period(least), s)
		}
		*field(c) = d
		return nil
	}
}

func setPermissionsEvery(c *Config, s string, p place) error {
	c.Mirror.Told = s == "told"
	switch s {
	case "always":
		c.Mirror.Every = -1
		return nil
	case "told":
		c.Mirror.Every = 0
		return nil
	}
	return duration(func(c *Config) *time.Duration { return &c.Mirror.Every }, time.Minute)(c, s, p)
}

func setMaxBytes(c *Config, s string, _ place) error {
	c.Flush.MaxBytes = 0
	if isOff(s) {
		return nil
	}
	n, err := humanize.ParseBytes(s)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return fmt.Errorf("want off, or a size such as 500MB or 2GiB, not %q", s)
	}
	c.Flush.MaxBytes = int64(n)
	return nil
}

func setOrder(c *Config, s string, _ place) (err error) {
	c.Flush.Order, err = plan.ParseOrder(s)
	return err
}

func setTransfers(c *Config, s string, _ place) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 16 {
		return fmt.Errorf("want a number from 1 to 16, not %q", s)
	}
	c.Flush.Transfers = n
	return nil
}

func setRetries(c *Config, s string, _ place) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 10 {
		return fmt.Errorf("want a number from 0 to 10, not %q", s)
	}
	c.Flush.Retries = n
	return nil
}

// period is a time that cannot be off.
func period(field func(*Config) *time.Duration, least time.Duration) func(*Config, string, place) error {
	return func(c *Config, s string, _ place) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < least {
			return fmt.Errorf("want a time of %s or more such as 90s or 5m, not %q", Period(least), s)
		}
		*field(c) = d
		return nil
	}
}

func setConflicts(c *Config, s string, _ place) (err error) {
	c.Conflicts, err = cache.ParsePolicy(s)
	return err
}

func setRefreshEvery(c *Config, s string, _ place) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second {
		return fmt.Errorf("want a time of a second or more such as 5m or 90s, not %q", s)
	}
	c.RefreshEvery = d
	return nil
}

func setReadTimeout(c *Config, s string, _ place) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second {
		return fmt.Errorf("want a time of a second or more such as 30s or 2m, not %q", s)
	}
	c.ReadTimeout = d
	return nil
}

// taken are options of FUSE that the mount depends on.
var taken = []string{"default_permissions", "ro", "rw", "fd", "rootmode", "user_id", "group_id", "fsname", "subtype", "suid", "dev", "auto_unmount", "direct_io", "auto_cache"}

func setMountOptions(c *Config, s string, _ place) error {
	c.FUSE = nil
	for _, o := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' }) {
		o = strings.TrimSpace(o)
		name, _, _ := strings.Cut(o, "=")
		if slices.Contains(taken, name) {
			return fmt.Errorf("the option %s is not to be chosen", name)
		}
		if o != "" {
			c.FUSE = append(c.FUSE, o)
		}
	}
	return nil
}

func setCase(c *Config, s string, _ place) error {
	switch s {
	case "exact":
		c.CaseBlind = false
	case "blind":
		c.CaseBlind = true
	default:
		return fmt.Errorf("want exact or blind, not %q", s)
	}
	return nil
}

func setLogLevel(c *Config, s string, _ place) error {
	switch s {
	case "debug", "info", "warn", "error":
		return c.LogLevel.UnmarshalText([]byte(s))
	}
	return fmt.Errorf("want debug, info, warn or error, not %q", s)
}

var _ slog.LogValuer = Secret("")
