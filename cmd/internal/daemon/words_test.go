package daemon

import (
	"testing"
	"time"

	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/graph"
)

func TestTroubleIsToldInASentence(t *testing.T) {
	now := time.Date(2026, 11, 20, 18, 0, 0, 0, time.Local)
	morning, before := now.Add(-9*time.Hour), now.Add(-30*time.Hour)
	for _, c := range []struct {
		kind graph.Kind
		text string
		at   time.Time
		want string
	}{
		{graph.Offline, `delta b!x9: service out of reach: Get "https://graph.microsoft.com/v1.0/x": dial tcp 1.2.3.4:443: connect: connection refused`, morning,
			"the service cannot be reached since 09:00: connection refused"},
		{graph.Offline, `delta b!x9: service out of reach: dial tcp: lookup graph.microsoft.com on 127.0.0.53:53: no such host`, before,
			"the service cannot be reached since Thu 19 Nov 12:00: no such host"},
		{graph.Offline, "refresh: service out of reach", time.Time{}, "the service cannot be reached"},
		{graph.Failed, "delta b!x9: service failed: the service is unavailable (503 serviceNotAvailable)", morning,
			"the service fails since 09:00: the service is unavailable"},
		{graph.SignIn, "sign in: sign-in needed: the secret has expired, make a new one (AADSTS7000222)", morning, "the secret has expired, make a new one (AADSTS7000222)"},
		{graph.SignIn, "delta: sign-in needed", morning, "nobody is signed in any more; run `duskfs login`, or renew the secret"},
		{graph.Full, "upload: no space left in the drive", morning, "the drive is full: make room there, or send less"},
		{"", "something of our own", morning, "something of our own"},
	} {
		if got := sentence(c.kind, c.text, c.at, now); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestWhatADeadDiskWouldCost(t *testing.T) {
	now := time.Date(2026, 11, 20, 18, 0, 0, 0, time.Local)
	morning := now.Add(-9 * time.Hour)
	for _, c := range []struct {
		p    control.Pending
		want string
	}{
		{control.Pending{}, ""},
		{control.Pending{Items: 3, Bytes: 4_200_000, Oldest: &morning}, "if this disk died now: 4.2 MB of work since 09:00"},
		{control.Pending{Items: 3, Oldest: &morning}, "if this disk died now: no bytes, but renames, deletions or new folders since 09:00"},
	} {
		if got := loss(c.p, now); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
