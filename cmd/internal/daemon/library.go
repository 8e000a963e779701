package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
	"github.com/duskfs/duskfs/graph/rest"
)

// fullControl is the permission with which the feed tells where sharing has changed (graph-facts §4).
const fullControl = "Sites.FullControl.All"

// Libraries is Graph for who mirrors libraries.
type Libraries struct {
	account *Account
	client  *rest.Client
	// Sharing: the feed tells where sharing has changed.
	Sharing bool
}

// Libraries signs in and finds out what the feed may tell: told says that it may tell of sharing, which a person's sign-in
// shows and an application's does not.
func (a *Account) Libraries(ctx context.Context, told bool) (*Libraries, error) {
	who, err := a.Whoami(ctx)
	if err != nil {
		return nil, err
	}
	l := &Libraries{account: a, client: a.client}
	if told || slices.ContainsFunc(who.Scopes, func(s string) bool { return strings.EqualFold(s, fullControl) }) {
		o := a.options
		o.SharingChanges = true
		if l.client, err = rest.New(o); err != nil {
			return nil, mistake(err)
		}
		l.Sharing = true
	}
	return l, nil
}

// Find returns the drive that a spec names.
func (l *Libraries) Find(ctx context.Context, spec rest.Spec) (graph.Drive, error) {
	return l.client.Find(ctx, spec)
}

// OfSites returns the libraries of the site that a query names, or of those that a search for it finds. NotExist if there
// are none.
func (l *Libraries) OfSites(ctx context.Context, query string) ([]graph.Drive, error) {
	all, err := l.client.Drives(ctx, query)
	if err == nil && len(all) == 0 {
		err = &graph.Error{Op: "find", Item: query, Kind: graph.NotExist, Message: "no site of that name has a library; `duskfs drives --site NAME` tries a search"}
	}
	return all, err
}

// Named returns a library of a site as the older tool names it: by the host, what the site is called (the last part of its
// address, or its display name), and what the library is called, empty for the site's own.
func (l *Libraries) Named(ctx context.Context, host, site, library string) (graph.Drive, error) {
	var first error
	if !strings.ContainsAny(site, "/ #:") {
		for _, kind := range []string{"/sites/", "/teams/"} {
			d, err := l.client.Find(ctx, rest.Spec{Where: rest.Site, Name: strings.ToLower(host), Path: kind + site, Library: library})
			if err == nil || !errors.Is(err, graph.NotExist) && !errors.Is(err, graph.Denied) {
				return d, err
			}
			if first == nil {
				first = err
			}
		}
	}
	all, err := l.client.Drives(ctx, site)
	if err != nil {
		return graph.Drive{}, errors.Join(first, err)
	}
	var titles []string
	for _, d := range all {
		if !strings.EqualFold(d.Site, site) {
			continue
		}
		if library == "" || name.Same(d.Name, library) {
			return d, nil
		}
		titles = append(titles, d.Name)
	}
	e := &graph.Error{Op: "find", Item: site, Kind: graph.NotExist, Message: "there is no such site; `duskfs drives --site NAME` tries a search"}
	if len(titles) > 0 {
		e.Message = "the site has no library " + library + "; it has " + strings.Join(titles, ", ")
	}
	return graph.Drive{}, e
}

// Service returns a drive without a cache in between.
func (l *Libraries) Service(id graph.DriveID) *rest.Drive { return l.client.Drive(id) }

// State is the folder for what a mirror of a drive in a folder remembers.
func (l *Libraries) State(id graph.DriveID, folder string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(string(id)) + "\x00" + folder))
	return filepath.Join(l.account.dir, "mirror", hex.EncodeToString(sum[:12]))
}
