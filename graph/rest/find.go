package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// maxPages bounds lists of sites and libraries.
const maxPages = 500

// Find returns the drive that a spec names. NotExist if there is none, Invalid for sharepoint, which
// is no single drive.
func (c *Client) Find(ctx context.Context, s Spec) (graph.Drive, error) {
	var d graph.Drive
	var err error
	switch s.Where {
	case Me:
		d, err = c.mine(ctx)
	case User:
		d, err = c.one(ctx, "/users/"+url.PathEscape(s.Name)+"/drive", "")
	case Group:
		d, err = c.one(ctx, "/groups/"+url.PathEscape(s.Name)+"/drive", "")
	case ByID:
		d, err = c.one(ctx, "/drives/"+url.PathEscape(s.Name), "")
	case Site:
		d, err = c.library(ctx, s)
	default:
		err = &graph.Error{Op: "find", Kind: graph.Invalid, Message: "this is not one drive but many"}
	}
	return d, explained(err, s)
}

// explained says in an error about a spec what was looked for, and what to do.
func explained(err error, s Spec) error {
	var e *graph.Error
	if !errors.As(err, &e) {
		return err
	}
	e.Op, e.Item = "find", s.String()
	switch {
	case s.Where == Me && (e.Status == http.StatusBadRequest || e.Status == http.StatusForbidden):
		e.Message = "an app that signs in as itself has no drive of its own; set USER_ID, or name user:UPN"
	case e.Kind == graph.NotExist && (s.Where == Me || s.Where == User) && strings.EqualFold(e.Code, "ResourceNotFound"):
		e.Message = "there is no such user, or the user has no OneDrive yet"
	}
	return err
}

// mine returns the drive of who is signed in, or of the configured user.
func (c *Client) mine(ctx context.Context) (graph.Drive, error) {
	if c.opts.User != "" {
		return c.one(ctx, "/users/"+url.PathEscape(c.opts.User)+"/drive", "")
	}
	return c.one(ctx, "/me/drive", "")
}

// one reads one drive by its address.
func (c *Client) one(ctx context.Context, at, site string) (graph.Drive, error) {
	var w wireDrive
	if err := c.get(ctx, call{op: "find", item: at, url: c.address(at), missing: soughtMissing}, &w); err != nil {
		return graph.Drive{}, err
	}
	if w.ID == "" {
		return graph.Drive{}, &graph.Error{Op: "find", Item: at, Kind: graph.Failed, Message: "the answer is no drive"}
	}
	return w.drive(site), nil
}

// wireSite is a site as it comes. Searches leave out some of it now and then.
type wireSite struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Title string `json:"displayName"`
}

func (w wireSite) title() string {
	if w.Title != "" {
		return w.Title
	}
	return w.Name
}

// site returns a site by its address.
func (c *Client) site(ctx context.Context, s Spec) (site wireSite, err error) {
	at := "/sites/" + url.PathEscape(s.Name)
	if s.Path != "/" {
		at += ":"
		for part := range strings.SplitSeq(strings.Trim(s.Path, "/"), "/") {
			at += "/" + url.PathEscape(part)
		}
	}
	err = c.get(ctx, call{op: "find", item: s.String(), url: c.address(at), missing: soughtMissing}, &site)
	if err == nil && site.ID == "" {
		err = &graph.Error{Op: "find", Item: s.String(), Kind: graph.Failed, Message: "the answer is no site"}
	}
	return site, err
}

// library returns a library of a site: the default one, or the one with the title.
func (c *Client) library(ctx context.Context, s Spec) (graph.Drive, error) {
	site, err := c.site(ctx, s)
	if err != nil {
		return graph.Drive{}, err
	}
	base := "/sites/" + url.PathEscape(site.ID)
	if s.Library == "" {
		return c.one(ctx, base+"/drive", site.title())
	}
	all, err := c.libraries(ctx, site)
	if err != nil {
		return graph.Drive{}, err
	}
	var titles []string
	for _, d := range all {
		if name.Same(d.Name, s.Library) || name.Same(folderOf(d), s.Library) {
			return d, nil
		}
		titles = append(titles, d.Name)
	}
	return graph.Drive{}, &graph.Error{Kind: graph.NotExist, Message: "the site has no such library; it has " + strings.Join(titles, ", ")}
}

// folderOf returns the last part of a library's address, which people know it by as well: the
// library "Documents" is the folder "Shared Documents".
func folderOf(d graph.Drive) string {
	u, err := url.Parse(d.WebURL)
	if err != nil {
		return ""
	}
	return path.Base(u.Path)
}

func (c *Client) libraries(ctx context.Context, site wireSite) ([]graph.Drive, error) {
	drives, err := list[wireDrive](ctx, c, call{op: "find", item: site.title()}, "/sites/"+url.PathEscape(site.ID)+"/drives")
	if err != nil {
		return nil, err
	}
	all := make([]graph.Drive, 0, len(drives))
	for _, w := range drives {
		if !w.System.here() {
			all = append(all, w.drive(site.title()))
		}
	}
	return all, nil
}

// Drives returns what can be mounted: the libraries of the sites that a query finds, or of the one it names (as a
// Spec does, or by its web address). Without a query it is the own drive, the libraries of every site one may see, and the
// drives that shortcuts at the top of the own one lead into. What one may not look into is left out.
func (c *Client) Drives(ctx context.Context, query string) ([]graph.Drive, error) {
	var found []graph.Drive
	var sites []wireSite
	var err error
	if query == "" {
		own, ownErr := c.mine(ctx)
		switch {
		case ownErr == nil:
			found = append(found, own)
		case !refusal(ownErr): // nobody has to have one
			return nil, ownErr
		}
		sites, err = c.everySite(ctx, c.opts.User != "" || statusOf(ownErr) == http.StatusBadRequest)
		if err != nil && refusal(err) && len(found) > 0 { // a personal account has no sites
			return c.withPointed(ctx, found, found[0].ID)
		}
	} else if s, no := ParseSpec(query); no == nil && s.Where == Site {
		var site wireSite
		site, err = c.site(ctx, s)
		sites = append(sites, site)
	} else {
		sites, err = c.sites(ctx, query, "/sites?search="+url.QueryEscape(query))
	}
	if err != nil {
		return nil, err
	}
	perSite, whole := make([][]graph.Drive, len(sites)), ctx
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.Concurrency)
	for i, site := range sites {
		g.Go(func() error {
			all, err := c.libraries(ctx, site)
			if errors.Is(err, graph.Denied) || errors.Is(err, graph.NotExist) {
				return nil
			}
			perSite[i] = all
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	own := graph.DriveID("")
	if query == "" && len(found) > 0 {
		own = found[0].ID
	}
	for _, all := range perSite {
		found = append(found, all...)
	}
	return c.withPointed(whole, found, own)
}

// withPointed adds to some drives those that shortcuts at the top of the own drive lead into, and that are to be opened.
func (c *Client) withPointed(ctx context.Context, found []graph.Drive, own graph.DriveID) ([]graph.Drive, error) {
	if own == "" {
		return found, nil
	}
	root, err := c.Drive(own).Root(ctx)
	switch {
	case err == nil:
	case refusal(err):
		return found, nil
	default:
		return nil, err
	}
	for i, err := range c.Drive(own).Children(ctx, root.ID) {
		if err != nil {
			return nil, err
		}
		if i.Type != graph.Shortcut || i.TargetDrive == "" || slices.ContainsFunc(found, func(d graph.Drive) bool { return graph.SameDrive(d.ID, i.TargetDrive) }) {
			continue
		}
		d, err := c.one(ctx, "/drives/"+url.PathEscape(string(i.TargetDrive)), "")
		if err == nil {
			_, err = c.Drive(d.ID).Root(ctx)
		}
		switch {
		case err == nil:
			found = append(found, d)
		case !refusal(err):
			return nil, err
		}
	}
	return found, nil
}

func (c *Client) sites(ctx context.Context, what, at string) ([]wireSite, error) {
	return list[wireSite](ctx, c, call{op: "find", item: what}, at)
}

// everySite returns all sites of the tenant for an app that signs in as itself, and for a person those that a search
// finds and those that are followed, which the search may not know yet.
func (c *Client) everySite(ctx context.Context, app bool) ([]wireSite, error) {
	if app {
		all, err := c.sites(ctx, "all sites", "/sites/getAllSites")
		if err == nil || !refusal(err) {
			return all, err
		}
	}
	all, err := c.sites(ctx, "all sites", "/sites?search=*")
	if err != nil || app {
		return all, err
	}
	followed, err := c.sites(ctx, "followed sites", "/me/followedSites")
	if err != nil {
		if refusal(err) { // it needs a permission of its own
			err = nil
		}
		return all, err
	}
	known := map[string]bool{}
	for _, s := range all {
		known[s.ID] = true
	}
	for _, s := range followed {
		if !known[s.ID] {
			all = append(all, s)
		}
	}
	return all, nil
}

// refusal reports whether the service has understood a question and has no answer for who asked.
func refusal(err error) bool {
	switch graph.KindOf(err) {
	case graph.NotExist, graph.Denied, graph.Invalid:
		return true
	}
	return statusOf(err) == http.StatusNotImplemented
}

// wireList is a page of a collection.
type wireList[T any] struct {
	Value []T    `json:"value"`
	Next  string `json:"@odata.nextLink"`
}

// list reads a collection to its end.
func list[T any](ctx context.Context, c *Client, k call, at string) ([]T, error) {
	k.price = many
	return listFrom[T](ctx, c, k, c.address(at))
}

// listFrom reads a collection to its end, beginning with the page at an address.
func listFrom[T any](ctx context.Context, c *Client, k call, at string) ([]T, error) {
	var all []T
	k.url = at
	for range maxPages {
		var page wireList[T]
		if err := c.get(ctx, k, &page); err != nil {
			return nil, err
		}
		if page.Value == nil { // which is not the same as an empty list
			return nil, k.senseless(reply{})
		}
		all = append(all, page.Value...)
		if k.url = page.Next; k.url == "" {
			return all, nil
		}
	}
	return nil, &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Message: "the list does not end"}
}
