package daemon

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/rest"
)

// rootsAtOnce is how many libraries that are seen for the first time are asked for their root at the same time.
const rootsAtOnce = 8

// everyLibrary is the name under which the book keeps the libraries that `sharepoint` meant the last time.
const everyLibrary = "sharepoint "

// sharePoint finds every library of every site that one may see, but for those named one by one. They are read-only. What is known
// already costs no request of its own, and is shown even if the service is out of reach.
func (m *mount) sharePoint(ctx context.Context, spec rest.Spec, names *book, known []cache.DriveInfo) ([]drive, error) {
	asking, cancel := context.WithTimeout(ctx, firstWait)
	defer cancel()
	found, err := m.account.client.Drives(asking, "")
	if err != nil {
		last := names.under(everyLibrary)
		if len(last) == 0 || ctx.Err() != nil || !m.asKnown(spec, err) {
			return nil, err
		}
		var infos []cache.DriveInfo
		for _, k := range known {
			if slices.Contains(last, k.Drive.ID) {
				infos = append(infos, k)
			}
		}
		return m.libraries(spec, infos), nil
	}
	found = slices.DeleteFunc(found, func(d graph.Drive) bool { return !d.Library() })
	infos := make([]cache.DriveInfo, len(found))
	g, asking := errgroup.WithContext(asking)
	g.SetLimit(rootsAtOnce)
	for i, d := range found {
		if k := slices.IndexFunc(known, func(k cache.DriveInfo) bool { return graph.SameDrive(k.Drive.ID, d.ID) }); k >= 0 {
			infos[i] = known[k]
			infos[i].Drive = d
			continue
		}
		g.Go(func() error {
			root, err := m.account.client.Drive(d.ID).Root(asking)
			switch {
			case errors.Is(err, graph.Denied), errors.Is(err, graph.NotExist):
				m.log.Info("a library cannot be opened and is left out", "library", d.Site+"/"+d.Name, "err", err)
				return nil
			case err != nil:
				return err
			}
			infos[i], err = m.store.AddDrive(d, root)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	infos = slices.DeleteFunc(infos, func(i cache.DriveInfo) bool { return i.Num == 0 })
	if len(infos) == 0 {
		return nil, &graph.Error{Op: "find", Item: spec.String(), Kind: graph.NotExist, Message: "there is no library that you may see, or the sign-in may not read sites"}
	}
	return m.libraries(spec, infos), nil
}

// libraries makes drives of what is not named by itself, in an order that does not depend on the service: names that are
// alike are counted in it.
func (m *mount) libraries(spec rest.Spec, infos []cache.DriveInfo) []drive {
	slices.SortFunc(infos, func(a, b cache.DriveInfo) int {
		siteA, nameA := siteOf(a.Drive)
		siteB, nameB := siteOf(b.Drive)
		return cmp.Or(strings.Compare(nameA, nameB), strings.Compare(siteA, siteB), strings.Compare(a.Drive.Name, b.Drive.Name), cmp.Compare(a.Drive.ID, b.Drive.ID))
	})
	var all []drive
	for _, i := range infos {
		if slices.ContainsFunc(m.drives, func(d drive) bool { return d.info.Num == i.Num }) {
			continue
		}
		_, err := m.store.Tree().List(i.Root, 0, 1)
		all = append(all, drive{spec: spec, info: i, asleep: errors.Is(err, cache.ErrUnlisted), service: m.account.client.Drive(i.Drive.ID)})
	}
	return all
}

// siteOf names the site of a library: unlike for different sites, and what people call it.
func siteOf(d graph.Drive) (key, name string) {
	if u, err := url.Parse(d.WebURL); err == nil {
		key = strings.ToLower(u.Host + path.Dir(u.Path))
	}
	if name = d.Site; name == "" {
		name = path.Base(key)
	}
	return key, name
}
