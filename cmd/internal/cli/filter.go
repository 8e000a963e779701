package cli

import (
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"github.com/spf13/pflag"
)

// filter is which files of a tree a command takes, as its flags say: patterns with the rules of a .gitignore,
// and ends of names.
type filter struct {
	include, exclude, types []string
}

func (f *filter) patternFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.include, "include", nil, "take only what this `PATTERN` names (as in a .gitignore; may be repeated)")
	flags.StringArrayVar(&f.exclude, "exclude", nil, "leave out what this `PATTERN` names, and all below (as in a .gitignore; may be repeated)")
}

func (f *filter) typesFlag(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.types, "types", nil, "take only files whose names end so, such as `pdf,docx`, in any letter case")
}

// take returns the filter as a function of a path, relative and with slashes. It is asked of folders too: one
// that is not taken goes with all below it. What is excluded stays so, whatever is included. Without a filter
// the function is nil.
func (f *filter) take() (func(path string, dir bool) bool, error) {
	include, err := patterns("--include", f.include)
	if err != nil {
		return nil, err
	}
	exclude, err := patterns("--exclude", f.exclude)
	if err != nil {
		return nil, err
	}
	types := map[string]bool{}
	for _, t := range f.types {
		t = strings.ToLower(strings.TrimLeft(strings.TrimSpace(t), "*."))
		if t == "" || strings.ContainsAny(t, "/*?[") {
			return nil, usage("--types: want ends of names, such as pdf,docx, not %q", t)
		}
		types[t] = true
	}
	if include == nil && exclude == nil && len(types) == 0 {
		return nil, nil
	}
	return func(name string, dir bool) bool {
		parts := strings.Split(name, "/")
		switch {
		case exclude != nil && matches(exclude, parts, dir):
			return false
		case dir:
			return true // what is included may lie below
		case include != nil && !matches(include, parts, false):
			return false
		}
		return len(types) == 0 || types[strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))]
	}, nil
}

// matches reports whether patterns name a path or a folder above it. As in git, nothing below a folder that they
// name is named otherwise by a "!" pattern.
func matches(m gitignore.Matcher, parts []string, dir bool) bool {
	for i := 1; i < len(parts); i++ {
		if m.Match(parts[:i], true) {
			return true
		}
	}
	return m.Match(parts, dir)
}

// patterns reads patterns, of which a later one counts more. Without any the matcher is nil.
func patterns(flag string, list []string) (gitignore.Matcher, error) {
	var all []gitignore.Pattern
	for _, p := range list {
		if strings.Trim(p, " /!") == "" {
			return nil, usage("%s: the pattern %q names nothing", flag, p)
		}
		for part := range strings.SplitSeq(strings.TrimPrefix(p, "!"), "/") {
			// The library takes a pattern that it cannot read for one that matches nothing.
			if _, err := path.Match(part, ""); err != nil {
				return nil, usage("%s: the pattern %q cannot be read: a bracket or backslash is not closed", flag, p)
			}
		}
		all = append(all, gitignore.ParsePattern(p, nil))
	}
	if all == nil {
		return nil, nil
	}
	return gitignore.NewMatcher(all), nil
}
