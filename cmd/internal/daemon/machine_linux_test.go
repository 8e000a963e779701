package daemon

import (
	"bufio"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/duskfs/duskfs/flush"
)

func TestWhatTheMachineIsAboutToDo(t *testing.T) {
	level := func(n uint32) map[string]dbus.Variant {
		return map[string]dbus.Variant{"WarningLevel": dbus.MakeVariant(n)}
	}
	for _, c := range []struct {
		name string
		body []any
		want string
	}{
		{loginManager + ".PrepareForSleep", []any{true}, sleeps},
		{loginManager + ".PrepareForSleep", []any{false}, ""},
		{loginManager + ".PrepareForShutdown", []any{true}, shutsDown},
		{loginManager + ".PrepareForShutdown", nil, ""},
		{loginManager + ".SessionNew", []any{"1"}, ""},
		{properties + ".PropertiesChanged", []any{battery, level(3), []string{}}, batteryIsLow},
		{properties + ".PropertiesChanged", []any{battery, level(2), []string{}}, ""},
		{properties + ".PropertiesChanged", []any{battery, map[string]dbus.Variant{"Percentage": dbus.MakeVariant(7.0)}}, ""},
		{properties + ".PropertiesChanged", []any{"org.freedesktop.UPower", level(5)}, ""},
	} {
		if got := heard(&dbus.Signal{Name: c.name, Body: c.body}); got != c.want {
			t.Errorf("%s %v: %q", c.name, c.body, got)
		}
	}
}

// A bus of the test's own, on which the machine is played.
func TestTheMachineIsHeardOnItsBus(t *testing.T) {
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("there is no dbus-daemon")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	run := exec.CommandContext(ctx, daemon, "--session", "--nofork", "--nosyslog", "--print-address=1", "--address=unix:dir="+t.TempDir())
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context) (*dbus.Conn, error) {
		return dbus.Connect(strings.TrimSpace(line), dbus.WithContext(ctx))
	}
	said, ended := make(chan string, 8), make(chan error, 1)
	go func() { ended <- hearMachine(ctx, dial, func(why string) { said <- why }) }()
	machine, err := dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	for _, c := range []struct {
		path   dbus.ObjectPath
		signal string
		body   []any
		want   string
	}{
		{loginPath, loginManager + ".PrepareForSleep", []any{true}, sleeps},
		{batteryPath, properties + ".PropertiesChanged", []any{battery, map[string]dbus.Variant{"WarningLevel": dbus.MakeVariant(uint32(4))}, []string{}}, batteryIsLow},
		{loginPath, loginManager + ".PrepareForShutdown", []any{true}, shutsDown},
	} {
		got := ""
		for deadline := time.After(20 * time.Second); got != c.want; { // it may not listen yet
			if err := machine.Emit(c.path, c.signal, c.body...); err != nil {
				t.Fatal(err)
			}
			select {
			case got = <-said:
			case <-time.After(100 * time.Millisecond):
			case <-deadline:
				t.Fatalf("%s: nothing was heard", c.signal)
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_ = run.Wait()
}

func TestUnsentIsSaidInASentence(t *testing.T) {
	at := time.Date(2026, 3, 4, 18, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		items int
		bytes int64
		want  string
	}{
		{1, 0, "this machine goes to sleep, and 1 change is not sent; it is kept here"},
		{1200, 5_000_000, "this machine goes to sleep, and 1,200 changes are not sent (5.0 MB); it is kept here"},
	} {
		n := notSent(sleeps, c.items, c.bytes, at)
		if n.Text != c.want || n.Kind != flush.NoticeUnsent || !n.At.Equal(at) {
			t.Errorf("%+v", n)
		}
	}
}
