package daemon

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/graph"
)

func TestTheCommandReadsWhatHappened(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "told")
	h := startHerald(config.Notify{Command: "cat > " + pipe + ".new && mv " + pipe + ".new " + pipe + "; echo done >&2; exit 3"}, "/m", slog.New(slog.DiscardHandler))
	defer h.end()
	at := time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)
	h.tell(flush.Notice{Kind: flush.NoticeFailed, Name: "OneDrive", Text: "it failed", At: at})
	var text []byte
	for range 500 { // another process writes it
		if text, _ = os.ReadFile(pipe); text != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	var got told
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if want := (told{Kind: "failed", Text: "it failed", Mount: "/m", Drive: "OneDrive", At: at}); got != want {
		t.Errorf("got %+v", got)
	}
}

func TestACommandThatHangsHoldsUpNobody(t *testing.T) {
	h := startHerald(config.Notify{Command: "sleep 1000"}, "/m", slog.New(slog.DiscardHandler))
	began := time.Now()
	for range 3 * newsWaiting {
		h.tell(flush.Notice{})
	}
	h.end()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestADesktopThatHangsIsAskedOnce(t *testing.T) {
	h := startHerald(config.Notify{}, "/m", slog.New(slog.DiscardHandler))
	release, asked := make(chan struct{}), make(chan string, 2)
	h.show = func(title, text string) error { asked <- title + "/" + text; <-release; return nil }
	h.tell(flush.Notice{Name: "OneDrive", Text: "hello"})
	if got := <-asked; got != "duskfs: OneDrive/hello" {
		t.Errorf("shown: %s", got)
	}
	h.end()
	h.desktop(t.Context(), flush.Notice{})
	close(release)
	if len(asked) != 0 {
		t.Error("a second one was shown while the first hangs")
	}
}

func TestWithoutASessionNothingIsShown(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		goos, env string
		want      bool
	}{
		{"linux", "", false},
		{"linux", "DBUS_SESSION_BUS_ADDRESS=unix:path=/x", true},
		{"linux", "XDG_RUNTIME_DIR=" + dir, false},
		{"darwin", "", true},
		{"darwin", "SSH_CONNECTION=1.2.3.4 5 6.7.8.9 22", false},
	} {
		name, value, _ := strings.Cut(c.env, "=")
		if got := hasDesktop(c.goos, func(n string) string {
			if n == name {
				return value
			}
			return ""
		}); got != c.want {
			t.Errorf("%s with %q: %t", c.goos, c.env, got)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bus"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !hasDesktop("linux", func(n string) string { return map[string]string{"XDG_RUNTIME_DIR": dir}[n] }) {
		t.Error("a session bus in its usual place was not found")
	}
}

// What to do about a sign-in is what the error says, and that is not always to log in.
func TestANoticeOfASignInSaysWhatStatusDoes(t *testing.T) {
	h := startHerald(config.Notify{}, "/m", slog.New(slog.DiscardHandler))
	defer h.end()
	heard := make(chan string, 1)
	h.show = func(_, text string) error { heard <- text; return nil }
	h.tell(flush.Notice{Kind: flush.NoticeSignIn, Text: "nothing is sent", Err: &graph.Error{
		Op: "delta", Item: "b!x9", Kind: graph.SignIn, Message: "the client secret is wrong; make sure that CLIENT_SECRET is the secret's value",
	}})
	if got, want := <-heard, "nothing is sent: the client secret is wrong; make sure that CLIENT_SECRET is the secret's value"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
