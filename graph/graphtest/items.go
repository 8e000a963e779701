package graphtest

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxPage = 1000

// get answers with one item.
func (c *call) get(it *item) (*reply, error) {
	if c.unchanged(it) {
		return newReply(http.StatusNotModified), nil
	}
	o := c.extras(c.drive.json(it, c.storage), it)
	if it.folder && strings.HasPrefix(option(c.q, "expand"), "children") {
		kids := []object{}
		for _, k := range it.keys()[:min(len(it.keys()), c.listPage())] {
			kids = append(kids, c.drive.json(it.children[k], c.storage))
		}
		if fields := selection(c.q); fields != nil {
			o = selected(o, append(fields, "eTag"))
		}
		o["children"] = kids
		o["@odata.context"] = c.contextURL()
		return jsonReply(http.StatusOK, o), nil
	}
	return c.object(o), nil
}

// extras adds what an item says of itself only if $select names it.
func (c *call) extras(o object, it *item) object {
	for _, f := range selection(c.q) {
		switch {
		case f == "publication" && c.drive.kind != Personal && it.body != nil:
			o[f] = c.drive.publication(it)
		case f == "sharepointIds" && c.drive.kind != Personal:
			o[f] = c.drive.sharePointIDs(it)
		}
	}
	return o
}

func (c *call) listPage() int {
	if c.s.opts.ListPage > 0 {
		return c.s.opts.ListPage
	}
	return 200
}

// top reads $top; 0 and nonsense give the default.
func top(q url.Values, otherwise int) int {
	n, err := strconv.Atoi(option(q, "top"))
	if err != nil || n <= 0 {
		n = otherwise
	}
	return min(n, maxPage)
}

// children answers with a page of a folder. The token of the next page names the last child of this
// one, so pages neither repeat nor skip what stays in place.
func (c *call) children(it *item) (*reply, error) {
	if !it.folder {
		return nil, errInvalid("The item is not a folder.")
	}
	keys := it.keys()
	desc := strings.HasSuffix(strings.ToLower(option(c.q, "orderby")), " desc")
	if desc {
		keys = slices.Clone(keys)
		slices.Reverse(keys)
	}
	start := 0
	if tok := option(c.q, "skiptoken"); tok != "" {
		raw, err := base64.RawURLEncoding.DecodeString(tok)
		if err != nil {
			return nil, errInvalid("Invalid paging token")
		}
		after := string(raw)
		start, _ = slices.BinarySearchFunc(keys, after, func(k, after string) int {
			if desc {
				return strings.Compare(after, k)
			}
			return strings.Compare(k, after)
		})
		if start < len(keys) && keys[start] == after {
			start++
		}
	}
	end := min(len(keys), start+top(c.q, c.listPage()))
	fields := selection(c.q)
	value := []object{}
	for _, k := range keys[start:end] {
		if kid := it.children[k]; !c.drive.hidden(kid) {
			value = append(value, selected(c.extras(c.drive.json(kid, c.storage), kid), fields))
		}
	}
	if start == 0 && c.s.odd(26) {
		value = append(value, selected(c.drive.notebook(it, c.storage), fields))
	}
	out := object{"@odata.context": c.contextURL(), "@odata.count": len(keys), "value": value}
	if end < len(keys) {
		q := url.Values{}
		for k, v := range c.q {
			q[k] = v
		}
		q.Del("skiptoken")
		q.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(keys[end-1])))
		out["@odata.nextLink"] = c.link(q)
	}
	return jsonReply(http.StatusOK, out), nil
}

// behaviour reads the conflict behaviour from a body or the query.
func (c *call) behaviour(in object, otherwise string) (string, error) {
	const key = "@microsoft.graph.conflictBehavior"
	v := c.q.Get(key)
	if b, ok := in[key].(string); ok {
		v = b
	}
	switch v = strings.ToLower(v); v {
	case "":
		return otherwise, nil
	case "fail", "replace", "rename":
		return v, nil
	}
	return "", errInvalid("The conflict behavior is none of fail, replace, rename.")
}

// mkdir makes a folder below an item.
func (c *call) mkdir(parent *item, in object) (*reply, error) {
	name, _ := in["name"].(string)
	if _, ok := in["folder"].(map[string]any); !ok {
		return nil, errInvalid("Only folders can be made by POST; put content for files.")
	}
	behaviour, err := c.behaviour(in, "fail")
	if err != nil {
		return nil, err
	}
	if err := c.drive.refuseWrites(parent); err != nil {
		return nil, err
	}
	it, made, err := c.drive.mkdir(parent, name, behaviour, c.s.now())
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
		if t, err := readTimes(in); err == nil {
			t.set(c.drive, it, c.s.now())
		}
	}
	return jsonReply(status, c.drive.json(it, c.storage)), nil
}

// readTimes reads fileSystemInfo.
func readTimes(in object) (times, error) {
	var t times
	info, ok := in["fileSystemInfo"].(map[string]any)
	if !ok {
		return t, nil
	}
	for key, dst := range map[string]*time.Time{"createdDateTime": &t.created, "lastModifiedDateTime": &t.modified} {
		v, ok := info[key].(string)
		if !ok {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return t, errInvalid("A time in fileSystemInfo is malformed.")
		}
		*dst = at
	}
	return t, nil
}

// update renames, moves or dates an item.
func (c *call) update(it *item, in object) (*reply, error) {
	d, now := c.drive, c.s.now()
	if err := c.match(it); err != nil {
		return nil, err
	}
	behaviour, err := c.behaviour(in, "fail")
	if err != nil {
		return nil, err
	}
	t, err := readTimes(in)
	if err != nil {
		return nil, err
	}
	parent, name := it.parent, it.name
	if ref, ok := in["parentReference"].(map[string]any); ok {
		if parent, err = c.target(ref); err != nil {
			return nil, err
		}
	}
	if n, ok := in["name"].(string); ok {
		name = n
	}
	if err := errors.Join(d.refuseWrites(it), d.refuseWrites(parent)); err != nil {
		return nil, err
	}
	if parent != it.parent || name != it.name {
		if err := d.move(it, parent, name, behaviour, now); err != nil {
			return nil, err
		}
		t.set(d, it, now)
	} else if t != (times{}) {
		if err := d.locked(it); err != nil {
			return nil, err
		}
		if d.kind != Personal && !it.folder {
			d.keep(it) // a new version, with the same bytes
		}
		t.set(d, it, now)
		d.bump(it, false, now)
	}
	return c.object(d.json(it, c.storage)), nil
}

// target finds the folder a parentReference means.
func (c *call) target(ref map[string]any) (*item, error) {
	if id, ok := ref["driveId"].(string); ok && id != "" && c.s.driveByID(id) != c.drive {
		return nil, &apiError{status: http.StatusBadRequest, code: "notSupported", msg: "Moving between drives is not supported."}
	}
	var it *item
	if id, ok := ref["id"].(string); ok && id != "" {
		it = c.drive.items[id]
	} else if p, ok := ref["path"].(string); ok {
		if _, after, ok := strings.Cut(p, ":"); ok {
			p = after
		}
		if plain, err := url.PathUnescape(p); err == nil {
			p = plain
		}
		it = c.drive.root.find(p)
	}
	if it == nil {
		return nil, errNotFound()
	}
	return it, nil
}

// delete moves an item to the recycle bin.
func (c *call) delete(it *item) (*reply, error) {
	d := c.drive
	if it == d.root {
		return nil, errInvalid("The root cannot be deleted.")
	}
	if err := c.match(it); err != nil {
		return nil, err
	}
	if err := d.locked(it); err != nil {
		return nil, err
	}
	if err := d.refuseWrites(it); err != nil {
		return nil, err
	}
	if len(it.children) > 0 && (c.s.quirks.HoldFolders || c.s.odd(31)) {
		return nil, &apiError{status: http.StatusForbidden, code: "accessDenied",
			msg: "Request was cancelled by event received. If attempting to delete a non-empty folder, it's possible that it's on hold"}
	}
	if c.rt.suffix == "permanentDelete" && d.kind == Personal {
		return nil, &apiError{status: http.StatusBadRequest, code: "notSupported", msg: "Personal drives do not delete for ever."}
	}
	d.remove(it, c.s.now())
	if c.rt.suffix == "permanentDelete" {
		d.purge(it)
	}
	return newReply(http.StatusNoContent), nil
}

// purge empties the recycle bin of one item.
func (d *Drive) purge(it *item) {
	delete(d.bin, it.id)
	d.binned -= it.size
	d.used -= it.size
}

// put takes the bytes of a file in one piece.
func (c *call) put() *reply {
	s := c.s
	if c.r.ContentLength > 250<<20 {
		return c.fail(&apiError{status: http.StatusRequestEntityTooLarge, code: "invalidRequest", inner: "maxFileSizeExceeded",
			msg: "The body is too large; use an upload session."})
	}
	b, err := s.newBody(c.r.Body)
	if err != nil {
		return c.fail(errInvalid("The body broke off."))
	}
	s.mu.Lock()
	s.counts.BytesUp += b.size
	s.acting, s.actingName = c.actor(), c.actorName()
	o, status, err := c.store(b)
	s.mu.Unlock()
	if err != nil {
		b.drop()
		return c.fail(err)
	}
	return jsonReply(status, o)
}

// store places a body where the route says. The caller holds the lock.
func (c *call) store(b *body) (object, int, error) {
	d, now := c.drive, c.s.now()
	switch {
	case c.rt.base == "me" && c.who.user == nil:
		return nil, 0, &apiError{status: http.StatusBadRequest, code: "BadRequest", msg: "/me request is only valid with delegated authentication flow."}
	case d == nil:
		return nil, 0, errNotFound()
	}
	behaviour, err := c.behaviour(nil, "replace")
	if err != nil {
		return nil, 0, err
	}
	if c.rt.path != "" {
		if err := c.makeParents(now); err != nil {
			return nil, 0, err
		}
	}
	parent, name, err := c.place()
	if err == nil {
		err = d.refuseWrites(parent)
	}
	if err != nil {
		return nil, 0, err
	}
	if was := parent.child(name); was != nil {
		if c.unchanged(was) {
			return nil, 0, errPrecondition()
		}
		if err := c.match(was); err != nil {
			return nil, 0, err
		}
	} else if c.r.Header.Get("If-Match") != "" {
		return nil, 0, errPrecondition()
	}
	it, made, err := d.write(parent, name, behaviour, b, times{}, now)
	if err != nil {
		return nil, 0, err
	}
	c.s.rewriteLater(d, it)
	if made {
		return d.json(it, c.storage), http.StatusCreated, nil
	}
	return d.json(it, c.storage), http.StatusOK, nil
}

// makeParents makes the folders that the path form of PUT names and that do not exist.
func (c *call) makeParents(now time.Time) error {
	it := c.base()
	if it == nil {
		return errNotFound()
	}
	parts := strings.Split(c.rt.path, "/")
	for _, name := range parts[:len(parts)-1] {
		next, _, err := c.drive.mkdir(it, name, "replace", now)
		if err != nil {
			return err
		}
		it = next
	}
	return nil
}

// search answers with the items whose names contain a text.
func (c *call) search() (*reply, error) {
	want := fold(c.rt.arg)
	value := []object{}
	c.drive.root.each(func(it *item) {
		if it != c.drive.root && strings.Contains(fold(it.name), want) && len(value) < 200 {
			value = append(value, selected(c.drive.json(it, c.storage), selection(c.q)))
		}
	})
	return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": value}), nil
}

// versions answers with the versions of a file, with the bytes of one, or makes one current again.
func (c *call) versions(it *item) (*reply, error) {
	d := c.drive
	if it.body == nil {
		return nil, errInvalid("The item is not a file.")
	}
	parts := strings.Split(c.rt.suffix, "/")
	if len(parts) == 1 {
		value := []object{d.versionJSON(it, version{it.label, it.body, it.modified})}
		for _, v := range slices.Backward(it.old) {
			value = append(value, d.versionJSON(it, v))
		}
		return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": value}), nil
	}
	label, _, _ := strings.Cut(parts[1], ".")
	i := slices.IndexFunc(it.old, func(v version) bool { return strconv.Itoa(v.label) == label })
	current := label == strconv.Itoa(it.label) || parts[1] == "current"
	if i < 0 && !current {
		return nil, errNotFound()
	}
	switch {
	case len(parts) == 2 && c.r.Method == http.MethodDelete && current:
		return nil, errInvalid("The current version cannot be deleted.")
	case len(parts) == 2 && c.r.Method == http.MethodDelete:
		it.old = slices.Delete(it.old, i, i+1)
		return newReply(http.StatusNoContent), nil
	case len(parts) == 2 && current:
		return c.object(d.versionJSON(it, version{it.label, it.body, it.modified})), nil
	case len(parts) == 2:
		return c.object(d.versionJSON(it, it.old[i])), nil
	case parts[2] == "content":
		n := -1
		if !current {
			n = it.old[i].label
		}
		out := newReply(http.StatusFound)
		out.header.Set("Location", c.s.downloadURL(c.storage, d, it, n))
		return out, nil
	case parts[2] == "restoreVersion" && c.r.Method == http.MethodPost && !current:
		if err := d.replace(it, it.old[i].body, times{}, c.s.now()); err != nil {
			return nil, err
		}
		return newReply(http.StatusNoContent), nil
	}
	return nil, errInvalid("Versions can be read, restored and deleted.")
}

func (d *Drive) versionJSON(it *item, v version) object {
	return object{"id": versionLabel(v.label), "size": v.body.size, "lastModifiedDateTime": d.stamp(v.modified),
		"lastModifiedBy": d.person()}
}

func versionLabel(n int) string { return strconv.Itoa(n) + ".0" }

func (d *Drive) versionID(it *item) string { return versionLabel(it.label) }
