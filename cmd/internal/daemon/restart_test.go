package daemon

import (
	"slices"
	"testing"
)

func TestADaemonBeginsAnewSomeTimes(t *testing.T) {
	args := []string{"mount", "me", "m", "--detached", "--", "x"}
	for n, want := range []string{"--restarted=1", "--restarted=2", "--restarted=3", "--restarted=4", "--restarted=5"} {
		var err error
		if args, err = again(args); err != nil || !slices.Equal(args, []string{"mount", "me", "m", "--detached", want, "--", "x"}) {
			t.Fatalf("%d: %q, %v", n, args, err)
		}
	}
	if args, err := again(args); err == nil {
		t.Errorf("once more: %q", args)
	}
}
