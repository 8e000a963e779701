package simtest

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Recording is what a program does with a document when it saves it, call by call, and what becomes of the
// document's item then. Those of testdata/saves were recorded from the programs themselves where they run
// on Linux; the others follow what is known of them.
type Recording struct {
	Name string
	Doc  string // the document, which the remote has with the bytes of Old
	// Other is a second document, empty if there is none.
	Other string
	// Item is where the document's item is in the end, empty if it is gone.
	Item string
	// Folders and files that are there in the end, beside the document; folders end with a slash.
	Left []string
	// Result is the path that holds the new bytes, empty if that is a folder.
	Result string
	calls  [][]string
}

// Files is where a recording is played: all below a folder.
type Files interface {
	// Write makes a file or replaces its bytes; with fresh it fails if there is one.
	Write(p string, data []byte, fresh bool) error
	Read(p string) ([]byte, error)
	Rename(from, to string) error
	Exchange(a, b string) error
	Remove(p string) error
	Mkdir(p string) error
	Rmdir(p string) error
}

//go:embed testdata/saves/*.txt
var saves embed.FS

// Recordings returns those of testdata/saves, by name.
func Recordings() ([]Recording, error) {
	paths, err := fs.Glob(saves, "testdata/saves/*.txt")
	if err != nil {
		return nil, err
	}
	var all []Recording
	for _, p := range paths {
		text, err := saves.ReadFile(p)
		if err != nil {
			return nil, err
		}
		r, err := parseRecording(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		r.Name = strings.TrimSuffix(path.Base(p), ".txt")
		all = append(all, r)
	}
	return all, nil
}

func parseRecording(text string) (Recording, error) {
	var r Recording
	said := false
	for line := range strings.Lines(text) {
		words, err := split(line)
		if err != nil {
			return r, err
		}
		if len(words) == 0 || words[0][0] == '#' && len(r.calls) == 0 && r.Doc == "" {
			continue
		}
		switch words[0] {
		case "doc":
			r.Doc, r.Result = words[1], words[1]
		case "other":
			r.Other = words[1]
		case "item":
			if said = true; words[1] != "none" {
				r.Item = words[1]
			}
		case "left":
			r.Left = append(r.Left, words[1:]...)
		case "folder":
			r.Result = ""
			r.Left = append(r.Left, words[1]+"/")
		case "file":
			r.Result = words[1]
		case "create", "write", "read", "mv", "swap", "rm", "mkdir", "rmdir", "wait":
			r.calls = append(r.calls, words)
		default:
			return r, fmt.Errorf("what is %q?", words[0])
		}
	}
	if r.Doc == "" || !said {
		return r, fmt.Errorf("it does not say what the document is, or where its item is in the end")
	}
	return r, nil
}

// split takes a line apart at spaces, but for those in quotes.
func split(line string) ([]string, error) {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			words, line = append(words, word), rest
			continue
		}
		q, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, err
		}
		word, err := strconv.Unquote(q)
		if err != nil {
			return nil, err
		}
		words, line = append(words, word), line[len(q):]
	}
	return words, nil
}

// Old are the bytes of a document before it is saved.
func (r Recording) Old() []byte { return bytes.Repeat([]byte("old "+r.Name+" "), 300) }

// New are the bytes after it was saved for the n-th time.
func (r Recording) New(n int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("new %d %s ", n, r.Name)), 400)
}

// Waits reports whether time has to pass in it.
func (r Recording) Waits() bool {
	return slices.ContainsFunc(r.calls, func(c []string) bool { return c[0] == "wait" })
}

// Len is how many calls it has.
func (r Recording) Len() int { return len(r.calls) }

// Play makes the calls in a folder for the n-th time. between, if not nil, is called after each.
func (r Recording) Play(f Files, folder string, n int, wait func(time.Duration), between func(done int)) error {
	for i, c := range r.calls {
		args := slices.Clone(c[1:])
		if c[0] == "mv" || c[0] == "swap" {
			args[1] = path.Join(folder, args[1])
		}
		if c[0] != "wait" {
			args[0] = path.Join(folder, args[0])
		}
		if err := r.call(f, c[0], args, n, wait); err != nil {
			return fmt.Errorf("call %d of %s, %s: %w", i+1, r.Name, strings.Join(c, " "), err)
		}
		if between != nil {
			between(i + 1)
		}
	}
	return nil
}

func (r Recording) call(f Files, do string, args []string, n int, wait func(time.Duration)) error {
	switch do {
	case "create", "write":
		var data []byte
		if len(args) > 1 {
			switch data = []byte(args[1]); args[1] {
			case "new":
				data = r.New(n)
			case "old":
				if data = r.Old(); n > 1 {
					data = r.New(n - 1)
				}
			}
		}
		return f.Write(args[0], data, do == "create" && n == 1)
	case "read":
		_, err := f.Read(args[0])
		return err
	case "mv":
		return f.Rename(args[0], args[1])
	case "swap":
		return f.Exchange(args[0], args[1])
	case "rm":
		return f.Remove(args[0])
	case "mkdir":
		return f.Mkdir(args[0])
	case "rmdir":
		return f.Rmdir(args[0])
	}
	d, err := time.ParseDuration(args[0])
	if err == nil {
		wait(d)
	}
	return err
}

// Files is where recordings are played in the tree of a world.
func (w *World) Files() Files { return files{w} }

type files struct{ w *World }

func (f files) Write(p string, data []byte, fresh bool) error {
	if fresh {
		if _, err := f.w.find(p); err == nil {
			return fs.ErrExist
		}
	}
	return f.w.Write(p, data)
}
func (f files) Read(p string) ([]byte, error) { return f.w.Read(p) }
func (f files) Rename(from, to string) error  { return f.w.Move(from, to) }
func (f files) Exchange(a, b string) error    { return f.w.Exchange(a, b) }
func (f files) Mkdir(p string) error          { return f.w.Mkdir(p) }
func (f files) Remove(p string) error         { return f.remove(p, false) }
func (f files) Rmdir(p string) error          { return f.remove(p, true) }

func (f files) remove(p string, dir bool) error {
	n, err := f.w.find(p)
	if err != nil {
		return err
	}
	_, err = f.w.tree().Remove(n.Parent, n.Name, dir)
	return err
}
