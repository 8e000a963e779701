package rest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// freshMissing is how often "not found" is not believed of an item that was just made: reads may
// be minutes behind (Q2, Q5, Q6).
const freshMissing = 5

// failIfTaken asks the service to refuse a name that is taken. It is always sent: the defaults
// differ from call to call, and one of them overwrites (graph-facts §6.2, §7).
const failIfTaken = "fail"

type newFolder struct {
	Name     string   `json:"name"`
	Folder   struct{} `json:"folder"`
	Conflict string   `json:"@microsoft.graph.conflictBehavior"`
}

// Mkdir makes a folder.
func (d *Drive) Mkdir(ctx context.Context, parent graph.ItemID, folder string) (graph.Item, error) {
	k := d.mkdirCall(parent, folder)
	r, err := d.c.do(ctx, k)
	if err != nil {
		return graph.Item{}, err
	}
	return d.mkdirDone(ctx, k, parent, r)
}

func (d *Drive) mkdirCall(parent graph.ItemID, folder string) call {
	// "Not found" means a parent that was made a moment ago (Q24), and that nothing was made.
	return call{op: "mkdir", item: folder, method: http.MethodPost, url: d.c.address(d.itemPath(parent) + "/children"),
		json: newFolder{Name: folder, Conflict: failIfTaken}, missing: knownMissing}
}

func (d *Drive) mkdirDone(ctx context.Context, k call, parent graph.ItemID, r reply) (graph.Item, error) {
	if w, ok := made(r); ok {
		return w.item(), nil
	}
	// Made, yet the answer is empty (Q5): asking again would fail, so look.
	w, err := d.child(ctx, parent, k.item, freshMissing)
	if errors.Is(err, graph.NotExist) {
		err = &graph.Error{Op: k.op, Item: k.item, Kind: graph.Lost, Status: r.status, Message: "the service made the folder without saying so, and does not show it yet"}
	}
	return w.item(), err
}

// made decodes the item in an answer to a write, if there is one.
func made(r reply) (wireItem, bool) {
	var w wireItem
	ok := r.decode(&w) && w.ID != ""
	return w, ok
}

type itemChange struct {
	Parent *wireReference `json:"parentReference,omitempty"`
	Name   string         `json:"name,omitempty"`
	Times  *wireTimes     `json:"fileSystemInfo,omitempty"`
}

// Update moves, renames or dates an item. What is not to change is not sent, except that a time
// given goes along with a move.
func (d *Drive) Update(ctx context.Context, id graph.ItemID, c graph.Change, ifMatch string) (graph.Item, error) {
	return d.patch(ctx, d.updateCall(id, c, ifMatch), id)
}

func (d *Drive) updateCall(id graph.ItemID, c graph.Change, ifMatch string) call {
	var body itemChange
	if c.Parent != "" {
		body.Parent = &wireReference{ID: string(c.Parent)}
	}
	body.Name = c.Name
	if !c.ModTime.IsZero() {
		body.Times = &wireTimes{Modified: formatTime(c.ModTime)}
	}
	return call{op: "update", item: string(id), method: http.MethodPatch, url: d.c.address(d.itemPath(id)), json: body,
		header: condition(ifMatch), missing: knownMissing}
}

func (d *Drive) patch(ctx context.Context, k call, id graph.ItemID) (graph.Item, error) {
	r, err := d.c.do(ctx, k)
	if err != nil {
		return graph.Item{}, err
	}
	return d.patchDone(ctx, k, id, r)
}

func (d *Drive) patchDone(ctx context.Context, k call, id graph.ItemID, r reply) (graph.Item, error) {
	if w, ok := made(r); ok {
		return w.item(), nil
	}
	w, err := d.wireItem(ctx, k.op, id) // 204 where an item is documented
	return w.item(), err
}

// Delete moves an item to the recycle bin, with all that is below it.
func (d *Drive) Delete(ctx context.Context, id graph.ItemID, ifMatch string) error {
	_, err := d.c.do(ctx, d.deleteCall(id, ifMatch))
	d.c.urls.drop(place{d.id, id})
	return err
}

func (d *Drive) deleteCall(id graph.ItemID, ifMatch string) call {
	// A "not found" here is often wrong at first (Q7) and means that nothing was done.
	return call{op: "delete", item: string(id), method: http.MethodDelete, url: d.c.address(d.itemPath(id)),
		header: condition(ifMatch), missing: knownMissing}
}

// condition makes a write hold only for the version of the item with a tag.
func condition(ifMatch string) map[string]string {
	if ifMatch == "" {
		return nil
	}
	return map[string]string{"If-Match": ifMatch}
}

// date sets the time of a file that was just made by PUT, which cannot carry it. The service
// answers "not found" and worse at that moment (Q4); setting a time twice does no harm, so it is
// repeated. The file is there either way: without a time from us it keeps the service's.
func (d *Drive) date(ctx context.Context, i graph.Item, t time.Time) (graph.Item, error) {
	if t.IsZero() {
		return i, nil
	}
	dated, err := d.patch(ctx, call{op: "date", item: string(i.ID), method: http.MethodPatch, url: d.c.address(d.itemPath(i.ID)),
		json: itemChange{Times: &wireTimes{Modified: formatTime(t)}}, missing: freshMissing, read: true}, i.ID)
	if ctx.Err() != nil {
		return graph.Item{}, err
	}
	if err != nil {
		return i, nil
	}
	return dated, nil
}
