package cli

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/duskfs/duskfs/flush/schedule"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

func TestUnitsAreAsTheGoldenFilesHaveThem(t *testing.T) {
	rule, err := schedule.Parse("18:00, sat,sun 7:05")
	if err != nil {
		t.Fatal(err)
	}
	job := unit{
		Kind: "upload", Name: "photos", Work: "/home/ann/100% mine", At: rule.String(), Moments: rule.Moments(), Log: "/home/ann/.local/state/duskfs/log/duskfs-upload-photos.log",
		Command: []string{"/usr/local/bin/duskfs", "upload", "/home/ann/up & \"down\" $HOME/50%", "me:it's here", "--scheduled", "--exclude=*.tmp"},
		Environ: []variable{{"TENANT_ID", "contoso.com"}, {"DUSKFS_PROXY", "http://p.example/a?b=50%25&c"}},
	}
	stays := unit{
		Kind: "mount", Work: "/home/ann", Stays: true, Log: "/home/ann/.local/state/duskfs/log/duskfs-mount.log",
		Command: []string{"/usr/local/bin/duskfs", "mount", "me", "/home/ann/OneDrive", "--flush-at=18:00"},
	}
	for _, c := range []struct {
		u    unit
		file string
	}{
		{job, "launchd.plist"}, {job, "systemd.service"}, {job, "systemd.timer"}, {job, "crontab"},
		{stays, "launchd.plist"}, {stays, "systemd.service"}, {stays, "crontab"},
	} {
		got, err := c.u.render(c.file)
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "units", c.u.Label()+"."+c.file)
		if *updateGolden {
			if err := os.MkdirAll(filepath.Dir(golden), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not as in %s:\n%s", c.file, golden, got)
		}
	}
}
