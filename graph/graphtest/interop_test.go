package graphtest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// Other people's clients, unchanged, are judges of the emulator: where they and it disagree, they
// are right until the documents say otherwise. .ci/interop installs them and names them in
// DUSKFS_RCLONE (the program) and DUSKFS_NODE_MODULES (a folder with the npm package).

// interop is an emulator that a client believes to be Microsoft's.
type interop struct {
	*testing.T
	s    *graphtest.Server
	d    *graphtest.Drive
	env  []string
	http *http.Client
}

func newInterop(t *testing.T, o graphtest.Options) *interop {
	t.Helper()
	s := graphtest.Start(t, o)
	c := listen(t, s)
	proxy, err := s.ListenProxy("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &interop{T: t, s: s, d: s.Me().Drive(), http: c.hc}
	i.env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(strings.ToUpper(v), "=")
		return strings.HasSuffix(name, "_PROXY") || strings.HasPrefix(name, "RCLONE_")
	}), "HTTPS_PROXY="+proxy, "SSL_CERT_FILE="+s.CAFile(), "NODE_EXTRA_CA_CERTS="+s.CAFile(), "HOME="+t.TempDir())
	return i
}

// run runs a program and returns what it prints.
func (i *interop) run(env []string, name string, args ...string) string {
	i.Helper()
	ctx, cancel := context.WithTimeout(i.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(slices.Clone(i.env), env...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		i.Fatalf("%s %s: %v\n%s\n%s", filepath.Base(name), strings.Join(args, " "), err, out.String(), complaints.String())
	}
	return out.String()
}

// admin asks the emulator's own endpoint, as a script would.
func (i *interop) admin(method, what string, body any, into any) {
	i.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		i.Fatal(err)
	}
	req, err := http.NewRequestWithContext(i.Context(), method, i.s.GraphURL()+"/_emulator/"+what, bytes.NewReader(raw))
	if err != nil {
		i.Fatal(err)
	}
	res, err := i.http.Do(req)
	if err != nil {
		i.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		i.Fatalf("%s %s: %s", method, what, res.Status)
	}
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			i.Fatal(err)
		}
	}
}

// tolerated are deeds of other people's clients that we note and they live by.
func (i *interop) violations(tolerated ...string) {
	i.Helper()
	var v struct {
		Violations []string `json:"violations"`
		Open       int      `json:"open_sessions"`
	}
	i.admin("GET", "violations", nil, &v)
	for _, x := range v.Violations {
		if !slices.Contains(tolerated, x) {
			i.Errorf("against the protocol: %s", x)
		}
	}
	if v.Open != 0 {
		i.Errorf("%d upload sessions were left open", v.Open)
	}
}

// local returns what a folder holds: path to SHA-256, folders with none.
func (i *interop) local(dir string) map[string]string {
	i.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		sum := ""
		if !e.IsDir() {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			h := sha256.Sum256(raw)
			sum = hex.EncodeToString(h[:])
		}
		rel, err := filepath.Rel(dir, path)
		out[rel] = sum
		return err
	})
	if err != nil {
		i.Fatal(err)
	}
	return out
}

// same compares two trees.
func (i *interop) same(what string, got, want map[string]string) {
	i.Helper()
	for p, sum := range want {
		if g, ok := got[p]; !ok || g != sum {
			i.Errorf("%s: %q there %v, the same %v", what, p, ok, g == sum)
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			i.Errorf("%s: %q should not be there", what, p)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func blob(n int) []byte {
	b := make([]byte, n)
	for k := range b {
		b[k] = byte(k>>16) ^ byte(k>>8)*7 ^ byte(k)*13
	}
	return b
}

func TestRcloneOneDrive(t *testing.T) {
	rclone := os.Getenv("DUSKFS_RCLONE")
	if rclone == "" {
		t.Skip("DUSKFS_RCLONE does not name an rclone; .ci/interop installs one")
	}
	for _, kind := range []string{graphtest.Business, graphtest.Personal, graphtest.DocumentLibrary} {
		t.Run(kind, func(t *testing.T) {
			i := newInterop(t, graphtest.Options{Personal: kind == graphtest.Personal, ListPage: 7})
			if kind == graphtest.DocumentLibrary {
				i.d = i.s.Drive("Documents")
			}
			i.rclone(rclone, kind)
		})
	}
}

func (i *interop) rclone(program, kind string) {
	token, err := json.Marshal(object{"access_token": "SECRET-EXPIRED", "token_type": "Bearer", "refresh_token": i.s.RefreshToken(i.s.Me().ID), "expiry": "2020-01-01T00:00:00Z"})
	if err != nil {
		i.Fatal(err)
	}
	conf := filepath.Join(i.TempDir(), "rclone.conf")
	write(i.T, conf, fmt.Appendf(nil, "[e]\ntype = onedrive\nclient_id = %s\nclient_secret = %s\ntoken = %s\ndrive_id = %s\ndrive_type = %s\n",
		graphtest.DefaultClientID, graphtest.DefaultClientSecret, token, i.d.ID(), kind))
	rclone := func(args ...string) string {
		i.Helper()
		return i.run(nil, program, append([]string{"--config", conf, "--user-agent", "NONISV|rclone|rclone/1.0", "--retries", "1", "--low-level-retries", "3"}, args...)...)
	}
	remote := func() map[string]string {
		i.Helper()
		var tree []graphtest.Info
		i.admin("GET", "tree?drive="+i.d.ID(), nil, &tree)
		out := map[string]string{}
		for _, x := range tree {
			out[strings.TrimPrefix(x.Path, "/")] = x.SHA256
		}
		return out
	}
	up, down := i.TempDir(), i.TempDir()
	write(i.T, filepath.Join(up, "large.bin"), blob(50_000_000))
	write(i.T, filepath.Join(up, "empty"), nil)
	write(i.T, filepath.Join(up, "a b", "#1 50%.txt"), []byte("one"))
	write(i.T, filepath.Join(up, "a b", "日本語", "x.txt"), []byte("two"))
	for n := range 30 {
		write(i.T, filepath.Join(up, "many", fmt.Sprintf("f%02d.txt", n)), []byte(fmt.Sprint(n)))
	}
	at := time.Date(2011, 10, 9, 8, 7, 6, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(up, "large.bin"), at, at); err != nil {
		i.Fatal(err)
	}
	rclone("copy", up, "e:there")
	i.same("copied up", remote(), prefixed("there", i.local(up)))
	if x, err := i.d.Stat("/there/large.bin"); err != nil || !x.ModTime.Equal(at) || x.Versions != 1 {
		i.Errorf("the large file: %s, %d versions, %v", x.ModTime, x.Versions, err)
	}
	if got := strings.Fields(rclone("lsf", "e:there/many")); len(got) != 30 {
		i.Errorf("listed %d files: %v", len(got), got)
	}
	rclone("check", up, "e:there")
	rclone("check", "--download", up, "e:there")
	rclone("copy", "e:there", down)
	i.same("copied down", i.local(down), i.local(up))
	i.admin("POST", "reset", nil, nil)
	rclone("copy", up, "e:there")
	var counts graphtest.Counts
	i.admin("GET", "counts", nil, &counts)
	if counts.Writes != 0 {
		i.Errorf("copied again with nothing changed: %d writes %v", counts.Writes, counts.Kinds)
	}

	rclone("moveto", "e:there/large.bin", "e:elsewhere/moved.bin")
	rclone("copyto", "e:elsewhere/moved.bin", "e:elsewhere/copied.bin")
	rclone("moveto", "e:there/a b", "e:there/c d")
	rclone("delete", "e:there/many", "--include", "f0*.txt")
	rclone("deletefile", "e:there/empty")
	rclone("mkdir", "e:there/made")
	rclone("rmdir", "e:there/made")
	want := map[string]string{}
	for p, sum := range i.local(up) {
		switch {
		case p == "large.bin":
			want["elsewhere"], want["elsewhere/moved.bin"], want["elsewhere/copied.bin"] = "", sum, sum
		case p == "empty", strings.HasPrefix(p, "many/f0"):
		case strings.HasPrefix(p, "a b"):
			want["there/c d"+strings.TrimPrefix(p, "a b")] = sum
		default:
			want["there/"+p] = sum
		}
	}
	want["there"] = ""
	i.same("after moves and deletes", remote(), want)
	rclone("purge", "e:there/many")
	if about := rclone("about", "--json", "e:"); !strings.Contains(about, `"used"`) {
		i.Errorf("about: %s", about)
	}

	// A colleague's fault on the way: throttled once, a connection lost once.
	i.admin("POST", "fault", []graphtest.Fault{{Op: "children", Status: 429, RetryAfter: 1, Scope: "app"}, {Op: "download", Drop: graphtest.DropBody, Truncate: 1 << 20}}, nil)
	if again := rclone("cat", "e:elsewhere/moved.bin"); again != string(blob(50_000_000)) {
		i.Errorf("read %d bytes over a lost connection", len(again))
	}
	if list, feed := rclone("lsf", "-R", "e:"), rclone("lsf", "-R", "--fast-list", "--onedrive-delta", "e:"); !slices.Equal(sorted(list), sorted(feed)) || len(list) == 0 {
		i.Errorf("by listing:\n%s\nby the feed:\n%s", list, feed)
	}
	i.permissions(rclone)
	if kind == graphtest.Business {
		i.mount(program, conf)
	}
	// rclone sends its token along when it asks how an upload stands, and has no name for itself
	// when it asks how a copy does.
	i.violations("storage: GET (sessionStatus) carries an Authorization header", "storage: DELETE (sessionCancel) carries an Authorization header",
		`storage: User-Agent "Go-http-client/1.1" is not decorated as ISV|Company|App/1.0 or NONISV|…`)
}

func sorted(lines string) []string {
	all := strings.Fields(lines)
	slices.Sort(all)
	return all
}

// permissions are read by rclone too, as metadata.
func (i *interop) permissions(rclone func(...string) string) {
	i.Helper()
	for _, g := range []graphtest.Grant{{User: "bob@contoso.example", Role: "write"}, {Link: "anonymous"}} {
		i.admin("POST", "grant?drive="+i.d.ID()+"&path=/elsewhere/moved.bin", g, nil)
	}
	var stat struct{ Metadata map[string]string }
	out := rclone("lsjson", "--stat", "--metadata", "--onedrive-metadata-permissions", "read", "e:elsewhere/moved.bin")
	if err := json.Unmarshal([]byte(out), &stat); err != nil {
		i.Fatal(err)
	}
	var all []struct {
		Roles     []string
		Link      *struct{ Type, Scope string }
		GrantedTo *struct {
			User struct{ DisplayName, ID string }
		}
		GrantedToV2 *struct {
			User struct{ DisplayName, ID string }
		}
	}
	if err := json.Unmarshal([]byte(stat.Metadata["permissions"]), &all); err != nil {
		i.Fatalf("%v in %s", err, out)
	}
	var told []string
	for _, p := range all {
		switch {
		case p.Link != nil:
			told = append(told, fmt.Sprintf("%s%s, %s", p.Roles, p.Link.Type, p.Link.Scope))
		case p.GrantedToV2 != nil && p.GrantedToV2.User.DisplayName != "":
			told = append(told, fmt.Sprint(p.Roles)+p.GrantedToV2.User.DisplayName)
		case p.GrantedTo != nil:
			told = append(told, fmt.Sprint(p.Roles)+p.GrantedTo.User.DisplayName)
		}
	}
	slices.Sort(told)
	if got := strings.Join(told, " "); !strings.Contains(got, "[read]view, anonymous") || !strings.Contains(got, "[write]Bob Example") {
		i.Errorf("rclone reads the permissions %s out of\n%s", got, out)
	}
}

func prefixed(dir string, tree map[string]string) map[string]string {
	out := map[string]string{dir: ""}
	for p, sum := range tree {
		out[dir+"/"+p] = sum
	}
	return out
}

// mount works in the drive through rclone's own mount.
func (i *interop) mount(program, conf string) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		i.Log("no /dev/fuse: rclone mount is not tried")
		return
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		i.Log("no fusermount3: rclone mount is not tried")
		return
	}
	dir := i.TempDir()
	cmd := exec.CommandContext(i.Context(), program, "--config", conf, "--user-agent", "NONISV|rclone|rclone/1.0", "mount", "e:", dir,
		"--vfs-cache-mode", "writes", "--vfs-write-back", "0s", "--cache-dir", i.TempDir())
	cmd.Env = i.env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		i.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	wait := func(what string, f func() bool) {
		i.Helper()
		for began := time.Now(); !f(); time.Sleep(50 * time.Millisecond) {
			if time.Since(began) > 30*time.Second {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				<-ended
				i.Fatalf("%s: not within 30 seconds\n%s", what, out.String())
			}
		}
	}
	wait("mount", func() bool { _, err := os.Stat(filepath.Join(dir, "elsewhere")); return err == nil })
	if raw, err := os.ReadFile(filepath.Join(dir, "elsewhere", "moved.bin")); err != nil || !bytes.Equal(raw, blob(50_000_000)) {
		i.Errorf("read through the mount: %d bytes, %v", len(raw), err)
	}
	write(i.T, filepath.Join(dir, "mounted", "new.txt"), []byte("through the mount"))
	wait("upload", func() bool {
		raw, err := i.d.Read("/mounted/new.txt")
		return err == nil && string(raw) == "through the mount"
	})
	if err := os.Rename(filepath.Join(dir, "mounted", "new.txt"), filepath.Join(dir, "mounted", "newer.txt")); err != nil {
		i.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, "elsewhere", "copied.bin")); err != nil {
		i.Error(err)
	}
	wait("rename and delete", func() bool {
		_, err := i.d.Stat("/mounted/newer.txt")
		_, gone := i.d.Stat("/elsewhere/copied.bin")
		return err == nil && gone != nil
	})
	i.run(nil, "fusermount3", "-u", dir)
	if err := <-ended; err != nil {
		i.Errorf("rclone mount: %v\n%s", err, out.String())
	}
}
