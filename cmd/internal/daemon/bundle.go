package daemon

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/graph"
)

// Bundle writes a report for whoever is to find out what is wrong: versions, settings, findings, how
// mounts stand, and the logs. What is in it is chosen by what is known to tell nobody's name: of free
// text only words that this program or the system can say remain.
func Bundle(ctx context.Context, cfg *config.Config, version string, found []control.Finding, file string) (err error) {
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	z := zip.NewWriter(out)
	put := func(name string, v any) error {
		w, err := z.Create(name)
		if err != nil {
			return err
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	err = errors.Join(
		put("version.json", map[string]any{"version": version, "go": runtime.Version(), "system": runtime.GOOS + "/" + runtime.GOARCH,
			"processors": runtime.NumCPU(), "at": time.Now().UTC()}),
		put("settings.json", plainSettings(cfg)),
		put("findings.json", plainFindings(found)),
		put("mounts.json", plainMounts(ctx, cfg)),
		plainLogs(z, filepath.Join(cfg.StateDir, "log")),
		z.Close(),
	)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// hidden stands for what is left out.
const hidden = "…"

// plainSettings tells values only of settings that hold no names.
func plainSettings(cfg *config.Config) map[string]string {
	plain := map[string]string{}
	for _, v := range cfg.Values() {
		group, _, _ := strings.Cut(v.Key, ".")
		tells := slices.Contains([]string{"flush", "refresh", "log", "names", "remote", "conflicts", "read-only", "cloud"}, group)
		switch {
		case v.Value == "":
			plain[v.Key] = ""
		case tells && !strings.HasSuffix(v.Key, ".zone"):
			plain[v.Key] = v.Value
		default:
			plain[v.Key] = hidden
		}
	}
	return plain
}

// plainFindings keeps what was found, and counts where.
func plainFindings(found []control.Finding) []control.Finding {
	out := []control.Finding{}
	for _, f := range found {
		f.Path = ""
		f.Text, f.Remedy = plainText(f.Text), ""
		out = append(out, f)
	}
	return out
}

// plainMount is how a mount stands, in numbers.
type plainMount struct {
	Drives   int      `json:"drives"`
	Pending  int      `json:"pending"`
	Bytes    int64    `json:"bytes"`
	Deferred []string `json:"deferred"` // kinds
	Held     int      `json:"held"`
	Conflict int      `json:"conflicts"`
	Cache    int64    `json:"cache"`
	Auth     string   `json:"auth"`
	Refresh  string   `json:"refresh"`
	Flush    string   `json:"flush"`
	Trouble  string   `json:"trouble,omitempty"`
}

func plainMounts(ctx context.Context, cfg *config.Config) []plainMount {
	out := []plainMount{}
	live, err := control.NewRegistry(cfg.StateDir).List(ctx)
	if err != nil {
		return out
	}
	for _, r := range live {
		s, err := control.NewClient(r.Mount, r.Socket).Status(ctx)
		if err != nil {
			out = append(out, plainMount{Trouble: plainText(err.Error())})
			continue
		}
		m := plainMount{Drives: len(s.Drives), Pending: s.Pending.Items, Bytes: s.Pending.Bytes, Deferred: []string{}, Held: len(s.Held),
			Conflict: len(s.Conflicts), Cache: s.Cache.Bytes, Auth: s.Auth.State, Refresh: s.Refresh.State, Flush: s.Flush.State,
			Trouble: plainText(s.Auth.Error + ": " + s.Refresh.Error + ": " + s.Flush.Error)}
		for _, d := range s.Deferred {
			m.Deferred = append(m.Deferred, string(d.Kind))
		}
		out = append(out, m)
	}
	return out
}

// logsMax is how much of each log, from its end, goes into a report.
const logsMax = 2 << 20

func plainLogs(z *zip.Writer, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return err
	}
	for i, file := range files {
		w, err := z.Create(fmt.Sprintf("log-%d.txt", i+1))
		if err != nil {
			return err
		}
		if err := plainLog(w, file); err != nil {
			return err
		}
	}
	return nil
}

func plainLog(w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > logsMax {
		if _, err := f.Seek(-logsMax, io.SeekEnd); err != nil {
			return err
		}
	}
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			if _, err := fmt.Fprintln(w, plainLine(strings.TrimSuffix(line, "\n"))); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var (
	// field is one key and value of a line of the log.
	field = regexp.MustCompile(`([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)`)
	// number may stand in a report whatever it is about.
	number = regexp.MustCompile(`^(-?[0-9]+(\.[0-9]+)?|true|false|null|([0-9.]+(ns|µs|ms|s|m|h))+)$`)
	// frame is a line of a stack: a function of Go, or a file and line.
	frame  = regexp.MustCompile(`^(goroutine \d+ \[[a-z ,\d]+\]:|created by [\w./*()·-]+|(github\.com/|runtime|main|sync|syscall|os|net)[\w./*()·-]*\(.*\))`)
	source = regexp.MustCompile(`/[^\s"]*/([\w.-]+\.(?:go|s):\d+)`)
)

// plainLine keeps of a line of the log when it was written, what was said, and numbers.
func plainLine(line string) string {
	if !strings.HasPrefix(line, "time=") {
		// The runtime's own words, such as the stack of a crash.
		if m := source.FindStringSubmatch(line); m != nil {
			return "\t" + m[1]
		}
		if frame.MatchString(line) {
			name, _, _ := strings.Cut(line, "(0x")
			return name
		}
		return hidden
	}
	var parts []string
	for _, m := range field.FindAllStringSubmatch(line, -1) {
		key, value := m[1], m[2]
		switch key {
		case "time", "level", "msg", "op", "kind":
		case "stack":
			value = source.ReplaceAllString(value, "$1")
		default:
			if text := strings.Trim(value, `"`); !number.MatchString(text) {
				value = `"` + plainText(text) + `"`
			}
		}
		parts = append(parts, key+"="+value)
	}
	return strings.Join(parts, " ")
}

// plainText keeps of an error's chain the links that can be nobody's name.
func plainText(text string) string {
	var parts []string
	for _, p := range strings.Split(text, ": ") {
		if !knownPhrase(strings.TrimSpace(p)) {
			p = hidden
		}
		if len(parts) == 0 || p != hidden || parts[len(parts)-1] != hidden {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// kinds of errors are words of this program.
var kinds = []graph.Kind{graph.NotExist, graph.Exist, graph.Changed, graph.Denied, graph.Invalid, graph.Full, graph.Locked,
	graph.Throttled, graph.Offline, graph.SignIn, graph.Restart, graph.Lost, graph.Failed, graph.NoNotices}

func knownPhrase(p string) bool {
	switch p {
	case "", "context canceled", "context deadline exceeded", "EOF", "unexpected EOF", "i/o timeout", "connection refused",
		"what is known of the drives is in order", "file systems can be mounted", "the state folder can be used", "a mount whose daemon is gone",
		"the rows are damaged":
		return true
	}
	for _, k := range kinds {
		if p == string(k) {
			return true
		}
	}
	for n := syscall.Errno(1); n < 134; n++ {
		if p == n.Error() {
			return true
		}
	}
	return number.MatchString(p) || code.MatchString(p)
}

// code is what the service calls an error.
var code = regexp.MustCompile(`^(HTTP )?\d{3}( [A-Z][a-z]+)*$`)
