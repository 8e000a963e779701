package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
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
		return graph.Item{}, d.whyMissing(ctx, parent, folder, err)
	}
	return d.mkdirDone(ctx, k, parent, r)
}

func (d *Drive) mkdirCall(parent graph.ItemID, folder string) call {
	// "Not found" means a parent that was made a moment ago (Q24), and that nothing was made.
	return call{op: "mkdir", item: folder, method: http.MethodPost, url: d.c.address(d.itemPath(parent) + "/children"),
		json: newFolder{Name: name.Remote(folder), Conflict: failIfTaken}, missing: freshMissing}
}

func (d *Drive) mkdirDone(ctx context.Context, k call, parent graph.ItemID, r reply) (graph.Item, error) {
	if w, ok := made(r); ok {
		return w.item(), nil
	}
	// Made, yet the answer is empty (Q5): asking again would fail, so look.
	i, err := d.Child(ctx, parent, k.item)
	for try := 0; errors.Is(err, graph.NotExist) && try < freshMissing; try++ {
		if err = sleep(ctx, min(missingFirst<<try, missingCap)); err == nil {
			i, err = d.listed(ctx, parent, k.item)
		}
	}
	if errors.Is(err, graph.NotExist) {
		err = &graph.Error{Op: k.op, Item: k.item, Kind: graph.Lost, Status: r.status, Message: "the service made the folder without saying so, and does not show it yet"}
	}
	return i, err
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
	body.Name = name.Remote(c.Name)
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
	return d.deleteDone(ctx, id, err)
}

// deleteDone believes "not found" only if the item cannot be read either (Q7).
func (d *Drive) deleteDone(ctx context.Context, id graph.ItemID, err error) error {
	d.c.urls.drop(place{d.id, id})
	if !errors.Is(err, graph.NotExist) {
		return err
	}
	var e *graph.Error
	_, look := d.getItem(ctx, call{op: "delete", item: string(id), url: d.c.address(d.itemPath(id)), missing: soughtMissing})
	if look == nil && errors.As(err, &e) {
		e.Kind, e.Message = graph.Failed, "the service shows the item and does not find it to delete"
	}
	return err
}

// similar reports whether a name was refused since the drive takes another for the same.
func similar(e *graph.Error) bool {
	return e.Kind == graph.Exist && strings.EqualFold(e.Code, "similarRelationshipNameAlreadyExists")
}

// whyMissing finds out what a "not found" means that making something in a folder was answered with, though it is
// not believed at once: most often that there is no such folder, but the service also says it of a name that it takes for
// the same as another (graph-facts §11.4).
func (d *Drive) whyMissing(ctx context.Context, parent graph.ItemID, child string, err error) error {
	var e *graph.Error
	if !errors.As(err, &e) || e.Kind != graph.NotExist && !similar(e) {
		return err
	}
	if e.Kind == graph.NotExist {
		if _, look := d.getItem(ctx, call{op: e.Op, item: e.Item, url: d.c.address(d.itemPath(parent)), missing: soughtMissing}); look != nil {
			return err
		}
		e.Kind, e.Message = graph.Failed, "the service shows the folder and does not find it to put something there"
	}
	for i, listed := range d.Children(ctx, parent) {
		if listed != nil {
			break // the error stands as it is
		}
		if name.Similar(i.Name, child) {
			e.Kind, e.Message = graph.Exist, fmt.Sprintf("the drive takes %q for the same name as %q, which is there", child, i.Name)
			break
		}
	}
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
// repeated. The file is there either way: without a time from us it keeps the service's. The item returned
// has the bytes of i.
func (d *Drive) date(ctx context.Context, i graph.Item, t time.Time) (graph.Item, error) {
	if t.IsZero() {
		return i, nil
	}
	dated, err := d.patch(ctx, call{op: "date", item: string(i.ID), method: http.MethodPatch, url: d.c.address(d.itemPath(i.ID)),
		json: itemChange{Times: &wireTimes{Modified: formatTime(t)}}, missing: 2 * freshMissing, broken: 2 * maxBroken, read: true}, i.ID)
	if ctx.Err() != nil {
		return graph.Item{}, err
	}
	if err != nil || !dated.Version().Same(i.Version()) { // somebody has written over it by now: those bytes are not ours
		return i, nil
	}
	return dated, nil
}
