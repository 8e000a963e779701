package cachetest

import (
	"runtime/debug"
	"slices"
	"testing"
)

// MeasuresMemory skips a test of how much memory a program takes if it was built with the race detector, which keeps
// several bytes for each of the program's.
func MeasuresMemory(t testing.TB) {
	t.Helper()
	built, ok := debug.ReadBuildInfo()
	if ok && slices.Contains(built.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector's memory would count")
	}
}
