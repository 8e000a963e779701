package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
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

// library returns a library of a site: the default one, or the one with the title.
func (c *Client) library(ctx context.Context, s Spec) (graph.Drive, error) {
	at := "/sites/" + url.PathEscape(s.Name)
	if s.Path != "/" {
		at += ":"
		for part := range strings.SplitSeq(strings.Trim(s.Path, "/"), "/") {
			at += "/" + url.PathEscape(part)
		}
	}
	var site wireSite
	if err := c.get(ctx, call{op: "find", item: s.String(), url: c.address(at), missing: soughtMissing}, &site); err != nil {
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

// Drives returns what can be mounted: the libraries of the sites that a query finds, and without a
// query the own drive and those of every site one may see. Sites one may not look into are left out.
func (c *Client) Drives(ctx context.Context, query string) ([]graph.Drive, error) {
	var found []graph.Drive
	if query == "" {
		own, err := c.mine(ctx)
		switch graph.KindOf(err) {
		case graph.NotExist, graph.Denied, graph.Invalid: // nobody has to have one
		default:
			if err != nil {
				return nil, err
			}
			found = append(found, own)
		}
		query = "*"
	}
	sites, err := list[wireSite](ctx, c, call{op: "find", item: query}, "/sites?search="+url.QueryEscape(query))
	if err != nil {
		if len(found) > 0 && errors.Is(err, graph.Denied) {
			return found, nil
		}
		return nil, err
	}
	perSite := make([][]graph.Drive, len(sites))
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
	for _, all := range perSite {
		found = append(found, all...)
	}
	return found, nil
}

// list reads a collection to its end.
func list[T any](ctx context.Context, c *Client, k call, at string) ([]T, error) {
	var all []T
	k.url, k.price = c.address(at), many
	for range maxPages {
		var page struct {
			Value []T    `json:"value"`
			Next  string `json:"@odata.nextLink"`
		}
		if err := c.get(ctx, k, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Value...)
		if k.url = page.Next; k.url == "" {
			return all, nil
		}
	}
	return nil, &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Message: "the list does not end"}
}
