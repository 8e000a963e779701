package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func vaultIn(dir string) *vault {
	return openVault(prepared{Config: Config{Dir: dir, Tenant: "contoso.com", ClientID: "id"}, login: &url.URL{Host: "login.example"}})
}

func keep(t *testing.T, v *vault, signIn string) {
	t.Helper()
	if _, err := v.save(t.Context(), record{SignIn: signIn, Home: "a.b", Name: "anna", Cache: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
}

func TestARenewalDoesNotTouchAnotherSignIn(t *testing.T) {
	v := vaultIn(filepath.Join(t.TempDir(), "signin"))
	keep(t, v, "first")
	keep(t, v, "second")
	called := false
	if err := v.renew(t.Context(), "first", func(*record) { called = true }); !errors.Is(err, errReplaced) || called {
		t.Errorf("after another login: %v, changed %t", err, called)
	}
	if r, _, err := v.load(t.Context()); err != nil || r.SignIn != "second" {
		t.Errorf("kept: %+v, %v", r, err)
	}
	if err := v.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := v.renew(t.Context(), "second", func(*record) { called = true }); !errors.Is(err, errNobody) || called {
		t.Errorf("after a logout: %v, changed %t", err, called)
	}
}

func TestALockThatIsHeldIsWaitedFor(t *testing.T) {
	v := vaultIn(filepath.Join(t.TempDir(), "signin"))
	keep(t, v, "first")
	err := v.locked(t.Context(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return v.renew(ctx, "first", func(*record) { t.Error("changed under somebody else's lock") })
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := v.renew(t.Context(), "first", func(*record) {}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A kill at any moment of a renewal leaves the old record or the new one.
func TestAKillInTheMiddleOfARenewal(t *testing.T) {
	const mark = "DUSKFS_TEST_RENEW"
	if dir := os.Getenv(mark); dir != "" {
		v := vaultIn(dir)
		fmt.Println("begun")
		for {
			if err := v.renew(t.Context(), "first", func(r *record) { r.Name += "x" }); err != nil {
				t.Fatal(err)
			}
		}
	}
	v := vaultIn(filepath.Join(t.TempDir(), "signin"))
	keep(t, v, "first")
	before := 0
	for round := range 20 {
		child := exec.Command(os.Args[0], "-test.run=^TestAKillInTheMiddleOfARenewal$")
		child.Env = append(os.Environ(), mark+"="+v.dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Millisecond + time.Duration(round*137)*time.Microsecond) // where it is then, is chance
		_ = child.Process.Kill()
		_ = child.Wait() // it was killed
		r, _, err := v.load(t.Context())
		if err != nil || len(r.Name) < before {
			t.Fatalf("round %d: %q, %v", round, r.Name, err)
		}
		before = len(r.Name)
	}
	if before < 20 {
		t.Errorf("%d renewals in all", before)
	}
}
