package cli

import (
	"reflect"
	"strings"
	"testing"
)

func TestABrowserIsOpenedWhereItCanBeSeen(t *testing.T) {
	for _, c := range []struct {
		goos string
		env  map[string]string
		want bool
	}{
		{"linux", nil, false},
		{"linux", map[string]string{"DISPLAY": ":0"}, true},
		{"linux", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, true},
		{"linux", map[string]string{"SSH_CONNECTION": "x"}, false},
		{"linux", map[string]string{"SSH_CONNECTION": "x", "DISPLAY": "localhost:10"}, true},
		{"darwin", nil, true},
		{"darwin", map[string]string{"SSH_CONNECTION": "x"}, false},
	} {
		if got := hasDisplay(c.goos, c.env); got != c.want {
			t.Errorf("%s %v: %t", c.goos, c.env, got)
		}
	}
}

func TestTheBrowserIsTheConfiguredOne(t *testing.T) {
	for _, c := range []struct{ goos, browser, want string }{
		{"linux", "", "xdg-open ADDRESS"},
		{"darwin", "", "open ADDRESS"},
		{"linux", "firefox", "firefox ADDRESS"},
		{"linux", "firefox --new-tab %s --x", "firefox --new-tab ADDRESS --x"},
		{"linux", "a --url=%s", "a --url=ADDRESS"},
	} {
		if got := browserCommand(c.goos, map[string]string{"BROWSER": c.browser}, "ADDRESS"); strings.Join(got, " ") != c.want {
			t.Errorf("%s %q: %q", c.goos, c.browser, got)
		}
	}
}

func TestAPlaceIsADriveAndAFolder(t *testing.T) {
	for text, want := range map[string][]string{
		"me:Selftest":                       {"me", "Selftest"},
		"me:/a/b c/":                        {"me", "a", "b c"},
		"user:x@y.example:f":                {"user:x@y.example", "f"},
		"site:h.example:/sites/A#Library:f": {"site:h.example:/sites/A#Library", "f"},
		"drive:b!1:f":                       {"drive:b!1", "f"},
		"me":                                nil,
		"me:":                               nil,
		"me:/":                              nil,
		"me:a/../b":                         nil,
		"nothing:f":                         nil,
	} {
		spec, folder, err := parsePlace(text)
		var got []string
		if err == nil {
			got = append([]string{spec.String()}, folder...)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
		if err != nil && statusOf(err) != exitUsage {
			t.Errorf("%s: exit status %d", text, statusOf(err))
		}
	}
}

func TestATranscriptNamesNobody(t *testing.T) {
	for text, want := range map[string]string{
		"status=201 op=createUploadSession took=12ms":             "status=201 op=createUploadSession took=12ms",
		"see https://x.sharepoint.com/a?tempauth=v1.eyJ0 now":     "see (address) now",
		"where=/v1.0/users/anna.b@contoso.com/drive":              "where=/v1.0/users/(person)/drive",
		"request=0f6d2f6e-9c1b-4ad0-9d6c-3f6c2c7f0001 ok":         "request=0f6d… ok",
		"/items/01BYE5RZ6QN3ZWBTUFOFD3GSPGOHDJD36K/children":      "/items/01BY…/children",
		"/drives/b%21rj8LJzOBsdhNniFareD2QMUxQxPVFwlycL30XspBwLk": "/drives/b%21…",
		"Bearer SECRET-ACCESS-qwertzuiopasdfgh":                   "Bearer SECR…",
	} {
		if got := redacted(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
