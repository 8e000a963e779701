package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/joho/godotenv"
)

// entry is a value as some source gives it.
type entry struct {
	value  string
	source string
	base   string // folder for relative paths
}

// readYAML reads a configuration file, YAML or JSON, into entries by key.
func readYAML(file, base string) (map[string]entry, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		// The library's own text shows an excerpt of the file, which may hold a secret.
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil {
			return nil, &Error{fmt.Sprintf("%s:%d", file, ye.GetToken().Position.Line), ye.GetMessage()}
		}
		return nil, &Error{file, "not readable as YAML or JSON"}
	}
	r := reader{file: file, base: base, into: map[string]entry{}}
	docs := 0
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}
		if docs++; docs > 1 {
			return nil, r.fail(d.Body, "want one document, not several")
		}
		if err := r.value("", d.Body); err != nil {
			return nil, err
		}
	}
	return r.into, nil
}

func unreadable(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{file, "no such file"}
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &Error{file, "cannot be read: " + err.Error()}
}

// reader walks the syntax tree, since that knows the line of everything.
type reader struct {
	file string
	base string
	into map[string]entry
}

func (r *reader) at(n ast.Node) string {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return fmt.Sprintf("%s:%d", r.file, t.Position.Line)
	}
	return r.file
}

func (r *reader) fail(n ast.Node, format string, a ...any) error {
	return &Error{r.at(n), fmt.Sprintf(format, a...)}
}

func (r *reader) value(name string, n ast.Node) error {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if err := r.pair(name, v); err != nil {
				return err
			}
		}
		return nil
	case *ast.MappingValueNode:
		return r.pair(name, n)
	case *ast.CommentGroupNode:
		return nil
	}
	if name == "" {
		return r.fail(n, "want keys and values, such as \"flush: {at: 18:00}\"")
	}
	k, ok := keyNamed(name)
	if !ok {
		return r.fail(n, "%s holds further keys and has no value of its own", name)
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return nil
	case *ast.SequenceNode:
		if !k.list {
			return r.fail(n, "%s: want one value, not a list", name)
		}
		var all []string
		for _, v := range n.Values {
			s, err := r.scalar(name, v)
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		r.into[name] = entry{strings.Join(all, "\n"), r.at(n), r.base}
		return nil
	default:
		s, err := r.scalar(name, n)
		if err != nil {
			return err
		}
		r.into[name] = entry{s, r.at(n), r.base}
		return nil
	}
}

func (r *reader) pair(above string, v *ast.MappingValueNode) error {
	key := v.Key.GetToken().Value
	name := key
	if above != "" {
		name = above + "." + key
	}
	if _, whole := keyNamed(name); !whole && !isGroup(name) {
		return r.fail(v.Key, "unknown key %q%s", name, suggest(name))
	}
	return r.value(name, v.Value)
}

func (r *reader) scalar(name string, n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	}
	return "", r.fail(n, "%s: want a plain value", name)
}

func isGroup(name string) bool {
	for _, k := range Keys() {
		if strings.HasPrefix(k.Name, name+".") {
			return true
		}
	}
	return false
}

// suggest names the key that an unknown one was probably meant to be.
func suggest(name string) string {
	flat := strings.NewReplacer(".", "", "-", "", "_", "").Replace(strings.ToLower(name))
	for _, k := range Keys() {
		if strings.NewReplacer(".", "", "-", "").Replace(k.Name) == flat {
			return fmt.Sprintf(", did you mean %q?", k.Name)
		}
	}
	return ""
}

// readEnv reads a .env file. Names that are neither the seeds' nor ours are somebody else's and
// stay unread; an unknown DUSKFS_ name is a mistake.
func readEnv(file, base string) (map[string]entry, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	vars, err := parseEnv(file, string(text))
	if err != nil {
		return nil, err
	}
	lines := lineOf(string(text))
	known := map[string]bool{}
	into := map[string]entry{}
	for _, ours := range []bool{false, true} { // our own names win over the seeds'
		for _, k := range Keys() {
			v := k.Seed
			if ours {
				v = k.Var()
			}
			known[v] = true
			if s, ok := vars[v]; ok && v != "" {
				into[k.Name] = entry{s, fmt.Sprintf("%s:%d", file, lines[v]), base}
			}
		}
	}
	names := make([]string, 0, len(vars))
	for v := range vars {
		names = append(names, v)
	}
	sort.Strings(names)
	for _, v := range names {
		if strings.HasPrefix(v, prefix) && !known[v] {
			return nil, &Error{fmt.Sprintf("%s:%d", file, lines[v]), fmt.Sprintf("unknown variable %s", v)}
		}
	}
	return into, nil
}

func parseEnv(file, text string) (map[string]string, error) {
	vars, err := godotenv.Unmarshal(text)
	if err != nil {
		// The library quotes the text it stumbled over, which may hold a secret.
		return nil, &Error{fmt.Sprintf("%s:%d", file, badLine(text)), "want lines of the form NAME=value"}
	}
	return vars, nil
}

// scriptNames are the variables that the older scripts take from the .env of their working directory.
var scriptNames = []string{
	"TENANT_ID", "CLIENT_ID", "CLIENT_SECRET", "USER_ID", "UPLOAD_FOLDER", "ONEDRIVE_UPLOAD_PATH",
	"SHAREPOINT_HOST", "SITE_NAME", "DOC_LIBRARY", "LOCAL_ROOT",
}

// readWorkEnv reads a .env that merely lies there: the scripts' names, and only if whoever runs this owns the file.
// ignored says why it was not read; a file that is not there needs no word.
func readWorkEnv(file string) (into map[string]entry, ignored string, err error) {
	link, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", unreadable(file, err)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, "", unreadable(file, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, "", unreadable(file, err)
	}
	switch {
	case !st.Mode().IsRegular():
		return nil, file + " is no file, and is not read", nil
	case !ownedByUs(link), !ownedByUs(st):
		return nil, file + " belongs to somebody else, and is not read; name it with --config if it is meant", nil
	case st.Mode().Perm()&0o002 != 0:
		return nil, file + " can be written by everybody, and is not read; `chmod go-w` mends that", nil
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, "", unreadable(file, err)
	}
	vars, err := parseEnv(file, string(text))
	if err != nil {
		return nil, "", err
	}
	lines := lineOf(string(text))
	into = map[string]entry{}
	for _, k := range Keys() {
		if v := vars[k.Seed]; v != "" && slices.Contains(scriptNames, k.Seed) {
			into[k.Name] = entry{v, fmt.Sprintf("%s:%d", file, lines[k.Seed]), filepath.Dir(file)}
		}
	}
	return into, "", nil
}

// ownedByUs reports whether a file belongs to whoever runs this.
func ownedByUs(st fs.FileInfo) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}

// lineOf finds the last line that sets each variable.
func lineOf(text string) map[string]int {
	at := map[string]int{}
	for i, l := range strings.Split(text, "\n") {
		l = strings.TrimPrefix(strings.TrimSpace(l), "export ")
		if name, _, ok := strings.Cut(l, "="); ok {
			at[strings.TrimSpace(name)] = i + 1
		}
	}
	return at
}

// badLine finds the line that makes a .env unreadable: the first that sets nothing, else the first
// that cannot be read together with those before it.
func badLine(text string) int {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' && !strings.ContainsAny(l, "=:") {
			return i + 1
		}
	}
	for i := range lines {
		if _, err := godotenv.Unmarshal(strings.Join(lines[:i+1], "\n") + "\n"); err != nil {
			return i + 1
		}
	}
	return 1
}
