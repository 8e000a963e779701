package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a home folder with files in it, and an environment.
func world(t *testing.T, files map[string]string, env ...string) Sources {
	t.Helper()
	home := t.TempDir()
	for name, text := range files {
		p := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env = append([]string{"HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "cfg"), "XDG_STATE_HOME=" + filepath.Join(home, "state")}, env...)
	return Sources{Environ: env, Work: home, Flags: map[string]Flag{}}
}

func load(t *testing.T, s Sources) *Config {
	t.Helper()
	c, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEachSourceOverridesTheOneBelow(t *testing.T) {
	layers := []struct {
		name   string
		files  map[string]string
		env    []string
		dotenv bool
		flag   string
		want   string
		source string
	}{
		{name: "default", want: "", source: "default"},
		{name: "file", files: map[string]string{"cfg/duskfs/config.yaml": "log: {level: warn}\nauth:\n  tenant: from-file\n"}, want: "from-file", source: "config.yaml:3"},
		{name: "dotenv, seeds' name", files: map[string]string{"x.env": "A=1\nTENANT_ID=from-dotenv\n"}, dotenv: true, want: "from-dotenv", source: "x.env:2"},
		{name: "dotenv, our name", files: map[string]string{"x.env": "DUSKFS_AUTH_TENANT=ours\nTENANT_ID=seed\n"}, dotenv: true, want: "ours", source: "x.env:1"},
		{name: "seeds' variable", files: map[string]string{"x.env": "DUSKFS_AUTH_TENANT=x\n"}, dotenv: true, env: []string{"TENANT_ID=from-seed"}, want: "from-seed", source: "variable TENANT_ID"},
		{name: "our variable", env: []string{"TENANT_ID=from-seed", "DUSKFS_AUTH_TENANT=from-var"}, want: "from-var", source: "variable DUSKFS_AUTH_TENANT"},
		{name: "flag", env: []string{"DUSKFS_AUTH_TENANT=from-var"}, flag: "from-flag", want: "from-flag", source: "--tenant"},
	}
	for _, l := range layers {
		t.Run(l.name, func(t *testing.T) {
			s := world(t, l.files, l.env...)
			if l.dotenv {
				s.File = "x.env"
			}
			if l.flag != "" {
				s.Flags["auth.tenant"] = Flag{l.flag, "--tenant"}
			}
			c := load(t, s)
			if c.Tenant != l.want {
				t.Errorf("tenant %q, want %q", c.Tenant, l.want)
			}
			if got := c.Source("auth.tenant"); !strings.HasSuffix(got, l.source) {
				t.Errorf("source %q, want %q", got, l.source)
			}
		})
	}
}

func TestADotEnvAddsToTheDefaultFileAndYAMLReplacesIt(t *testing.T) {
	files := map[string]string{
		"cfg/duskfs/config.yaml": "log: {level: warn}\n", "x.env": "CLIENT_ID=c\n", "y.yaml": "auth: {client: c}\n",
	}
	s := world(t, files)
	s.File = "x.env"
	if c := load(t, s); c.LogLevel.String() != "WARN" || c.Client != "c" {
		t.Errorf("with a .env: level %v, client %q", c.LogLevel, c.Client)
	}
	s.File = "y.yaml"
	if c := load(t, s); c.LogLevel.String() != "INFO" || c.Client != "c" {
		t.Errorf("with another file: level %v, client %q", c.LogLevel, c.Client)
	}
}

func TestADotEnvOfTheWorkingDirectoryIsNotReadUnasked(t *testing.T) {
	s := world(t, map[string]string{".env": "CLIENT_SECRET=planted\nDUSKFS_GRAPH_URL=https://evil.example\n"})
	if c := load(t, s); c.Secret != "" || c.GraphURL != "https://graph.microsoft.com" {
		t.Error("a .env that happens to lie in the working directory was believed")
	}
}

func TestADotEnvOfTheWorkingDirectoryHasTheScriptsNamesAlone(t *testing.T) {
	const planted = "CLIENT_SECRET=s\nUPLOAD_FOLDER=up\nONEDRIVE_UPLOAD_PATH=backup/mac\nSHAREPOINT_HOST=h\nSITE_NAME=\"A Site\"\nDOC_LIBRARY=Docs\n" +
		"LOCAL_ROOT=ms365_data/data\nDUSKFS_GRAPH_URL=https://evil.example\nAZURE_FEDERATED_TOKEN_FILE=x\nDUSKFS_NO_SUCH=1\n"
	s := world(t, map[string]string{".env": planted})
	s.WorkEnv = true
	c := load(t, s)
	if c.Secret.Reveal() != "s" || c.Upload.Folder != filepath.Join(s.Work, "up") || c.Upload.Path != "backup/mac" || c.Upload.Drive.String() != "me" {
		t.Errorf("not taken: %+v", c.Upload)
	}
	if want := (Mirror{Host: "h", Site: "A Site", Library: "Docs", Folder: filepath.Join(s.Work, "ms365_data/data"), Every: 24 * time.Hour}); !reflect.DeepEqual(c.Mirror, want) {
		t.Errorf("got %+v, want %+v", c.Mirror, want)
	}
	if c.GraphURL != "https://graph.microsoft.com" || c.AssertionFile != "" {
		t.Error("a name that is not the scripts' was taken")
	}
	if got := c.Source("upload.folder"); !strings.HasSuffix(got, ".env:2") {
		t.Errorf("source %s", got)
	}
	s.Environ = append(s.Environ, "UPLOAD_FOLDER=/other")
	if c := load(t, s); c.Upload.Folder != "/other" {
		t.Error("the environment did not win")
	}
	if err := os.WriteFile(filepath.Join(s.Work, "named.env"), []byte("CLIENT_ID=c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.File = "named.env"
	if c := load(t, s); c.Client != "c" || c.Secret != "" {
		t.Error("a .env that was named did not take its place")
	}
}

func TestADotEnvThatOthersCouldHaveWrittenIsNotRead(t *testing.T) {
	s := world(t, map[string]string{".env": "CLIENT_SECRET=planted\n"})
	s.WorkEnv = true
	file := filepath.Join(s.Work, ".env")
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	if c := load(t, s); c.Secret != "" || !strings.Contains(c.Ignored(), "can be written by everybody") {
		t.Errorf("read, or ignored without a word: %q", c.Ignored())
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := load(t, s); c.Secret.Reveal() != "planted" || c.Ignored() != "" {
		t.Errorf("not read: %q", c.Ignored())
	}
	if os.Geteuid() != 0 {
		t.Skip("a file of somebody else needs root")
	}
	if err := os.Lchown(file, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if c := load(t, s); c.Secret != "" || !strings.Contains(c.Ignored(), "belongs to somebody else") {
		t.Errorf("read, or ignored without a word: %q", c.Ignored())
	}
	// A link of somebody else to a file of ours is no better.
	if err := os.Rename(file, file+".real"); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(file+".real", os.Geteuid(), -1); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file+".real", file); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(file, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if c := load(t, s); c.Secret != "" || c.Ignored() == "" {
		t.Error("a link of somebody else was followed")
	}
}

func TestEveryKeyHasItsVariableAndItsPlaceInAFile(t *testing.T) {
	good := map[string]string{
		"drives": "me", "mountpoint": "/m", "read-only": "true", "graph.url": "https://g.example", "login.url": "https://l.example",
		"proxy": "http://p.example:1", "flush.at": "18:00", "refresh.every": "90s", "read.timeout": "20s", "names.case": "blind", "log.level": "debug",
		"flush.after": "15m", "flush.on-unmount": "true", "flush.deadline": "07:00", "flush.max-duration": "2h", "flush.max-bytes": "2GB", "flush.bandwidth": "1MB",
		"flush.order": "large", "flush.transfers": "8", "flush.retries": "0", "network.timeout": "90s", "network.patience": "5m", "flush.no-remote-delete": "true", "flush.zone": "UTC", "conflicts": "mine",
		"notify.desktop": "false", "upload.drive": "site:h.example:/sites/a",
		"mirror.drives": "me", "mirror.sites": "h.example:/sites/a", "mirror.permissions-every": "always",
		"auth.mode": "person", "auth.keychain": "false", "cloud": "usgov",
	}
	for _, k := range Keys() {
		v := good[k.Name]
		if v == "" {
			v = "/some-value"
		}
		for _, s := range []Sources{
			world(t, nil, k.Var()+"="+v),
			world(t, map[string]string{"cfg/duskfs/config.yaml": nested(k.Name, v)}),
		} {
			c, err := Load(s)
			if err != nil {
				t.Errorf("%s: %v", k.Name, err)
				continue
			}
			if c.Source(k.Name) == "default" {
				t.Errorf("%s: the value was not taken", k.Name)
			}
		}
	}
}

func nested(key, value string) string {
	parts := strings.Split(key, ".")
	return strings.Repeat("{", 0) + strings.Join(parts, ": {") + ": \"" + value + "\"" + strings.Repeat("}", len(parts)-1) + "\n"
}

func TestDrivesAreSeparatedByCommas(t *testing.T) {
	for text, want := range map[string][]string{
		"me, drive:1":                   {"me", "drive:1"},
		"me,,drive:1,":                  {"me", "drive:1"},
		"site:h.example:/s#A, B":        {"site:h.example:/s#A, B"},
		"me\nsite:h.example:/s#A, B":    {"me", "site:h.example:/s#A, B"},
		"me\ndrive:1, drive:2\ndrive:3": {"me", "drive:1", "drive:2", "drive:3"},
		"":                              nil,
		"me, onedrive":                  {"\"onedrive\" names no drive"},
	} {
		var c Config
		err := setDrives(&c, text, place{})
		var got []string
		for _, d := range c.Drives {
			got = append(got, d.String())
		}
		if err != nil {
			got = []string{err.Error()[:min(len(err.Error()), 25)]}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestMistakesNameFileAndLine(t *testing.T) {
	cases := []struct{ name, text, want string }{
		{"unknown key", "log:\n  level: info\nflush:\n  att: 18:00\n", `config.yaml:4: unknown key "flush.att"`},
		{"another spelling", "flush_at: 1\n", `config.yaml:1: unknown key "flush_at", did you mean "flush.at"?`},
		{"unknown group", "flusch:\n  at: 18:00\n", `config.yaml:1: unknown key "flusch"`},
		{"bad value", "\n\nflush:\n  at: 25:00\n", `config.yaml:4: flush.at: schedule "25:00": "25:00" is no time of day`},
		{"list for a value", "log:\n  level: [info]\n", "config.yaml:2: log.level: want one value, not a list"},
		{"value for a group", "log: info\n", "config.yaml:1: log holds further keys"},
		{"mapping for a value", "proxy:\n  url: x\n", `config.yaml:2: unknown key "proxy.url"`},
		{"twice", "log: {level: info}\nlog: {level: warn}\n", "config.yaml:2: "},
		{"not YAML", "auth:\n  secret: hunter2\n bad: [\n", "config.yaml:"},
		{"JSON", "{\"log\":\n {\"level\": \"loud\"}}", "config.yaml:2: log.level: want debug"},
		{"http", "graph:\n  url: http://graph.example\n", "config.yaml:2: graph.url: want an https address"},
		{"version in the root", "graph: {url: https://graph.example/v1.0}\n", "config.yaml:1: graph.url: want the root alone"},
		{"drive", "drives:\n  - me\n  - onedrive\n", "config.yaml:2: \"onedrive\" names no drive"},
		{"two documents", "proxy: \"\"\n---\nproxy: \"\"\n", "want one document"},
		{"too short a time", "flush:\n  after: 1s\n", `config.yaml:2: flush.after: want off, or a time of 10s or more`},
		{"no size", "flush:\n  max-bytes: lots\n", `config.yaml:2: flush.max-bytes: want off, or a size`},
		{"no rate", "flush:\n  bandwidth: 08:00-18:00\n", `config.yaml:2: flush.bandwidth: rate "08:00-18:00": `},
		{"a rate that nobody can mean", "flush:\n  bandwidth: 5\n", `config.yaml:2: flush.bandwidth: rate "5": "5" is 5 bytes a second`},
		{"a rate with a space", "flush:\n  bandwidth: 5 Mbit\n", `write it like 500kB`},
		{"no weekday", "flush:\n  at: weekdays 18:00\n", `config.yaml:2: flush.at: schedule "weekdays 18:00": "weekdays" is neither a time of day nor a day of the week; write it like mon-fri 18:00`},
		{"no order", "flush: {order: random}\n", `config.yaml:1: flush.order: want small, large or oldest`},
		{"too many retries", "flush: {retries: 11}\n", `config.yaml:1: flush.retries: want a number from 0 to 10`},
		{"a timeout that is none", "network: {timeout: off}\n", `config.yaml:1: network.timeout: want a time of 5s or more`},
		{"too many transfers", "flush: {transfers: 99}\n", `config.yaml:1: flush.transfers: want a number from 1 to 16`},
		{"no deadline", "flush: {deadline: soon}\n", `config.yaml:1: flush.deadline: schedule "soon"`},
		{"no duration", "flush: {max-duration: long}\n", `config.yaml:1: flush.max-duration: want off, or a time of 1m or more`},
		{"no zone", "flush: {zone: Utopia/Nowhere}\n", `config.yaml:1: flush.zone: want the name of a time zone`},
		{"neither true nor false", "flush: {on-unmount: maybe}\n", `config.yaml:1: flush.on-unmount: want true or false`},
		{"no policy", "conflicts: ours\n", `config.yaml:1: conflicts: want keep-both, mine or theirs`},
		{"a bare word", "hello\n", "config.yaml:1: want keys and values"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(world(t, map[string]string{"cfg/duskfs/config.yaml": c.text}))
			var ce *Error
			if !errors.As(err, &ce) {
				t.Fatalf("no config error but %v", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("shows a secret, or more than a line: %s", err)
			}
		})
	}
}

func TestTheTimesOfAFlushAreThoseOfItsZone(t *testing.T) {
	c := load(t, world(t, map[string]string{
		"cfg/duskfs/config.yaml": "flush:\n  at: [mon-fri 12:30, 18:00]\n  zone: Asia/Tokyo\n  bandwidth:\n    - mon-fri 08:00-18:00 500kB\n    - 5MB\n",
	}))
	friday := time.Date(2026, 11, 20, 5, 0, 0, 0, time.UTC) // 14:00 in Tokyo
	if next := c.FlushAt.Next(friday).UTC().Format("Mon 15:04"); next != "Fri 09:00" {
		t.Errorf("the next flush is at %s", next)
	}
	if at := c.Flush.Rate.At(friday); at != 500_000 {
		t.Errorf("%d bytes a second by day", at)
	}
	if at := c.Flush.Rate.At(friday.Add(5 * time.Hour)); at != 5_000_000 {
		t.Errorf("%d bytes a second by night", at)
	}
}

func TestMistakesOfADotEnvNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"A=1\nDUSKFS_LOGLEVEL=info\n":              "x.env:2: unknown variable DUSKFS_LOGLEVEL",
		"CLIENT_SECRET=hunter2\nthis is no line\n": "x.env:2: want lines of the form",
		"A=1\nDUSKFS_FLUSH_AT=noon\n":              `x.env:2: flush.at: schedule "noon"`,
	} {
		s := world(t, map[string]string{"x.env": text})
		s.File = "x.env"
		_, err := Load(s)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestANamedFileMustBeThere(t *testing.T) {
	s := world(t, nil)
	s.File = "none.yaml"
	if _, err := Load(s); err == nil || !strings.Contains(err.Error(), "none.yaml: no such file") {
		t.Errorf("got %v", err)
	}
}

func TestJSONIsAccepted(t *testing.T) {
	c := load(t, world(t, map[string]string{"cfg/duskfs/config.yaml": "{\n\t\"drives\": [\"me\", \"site:h.example:/sites/a#Plans\"],\n\t\"read-only\": true,\n\t\"refresh\": {\"every\": \"30s\"}\n}"}))
	if len(c.Drives) != 2 || c.Drives[1].Library != "Plans" || !c.ReadOnly || c.RefreshEvery != 30*time.Second {
		t.Errorf("got %+v", c)
	}
}

func TestRelativePathsStartAtTheFileThatHoldsThem(t *testing.T) {
	s := world(t, map[string]string{"cfg/duskfs/config.yaml": "ca: {file: ca.pem}\nmountpoint: ~/OneDrive\n"})
	c := load(t, s)
	if want := filepath.Join(s.Work, "cfg/duskfs/ca.pem"); c.CAFile != want {
		t.Errorf("ca.file %s, want %s", c.CAFile, want)
	}
	if want := filepath.Join(s.Work, "OneDrive"); c.Mountpoint != want {
		t.Errorf("mountpoint %s, want %s", c.Mountpoint, want)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	c := load(t, world(t, nil, "CLIENT_SECRET=hunter2", "DUSKFS_PROXY=http://me:hunter2@p.example:1"))
	if c.Secret.Reveal() != "hunter2" {
		t.Fatal("the secret was not taken")
	}
	js, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	values, err := json.Marshal(c.Values())
	if err != nil {
		t.Fatal(err)
	}
	proxyOnly := strings.ReplaceAll(string(js)+fmt.Sprintf("%+v %#v", *c, c.Secret), c.Proxy, "")
	for _, shown := range []string{proxyOnly, string(values), fmt.Sprint(c.Secret), fmt.Sprintf("%q", c.Secret), c.Secret.LogValue().String()} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestPlacesOfThePlatforms(t *testing.T) {
	home := map[string]string{"HOME": "/h"}
	if d := DirsOf("linux", home); d.Config != "/h/.config/duskfs" || d.State != "/h/.local/state/duskfs" || d.Case != "exact" {
		t.Errorf("linux: %+v", d)
	}
	if d := DirsOf("darwin", home); d.Config != "/h/Library/Application Support/duskfs" || d.State != d.Config || d.Case != "blind" {
		t.Errorf("darwin: %+v", d)
	}
	if d := DirsOf("linux", map[string]string{"HOME": "/h", "XDG_STATE_HOME": "relative"}); d.State != "/h/.local/state/duskfs" {
		t.Errorf("a relative XDG folder counted: %+v", d)
	}
}

func TestACloudSetsBothAddressesUnlessTheyAreNamed(t *testing.T) {
	c := load(t, world(t, nil, "DUSKFS_CLOUD=china"))
	if c.GraphURL != "https://microsoftgraph.chinacloudapi.cn" || c.LoginURL != "https://login.chinacloudapi.cn" || c.Source("graph.url") != "variable DUSKFS_CLOUD" {
		t.Errorf("graph %s (%s), login %s", c.GraphURL, c.Source("graph.url"), c.LoginURL)
	}
	c = load(t, world(t, nil, "DUSKFS_CLOUD=dod", "DUSKFS_GRAPH_URL=https://g.example"))
	if c.GraphURL != "https://g.example" || c.LoginURL != "https://login.microsoftonline.us" {
		t.Errorf("graph %s, login %s", c.GraphURL, c.LoginURL)
	}
	c = load(t, world(t, nil))
	if c.GraphURL != "https://graph.microsoft.com" || c.LoginURL != "https://login.microsoftonline.com" || c.Source("login.url") != "default" {
		t.Errorf("graph %s, login %s (%s)", c.GraphURL, c.LoginURL, c.Source("login.url"))
	}
	if _, err := Load(world(t, nil, "DUSKFS_CLOUD=germany")); err == nil || !strings.Contains(err.Error(), "global, usgov, dod, china") {
		t.Errorf("an unknown cloud: %v", err)
	}
}

func TestThePasswordOfACertificateIsNeverPrinted(t *testing.T) {
	c := load(t, world(t, nil, "DUSKFS_AUTH_CERTIFICATE_PASSWORD=hunter2"))
	if c.CertificatePassword.Reveal() != "hunter2" || strings.Contains(fmt.Sprintf("%+v %v", *c, c.Values()), "hunter2") {
		t.Error("the password was not taken, or is shown")
	}
}
