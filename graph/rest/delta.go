package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Delta returns the page of the change feed at a link.
//
// Only what an [graph.Item] needs is asked for: without the download addresses and the facets of pictures a page has
// less than half the bytes. The service bakes the choice into its links. Where sharing is told of too, everything is asked
// for: the word of it is an annotation, and a choice drops those.
//
// A Link is kept without scheme and host, so that what is stored holds no address that a token
// could be sent to, and stands when the address of Graph is configured anew.
func (d *Drive) Delta(ctx context.Context, from graph.Link) (graph.Page, error) {
	k := call{op: "delta", item: string(d.id), header: d.c.feeds}
	wanted := "&$select=" + wantedOfItems
	if d.c.opts.SharingChanges {
		wanted = ""
	}
	switch from {
	case graph.Start:
		k.price = many
		k.url = d.c.address(d.path() + "/root/delta?$top=" + strconv.Itoa(pageSize) + wanted)
	case graph.Latest:
		k.url = d.c.address(d.path() + "/root/delta?token=latest" + wanted)
	default:
		if !strings.HasPrefix(string(from), "/") {
			return graph.Page{}, &graph.Error{Op: k.op, Item: k.item, Kind: graph.Restart, Message: "the stored link is no link"}
		}
		k.url, k.missing = d.c.root+string(from), knownMissing
	}
	var w wirePage
	if err := d.c.get(ctx, k, &w); err != nil {
		return graph.Page{}, feedError(err, from)
	}
	p := graph.Page{Items: make([]graph.Item, 0, len(w.Value)), Done: w.Next == ""}
	link := w.Next
	if p.Done {
		link = w.Delta
	}
	next, err := d.c.link(link)
	if err == nil && !p.Done && next == from {
		err = errors.New("the feed does not go on")
	}
	if err != nil {
		return graph.Page{}, &graph.Error{Op: k.op, Item: k.item, Kind: graph.Failed, Message: err.Error()}
	}
	p.Next = next
	names := spelling{}
	for _, i := range w.Value {
		if i.ID == "" {
			continue
		}
		item, err := d.placed(ctx, i)
		if err == nil {
			item.Name, err = names.of(ctx, d, item)
		}
		if err != nil {
			return graph.Page{}, err
		}
		p.Items = append(p.Items, item)
	}
	return p, nil
}

// maxProofs is how many names of one page are asked for before the rest are taken to be alike.
const maxProofs = 10

// spelling knows how a page of the feed writes names: now and then they come percent-encoded (Q12), and a name may have
// such signs in it by itself, so only the item read by its id proves it.
type spelling struct{ encoded, plain int }

func (s *spelling) of(ctx context.Context, d *Drive, i graph.Item) (string, error) {
	decoded, err := url.PathUnescape(name.Remote(i.Name))
	decoded = name.Local(decoded)
	if err != nil || decoded == i.Name || i.Name == "" || i.Deleted || i.Root {
		return i.Name, nil
	}
	if s.encoded+s.plain >= maxProofs && (s.encoded == 0 || s.plain == 0) {
		if s.encoded > 0 {
			return decoded, nil
		}
		return i.Name, nil
	}
	now, err := d.wireItem(ctx, "delta", i.ID)
	shown := now.item().Name
	switch {
	case errors.Is(err, graph.NotExist): // what it is called makes no difference: it is gone
		return i.Name, nil
	case err != nil:
		return "", err
	case shown == i.Name:
		s.plain++
	case shown == decoded:
		s.encoded++
	}
	return shown, nil
}

// placed translates an entry of the feed. One that is nowhere, neither the root nor below anything nor deleted, most often
// is of an item that has vanished without a tombstone (graph-facts §4): the item itself is asked.
func (d *Drive) placed(ctx context.Context, w wireItem) (graph.Item, error) {
	i := w.item()
	if i.Parent != "" || i.Root || i.Deleted {
		return i, nil
	}
	now, err := d.wireItem(ctx, "delta", i.ID)
	if errors.Is(err, graph.NotExist) {
		return graph.Item{ID: i.ID, Deleted: true}, nil
	}
	return now.item(), err
}

// feedError finds out whether the service has forgotten a link (graph-facts §4). It says so with
// any 410, and with 400 or 404 to a link it once gave; without a link those mean the drive.
func feedError(err error, from graph.Link) error {
	var e *graph.Error
	if !errors.As(err, &e) || e.Kind == graph.SignIn {
		return err // the sign-in service says nothing about the link
	}
	forgotten := e.Status == http.StatusGone || strings.EqualFold(e.Code, "syncStateNotFound") ||
		strings.HasPrefix(strings.ToLower(e.Code), "resync")
	if from != graph.Start && from != graph.Latest && (e.Status == http.StatusBadRequest || e.Status == http.StatusNotFound) {
		forgotten = true
	}
	if forgotten {
		e.Kind = graph.Restart
	}
	return e
}

// link takes an address of the service apart into a Link.
func (c *Client) link(text string) (graph.Link, error) {
	if text == "" {
		return "", errors.New("the page says not where to go on")
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", errors.New("the page says nonsense about where to go on")
	}
	if !c.ours(u) {
		return "", errors.New("the page goes on at another host than Graph's: " + shownHost(u))
	}
	rest := text[len(c.root):]
	if !strings.HasPrefix(rest, "/") {
		return "", errors.New("the page says nonsense about where to go on")
	}
	return graph.Link(rest), nil
}
