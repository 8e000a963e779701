package graphtest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph/graphtest"
)

func TestGraphJavaScriptSDK(t *testing.T) {
	modules := os.Getenv("DUSKFS_NODE_MODULES")
	if modules == "" {
		t.Skip("DUSKFS_NODE_MODULES does not name a folder with @microsoft/microsoft-graph-client; .ci/interop makes one")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node; .ci/interop installs it")
	}
	i := newInterop(t, graphtest.Options{})
	var names []string
	for n := range 30 {
		names = append(names, fmt.Sprintf("f%02d", n))
		if _, err := i.d.Put("/many/"+names[n], []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := i.d.Mkdir("/sdk"); err != nil {
		t.Fatal(err)
	}
	raw := i.run([]string{"TOKEN=" + i.s.AccessToken(i.s.Me().ID), "ADMIN=" + i.s.GraphURL()}, node, "testdata/sdk.mjs")
	var out struct {
		Progress   []int64
		Uploaded   struct{ ID string }
		Resumed    struct{ Name string }
		Cancelled  bool
		Downloaded bool
		Batch      []int
		Pages      []string
		DeltaLink  string
		Retried    string
		Waited     int
		Error      struct {
			Status  int
			Code    string
			Request bool
		}
		Notice struct{ ChangeType string }
	}
	if err := json.Unmarshal([]byte(raw), &out); err != nil {
		t.Fatalf("%v: %.500s", err, raw)
	}
	f, err := i.d.Stat("/sdk/large file.bin")
	if err != nil || f.ID != out.Uploaded.ID || f.Size != 5<<20+17 || len(out.Progress) < 5 {
		t.Errorf("uploaded %+v, %v; progress %v", f, err, out.Progress)
	}
	if f, err := i.d.Stat("/sdk/resumed.bin"); err != nil || f.Size != 1_000_000 || out.Resumed.Name != "resumed.bin" {
		t.Errorf("resumed %+v, %v; %q", f, err, out.Resumed.Name)
	}
	if _, err := i.d.Stat("/sdk/cancelled.bin"); err == nil || !out.Cancelled {
		t.Errorf("cancelled %v, file there: %v", out.Cancelled, err == nil)
	}
	equal(t, "downloaded", out.Downloaded, true)
	equal(t, "batch", fmt.Sprint(out.Batch), "[201 200 404]")
	if !slices.Equal(out.Pages, names) {
		t.Errorf("pages %v", out.Pages)
	}
	if !strings.Contains(out.DeltaLink, "/delta?token=") {
		t.Errorf("delta link %q", out.DeltaLink)
	}
	equal(t, "retried", out.Retried, "business")
	if out.Waited < 2000 {
		t.Errorf("waited %d ms for two answers that asked for a second each", out.Waited)
	}
	equal(t, "error", fmt.Sprint(out.Error), "{423 resourceLocked true}")
	equal(t, "notice", out.Notice.ChangeType, "updated")
	i.violations(`storage: User-Agent "node" is not decorated as ISV|Company|App/1.0 or NONISV|…`)
}
