package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSecretsThatOthersMayReadAreSeen(t *testing.T) {
	const yaml, env = "cfg/duskfs/config.yaml", "named.env"
	for _, c := range []struct {
		name, file, text string
		mode             fs.FileMode
		exposed          bool
	}{
		{"a secret, for everybody", yaml, "auth: {secret: s}", 0o644, true},
		{"a secret, for a group", yaml, "auth: {secret: s}", 0o640, true},
		{"a secret that others may change", yaml, "auth: {secret: s}", 0o602, true},
		{"a secret for its owner", yaml, "auth: {secret: s}", 0o600, false},
		{"no secret", yaml, "auth: {client: c}", 0o644, false},
		{"the password of a proxy", yaml, "proxy: http://u:p@h.example:1", 0o644, true},
		{"a proxy without one", yaml, "proxy: http://h.example:1", 0o644, false},
		{"a .env that is named", env, "CLIENT_SECRET=s", 0o644, true},
		{"a .env with an empty one", env, "CLIENT_SECRET=", 0o644, false},
		{"a .env that lies there", ".env", "CLIENT_SECRET=s", 0o644, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := world(t, map[string]string{c.file: c.text})
			s.WorkEnv = true
			if c.file == env {
				s.File = env
			}
			file := filepath.Join(s.Work, c.file)
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
			var want []Exposed
			if c.exposed {
				want = []Exposed{{file, c.mode}}
			}
			got := load(t, s).Exposed()
			if !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			for _, e := range got {
				if err := e.Guard(); err != nil {
					t.Fatal(err)
				}
			}
			if got := load(t, s).Exposed(); got != nil {
				t.Errorf("guarded, and still %v", got)
			}
		})
	}
}

func TestTheKeyOfACertificateIsASecret(t *testing.T) {
	s := world(t, map[string]string{"app.pem": "x"}, "DUSKFS_AUTH_CERTIFICATE=app.pem")
	file := filepath.Join(s.Work, "app.pem")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := load(t, s).Exposed(), []Exposed{{file, 0o644}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWhatTheOwnerCannotGuardIsNotExposed(t *testing.T) {
	for _, c := range []struct {
		name           string
		mode           fs.FileMode
		ours, readOnly bool
		want           bool
	}{
		{"ours", 0o444, true, false, true},
		{"somebody else's", 0o444, false, false, false},
		{"a container's, to be read only", 0o444, true, true, false},
		{"a pipe", fs.ModeNamedPipe | 0o644, true, false, false},
	} {
		if got := exposed(c.mode, c.ours, c.readOnly); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
