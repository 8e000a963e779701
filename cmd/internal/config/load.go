package config

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Sources are what a configuration is put together from.
type Sources struct {
	// File was named by --config: YAML, JSON, or, if its name ends in ".env", variables. A YAML
	// file takes the place of the default one; a .env adds to it.
	File string
	// Environ is the environment as os.Environ gives it.
	Environ []string
	// Flags are the flags that were given, by key.
	Flags map[string]Flag
	// Work is the working directory, for relative paths.
	Work string
	// WorkEnv reads the file .env of the working directory too, for the names that the older scripts
	// have and no others, if it belongs to whoever runs this. The caller sees to it that Work is in no mount
	// of a shared drive: a file planted there must not say where a secret goes. A .env named by File takes its
	// place.
	WorkEnv bool
}

// Flag is a setting given on the command line.
type Flag struct {
	Value string
	Name  string // as typed, for messages: "--flush-at" or "DRIVE"
}

// Dirs are the places that this person and platform have.
type Dirs struct {
	Home   string
	Config string // folder of config.yaml
	State  string
	Case   string // default of names.case
}

// DirsOf finds the places from an environment. On macOS both are under Application Support; an XDG
// variable that is set counts everywhere.
func DirsOf(goos string, env map[string]string) Dirs {
	d := Dirs{Home: env["HOME"], Case: "exact"}
	if d.Home == "" {
		d.Home, _ = os.UserHomeDir()
	}
	config, state := filepath.Join(d.Home, ".config"), filepath.Join(d.Home, ".local", "state")
	if goos == "darwin" {
		config = filepath.Join(d.Home, "Library", "Application Support")
		state, d.Case = config, "blind"
	}
	if x := env["XDG_CONFIG_HOME"]; filepath.IsAbs(x) {
		config = x
	}
	if x := env["XDG_STATE_HOME"]; filepath.IsAbs(x) {
		state = x
	}
	d.Config, d.State = filepath.Join(config, "duskfs"), filepath.Join(state, "duskfs")
	return d
}

// Load puts the configuration together. Every mistake is an *Error that says where it is.
func Load(s Sources) (*Config, error) {
	env := map[string]string{}
	for _, e := range s.Environ {
		if name, value, ok := strings.Cut(e, "="); ok {
			env[name] = value
		}
	}
	dirs := DirsOf(runtime.GOOS, env)
	c := &Config{}
	layers, err := c.fileLayers(s, dirs)
	if err != nil {
		return nil, err
	}
	seeds, ours := map[string]entry{}, map[string]entry{}
	for _, k := range Keys() {
		if v, ok := env[k.Seed]; ok && v != "" && k.Seed != "" {
			seeds[k.Name] = entry{v, "variable " + k.Seed, s.Work}
		}
		if v, ok := env[k.Var()]; ok && v != "" {
			ours[k.Name] = entry{v, "variable " + k.Var(), s.Work}
		}
	}
	flags := map[string]entry{}
	for name, f := range s.Flags {
		flags[name] = entry{f.Value, f.Name, s.Work}
	}
	layers = append(layers, seeds, ours, flags)

	for _, k := range Keys() {
		if err := c.take(k, layers, place{dirs: dirs, base: s.Work}); err != nil {
			return nil, err
		}
	}
	if c.Certificate != "" {
		c.expose(c.Certificate)
	}
	return c, nil
}

// fileLayers reads the files, lowest first, and notes what there is to say of them.
func (c *Config) fileLayers(s Sources, dirs Dirs) (layers []map[string]entry, err error) {
	add := func(file string, l map[string]entry) {
		layers = append(layers, l)
		if slices.ContainsFunc(Keys(), func(k Key) bool { return k.hides(l[k.Name].value) }) {
			c.expose(file)
		}
	}
	byDefault := filepath.Join(dirs.Config, "config.yaml")
	isEnv := strings.HasSuffix(s.File, ".env")
	named := s.File
	if named != "" && !filepath.IsAbs(named) {
		named = filepath.Join(s.Work, named)
	}
	if named == "" || isEnv {
		l, err := readYAML(byDefault, dirs.Config)
		var ce *Error
		switch {
		case err == nil:
			add(byDefault, l)
		case errors.As(err, &ce) && !exists(byDefault):
		default:
			return nil, err
		}
	}
	if named != "" {
		read := readYAML
		if isEnv {
			read = readEnv
		}
		l, err := read(named, filepath.Dir(named))
		if err != nil {
			return nil, err
		}
		add(named, l)
	}
	if !s.WorkEnv || isEnv {
		return layers, nil
	}
	file := filepath.Join(s.Work, ".env")
	l, ignored, err := readWorkEnv(file)
	if err != nil {
		return nil, err
	}
	c.ignored = ignored
	add(file, l)
	return layers, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// take sets one key from the highest layer that has it.
func (c *Config) take(k Key, layers []map[string]entry, p place) error {
	e := entry{source: "default", base: p.base}
	if k.initial != nil {
		e.value = k.initial(p)
	}
	for _, l := range layers {
		if x, ok := l[k.Name]; ok {
			e = x
		}
	}
	p.base = e.base
	if k.follows != "" && e.source == "default" {
		e.value = c.following(k.Name)
		if from := c.Source(k.follows); from != "default" {
			e.source = from
		}
	}
	if e.value != "" || e.source != "default" {
		if err := k.set(c, e.value, p); err != nil {
			what := err.Error()
			if !strings.HasPrefix(e.source, "variable ") && !strings.HasPrefix(e.source, "-") && k.Name != "drives" {
				what = k.Name + ": " + what
			}
			return &Error{e.source, what}
		}
	}
	shown := strings.ReplaceAll(e.value, "\n", ", ")
	if k.secret {
		shown = Secret(e.value).String()
	} else if u, err := url.Parse(e.value); err == nil && u.User != nil {
		shown = u.Redacted()
	}
	c.values = append(c.values, Value{Key: k.Name, Value: shown, Source: e.source, Var: k.Var(), Secret: k.secret})
	return nil
}

// following is the value that a key has by the setting of another one.
func (c *Config) following(key string) string {
	if key == "graph.url" {
		return c.GraphURL
	}
	return c.LoginURL
}
