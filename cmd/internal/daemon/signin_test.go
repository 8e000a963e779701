package daemon

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/auth"
)

func TestASignInIsWhatIsConfigured(t *testing.T) {
	work := t.TempDir()
	for name, c := range map[string]struct {
		env  []string
		want auth.Mode
	}{
		"nothing":       {nil, auth.Person},
		"a secret":      {[]string{"CLIENT_SECRET=x"}, auth.Secret},
		"a certificate": {[]string{"DUSKFS_AUTH_CERTIFICATE=c.pem", "DUSKFS_AUTH_CERTIFICATE_PASSWORD=p"}, auth.Certificate},
		"a workload":    {[]string{"AZURE_FEDERATED_TOKEN_FILE=token"}, auth.Federated},
		"said outright": {[]string{"CLIENT_SECRET=x", "DUSKFS_AUTH_MODE=managed"}, auth.Managed},
	} {
		env := append([]string{"HOME=" + work, "TENANT_ID=t.example", "CLIENT_ID=id", "USER_ID=anna", "DUSKFS_CLOUD=china", "DUSKFS_AUTH_KEYCHAIN=false", "DUSKFS_READ_ONLY=true"}, c.env...)
		cfg, err := config.Load(config.Sources{Environ: env, Work: work})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := signInAs(cfg, "test", nil)
		if mode, err := auth.Choose(got); mode != c.want || err != nil {
			t.Errorf("%s: %s, %v", name, mode, err)
		}
		if got.GraphURL != "https://microsoftgraph.chinacloudapi.cn" || got.LoginURL != "https://login.chinacloudapi.cn" || got.User != "anna" || !got.ReadOnly ||
			got.Keychain != nil || got.Dir != filepath.Join(cfg.StateDir, "signin") {
			t.Errorf("%s: %+v", name, got)
		}
		if c.want == auth.Certificate && (got.Certificate != filepath.Join(work, "c.pem") || got.CertificatePassword != "p") {
			t.Errorf("certificate %q", got.Certificate)
		}
		if c.want == auth.Federated && got.AssertionFile != filepath.Join(work, "token") {
			t.Errorf("assertion file %q", got.AssertionFile)
		}
	}
}

func TestWhoHasNotSignedInIsAskedTo(t *testing.T) {
	cfg := &config.Config{Tenant: "t.example", Client: "id", StateDir: t.TempDir()}
	if _, err := Connect(cfg, "test", nil); !errors.Is(err, graph.SignIn) {
		t.Errorf("got %v", err)
	}
	p, err := NewPerson(cfg, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.SignedIn(t.Context()); !errors.Is(err, graph.SignIn) {
		t.Errorf("got %v", err)
	}
	if was, err := p.Logout(t.Context()); was || err != nil {
		t.Errorf("logout: %t, %v", was, err)
	}
	cfg.Secret = "x"
	if p, err = NewPerson(cfg, "test"); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var ce *config.Error
	if _, err := p.Logout(t.Context()); !errors.As(err, &ce) {
		t.Errorf("an application signs out: %v", err)
	}
}
