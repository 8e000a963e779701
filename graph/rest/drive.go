package rest

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

const (
	pageSize = 1000 // the service's maximum; it may send fewer (graph-facts §3.4)
	// How often "not found" is not believed: of an item that is known (Q1, Q2), and of one that
	// is looked for.
	knownMissing  = 3
	soughtMissing = 1
	// wantedOfItems are the properties that wireItem has, without the address of the bytes.
	wantedOfItems = "id,name,size,eTag,cTag,webUrl,file,folder,package,remoteItem,root,deleted,parentReference,fileSystemInfo"
	// maxEmptyPages bounds pages without items in a row, which are legal and must end some time.
	maxEmptyPages = 200
)

// Drive is one drive of a client. It implements graph.Service and holds no state of its own but whether the drive is a
// library, which never changes.
type Drive struct {
	c     *Client
	id    graph.DriveID
	isLib atomic.Pointer[bool] // nil as long as nobody has asked
}

var _ graph.Service = (*Drive)(nil)

// ID returns the drive's id.
func (d *Drive) ID() graph.DriveID { return d.id }

func (d *Drive) path() string { return "/drives/" + url.PathEscape(string(d.id)) }

func (d *Drive) itemPath(id graph.ItemID) string {
	return d.path() + "/items/" + url.PathEscape(string(id))
}

// childPath addresses a child of a folder by its name, which keeps the address short and stands
// when the folder is renamed meanwhile (graph-facts §6.1, §11.2).
func (d *Drive) childPath(parent graph.ItemID, child string) string {
	return d.itemPath(parent) + ":/" + url.PathEscape(name.Remote(child))
}

// Drive describes the drive.
func (d *Drive) Drive(ctx context.Context) (graph.Drive, error) {
	var w wireDrive
	err := d.c.get(ctx, call{op: "drive", item: string(d.id), url: d.c.address(d.path())}, &w)
	if err != nil {
		return graph.Drive{}, err
	}
	is := w.drive("")
	isLib := is.Library()
	d.isLib.Store(&isLib)
	return is, nil
}

// library reports whether the drive is a library. The service is asked once.
func (d *Drive) library(ctx context.Context) (bool, error) {
	if known := d.isLib.Load(); known != nil {
		return *known, nil
	}
	is, err := d.Drive(ctx)
	return is.Library(), err
}

// Item returns an item by its id.
func (d *Drive) Item(ctx context.Context, id graph.ItemID) (graph.Item, error) {
	w, err := d.wireItem(ctx, "item", id)
	return w.item(), err
}

func (d *Drive) wireItem(ctx context.Context, op string, id graph.ItemID) (wireItem, error) {
	return d.getItem(ctx, call{op: op, item: string(id), url: d.c.address(d.itemPath(id)), missing: knownMissing})
}

// Root returns the root folder.
func (d *Drive) Root(ctx context.Context) (graph.Item, error) {
	w, err := d.getItem(ctx, call{op: "root", item: string(d.id), url: d.c.address(d.path() + "/root"), missing: soughtMissing})
	return w.item(), err
}

// Child returns the child of a folder by name. That nothing has the name is an ordinary answer, so
// it is asked for once more only.
func (d *Drive) Child(ctx context.Context, parent graph.ItemID, child string) (graph.Item, error) {
	w, err := d.child(ctx, parent, child, soughtMissing)
	return w.item(), err
}

func (d *Drive) child(ctx context.Context, parent graph.ItemID, child string, missing int) (wireItem, error) {
	if !addressable(child) {
		return wireItem{}, &graph.Error{Op: "child", Item: child, Kind: graph.NotExist, Message: "no item can have this name"}
	}
	w, err := d.getItem(ctx, call{op: "child", item: child, url: d.c.address(d.childPath(parent, child)), missing: missing})
	if plain := name.Plain(child); err == nil && plain != child && w.item().Name != plain {
		return wireItem{}, &graph.Error{Op: "child", Item: child, Kind: graph.NotExist, Message: "the folder has the twin of this name alone"}
	}
	return w, err
}

// addressable reports whether an address with the name in it means what it says. Names for which
// it does not, the remote cannot hold.
func addressable(child string) bool {
	child = name.Remote(child)
	rule := name.Check(child)
	return name.Safe(child) && rule != name.Character && rule != name.Control
}

// getItem reads one item, and does not take anything else for one.
func (d *Drive) getItem(ctx context.Context, k call) (wireItem, error) {
	var w wireItem
	if err := d.c.get(ctx, k, &w); err != nil {
		return wireItem{}, err
	}
	if w.ID == "" {
		return wireItem{}, &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Message: "the answer is no item"}
	}
	if w.Deleted.here() {
		return wireItem{}, &graph.Error{Op: k.op, Item: k.item, Kind: graph.NotExist, Message: "the item is in the recycle bin"}
	}
	return w, nil
}

// get makes a read and decodes the answer.
func (c *Client) get(ctx context.Context, k call, into any) error {
	k.method, k.read = http.MethodGet, true
	var r reply
	for hop := 0; ; hop++ {
		var err error
		if r, err = c.do(ctx, k); err != nil {
			return err
		}
		to, ok := r.elsewhere(k.url)
		if !ok || hop == maxHops { // what is no answer is found out below
			break
		}
		k.url = to // a request there is made only if it is Graph's host
	}
	if !r.decode(into) {
		return k.senseless(r)
	}
	return nil
}

// senseless is the failure of a call whose answer cannot be read.
func (k call) senseless(r reply) error {
	return &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Status: r.status, Request: r.header.Get("Request-Id"),
		Message: "the answer makes no sense"}
}

// elsewhere returns where a redirection leads, since one comes now and then where an answer is documented (Q22).
func (r reply) elsewhere(from string) (string, bool) {
	to := r.header.Get("Location")
	if r.status/100 != 3 || to == "" {
		return "", false
	}
	base, err := url.Parse(from)
	if err != nil {
		return "", false
	}
	if base, err = base.Parse(to); err != nil {
		return "", false
	}
	return base.String(), true
}

// listed looks for a child of a folder by going through the folder. Reads by path do not know for minutes what has just
// changed, listings do (Q6).
func (d *Drive) listed(ctx context.Context, parent graph.ItemID, child string) (graph.Item, error) {
	plain := name.Plain(child)
	for i, err := range d.Children(ctx, parent) {
		if err != nil || i.Name == plain || plain == child && name.Same(i.Name, child) {
			return i, err
		}
	}
	return graph.Item{}, &graph.Error{Op: "child", Item: child, Kind: graph.NotExist, Message: "the folder has no such item"}
}

// Children yields the items of a folder, page by page as they arrive.
func (d *Drive) Children(ctx context.Context, id graph.ItemID) iter.Seq2[graph.Item, error] {
	return func(yield func(graph.Item, error) bool) {
		seen := map[string]bool{}
		next := d.c.address(d.itemPath(id) + "/children?$top=" + strconv.Itoa(pageSize) + "&$select=" + wantedOfItems)
		for empty := 0; next != ""; {
			k := call{op: "list", item: string(id), url: next, missing: knownMissing, price: many, header: d.c.prefer}
			var page wirePage
			err := d.c.get(ctx, k, &page)
			if err == nil && (seen[next] || empty > maxEmptyPages) {
				err = &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Message: "the listing does not end"}
			}
			if err == nil && page.Value == nil { // which is not the same as an empty folder
				err = k.senseless(reply{})
			}
			if err != nil {
				yield(graph.Item{}, err)
				return
			}
			seen[next] = true
			if empty++; len(page.Value) > 0 {
				empty = 0
			}
			for _, w := range page.Value {
				if w.ID != "" && !w.Deleted.here() && !yield(w.item(), nil) {
					return
				}
			}
			next = page.Next
		}
	}
}
