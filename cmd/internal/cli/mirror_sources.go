package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duskfs/duskfs/cache/mirror"
	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/daemon"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/rest"
)

// sources are what is mirrored, and where.
type sources struct {
	cfg    *config.Config
	drives []rest.Spec
	sites  []string
	named  bool   // the one library that the older tool's variables name
	folder string // absolute
	shown  string // as given
}

// defaultRoot is where the older tool puts its files.
const defaultRoot = "ms365_data/data"

// mirrored says what arguments, flags and configuration name.
func (a *app) mirrored(cfg *config.Config, args []string, j *mirrorJob) (sources, error) {
	s := sources{cfg: cfg, sites: j.sites}
	if n := len(args); n > 0 {
		last := args[n-1]
		if spec, err := rest.ParseSpec(last); err == nil && n == 1 && len(j.sites) == 0 {
			s.drives = append(s.drives, spec) // a folder of such a name would be ./me
		} else {
			s.shown, s.folder = last, a.lexical(last)
			for _, arg := range args[:n-1] {
				spec, err := rest.ParseSpec(arg)
				if err != nil {
					return s, usage("%v", err)
				}
				s.drives = append(s.drives, spec)
			}
		}
	}
	for _, d := range s.drives {
		if d.Where == rest.SharePoint {
			return s, usage("sharepoint is all that one may see: name the sites with --site")
		}
	}
	if len(s.drives)+len(s.sites) == 0 {
		switch m := cfg.Mirror; {
		case len(m.Drives)+len(m.Sites) > 0:
			s.drives, s.sites = m.Drives, m.Sites
		case m.Host != "" && m.Site != "":
			s.named = true
		default:
			return s, usage("no drive is named: give one, such as site:contoso.sharepoint.com:/sites/Engineering, or set SHAREPOINT_HOST and SITE_NAME")
		}
	}
	if s.folder == "" {
		s.shown, s.folder = cfg.Mirror.Folder, cfg.Mirror.Folder
		for _, v := range cfg.Values() {
			if v.Key == "mirror.folder" && a.lexical(v.Value) == s.folder {
				s.shown = v.Value // as it was written
			}
		}
		if s.folder == "" && s.named {
			s.shown, s.folder = defaultRoot, a.lexical(defaultRoot)
		}
		if s.folder == "" {
			return s, usage("no folder is named: give one, or set mirror.folder or LOCAL_ROOT")
		}
		if filepath.Base(s.folder) == "data" { // the older tool names the folder of the files themselves
			s.shown, s.folder = filepath.Dir(filepath.Clean(s.shown)), filepath.Dir(s.folder)
		}
	}
	return s, nil
}

// copies finds the drives, and gives each its folder.
func (a *app) copies(ctx context.Context, l *daemon.Libraries, s sources, o mirror.Options) ([]*copyOf, error) {
	var drives []graph.Drive
	add := func(found ...graph.Drive) {
		for _, d := range found {
			if !slices.ContainsFunc(drives, func(e graph.Drive) bool { return graph.SameDrive(d.ID, e.ID) }) {
				drives = append(drives, d)
			}
		}
	}
	for _, spec := range s.drives {
		d, err := l.Find(ctx, spec)
		if err != nil {
			return nil, err
		}
		add(d)
	}
	for _, site := range s.sites {
		if host, path, ok := strings.Cut(site, ":/"); ok && !strings.Contains(host, ":") {
			site = "site:" + host + ":/" + path
		}
		found, err := l.OfSites(ctx, site)
		if err != nil {
			return nil, err
		}
		add(found...)
	}
	if s.named {
		d, err := l.Named(ctx, s.cfg.Mirror.Host, s.cfg.Mirror.Site, s.cfg.Mirror.Library)
		if err != nil {
			return nil, err
		}
		add(d)
	}
	alone := len(s.sites) == 0 && len(s.drives) <= 1
	var all []*copyOf
	taken := map[string]bool{}
	for _, d := range drives {
		own := o
		own.Drive, own.Folder, own.Shown = d, s.folder, s.shown
		if !alone {
			name := copyName(d, taken)
			own.Folder, own.Shown = filepath.Join(s.folder, name), filepath.Join(s.shown, name)
		}
		if own.Logs == "" {
			own.Logs = filepath.Join(own.Folder, "sync_logs")
		}
		near := l.Service(d.ID)
		own.Service, own.State = near, l.State(d.ID, resolved(own.Folder))
		c := &copyOf{drive: d, dir: own.Folder, near: near}
		own.Progress = func(p mirror.Progress) {
			if c.show != nil {
				c.show(p)
			}
		}
		c.m = mirror.New(own)
		all = append(all, c)
	}
	return all, nil
}

// copyName is the folder of one of several drives: the same in every run, whatever other drives there are.
func copyName(d graph.Drive, taken map[string]bool) string {
	name := d.Name
	switch {
	case d.Site != "":
		name = d.Site + " - " + d.Name
	case d.Owner != "" && !d.Library():
		name = d.Owner
	}
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '-'
		}
		return r
	}, name), " .")
	if name == "" || taken[strings.ToLower(name)] {
		sum := sha256.Sum256([]byte(d.ID))
		name = strings.TrimSpace(name + " " + hex.EncodeToString(sum[:4]))
	}
	taken[strings.ToLower(name)] = true
	return name
}
