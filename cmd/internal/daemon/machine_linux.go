package daemon

import (
	"context"
	"errors"

	"github.com/godbus/dbus/v5"
)

// systemBus connects to the bus on which the machine speaks of itself.
func systemBus(ctx context.Context) (*dbus.Conn, error) {
	return dbus.ConnectSystemBus(dbus.WithContext(ctx))
}

const (
	loginPath    = "/org/freedesktop/login1"
	loginManager = "org.freedesktop.login1.Manager"
	batteryPath  = "/org/freedesktop/UPower/devices/DisplayDevice"
	battery      = "org.freedesktop.UPower.Device"
	properties   = "org.freedesktop.DBus.Properties"
	// lowBattery is the first of UPower's levels of warning at which somebody should do something.
	lowBattery = 3
)

// hearMachine calls say whenever the machine is about to sleep or to shut down, and when its battery becomes
// low, until ctx ends. It delays nothing of that. It returns an error if there is nobody to hear.
func hearMachine(ctx context.Context, dial func(context.Context) (*dbus.Conn, error), say func(why string)) error {
	bus, err := dial(ctx)
	if err != nil {
		return err
	}
	defer bus.Close()
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchObjectPath(loginPath), dbus.WithMatchInterface(loginManager), dbus.WithMatchMember("PrepareForSleep")},
		{dbus.WithMatchObjectPath(loginPath), dbus.WithMatchInterface(loginManager), dbus.WithMatchMember("PrepareForShutdown")},
		{dbus.WithMatchObjectPath(batteryPath), dbus.WithMatchInterface(properties), dbus.WithMatchMember("PropertiesChanged")},
	} {
		if err := bus.AddMatchSignalContext(ctx, match...); err != nil {
			return err
		}
	}
	signals := make(chan *dbus.Signal, 16)
	bus.Signal(signals)
	for {
		select {
		case <-ctx.Done():
			return nil
		case s, ok := <-signals:
			if !ok {
				return errors.New("the bus has ended")
			}
			if why := heard(s); why != "" {
				say(why)
			}
		}
	}
}

// heard says what a signal is about, empty if that is nothing that anybody needs to hear of.
func heard(s *dbus.Signal) string {
	begins := false
	if len(s.Body) > 0 {
		begins, _ = s.Body[0].(bool)
	}
	switch {
	case s.Name == loginManager+".PrepareForSleep" && begins:
		return sleeps
	case s.Name == loginManager+".PrepareForShutdown" && begins:
		return shutsDown
	case s.Name == properties+".PropertiesChanged" && len(s.Body) > 1 && s.Body[0] == battery:
		changed, _ := s.Body[1].(map[string]dbus.Variant)
		if level, ok := changed["WarningLevel"].Value().(uint32); ok && level >= lowBattery {
			return batteryIsLow
		}
	}
	return ""
}
