package graphtest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// The recycle bin (graph-facts §7): personal drives restore an item by its id, sites have a bin of
// their own.

// unbin restores a deleted item of a personal drive, or the version of a file.
func (c *call) unbin(in object) (*reply, error) {
	d := c.drive
	it := d.bin[c.rt.start]
	switch {
	case d.kind != Personal:
		return nil, &apiError{status: http.StatusBadRequest, code: "notSupported", msg: "Restoring by id is for personal drives."}
	case it == nil:
		return nil, errNotFound()
	}
	parent, name := it.parent, it.name
	if ref, ok := in["parentReference"].(map[string]any); ok {
		var err error
		if parent, err = c.target(ref); err != nil {
			return nil, err
		}
	}
	if n, ok := in["name"].(string); ok && n != "" {
		name = n
	}
	if err := d.checkPlace(parent, name, it.folder); err != nil {
		return nil, err
	}
	was, wasName := it.parent, it.name
	it.parent, it.name = parent, name
	if err := d.restore(it, c.s.now()); err != nil {
		it.parent, it.name = was, wasName
		return nil, err
	}
	return c.object(d.json(it, c.storage)), nil
}

// siteBin answers about the recycle bin of a site.
func (c *call) siteBin(rest string, in object) (*reply, error) {
	switch {
	case rest == "items" && c.r.Method == http.MethodGet:
		value := []object{}
		for _, d := range c.site.drives {
			for _, it := range d.bin {
				value = append(value, object{"id": d.guid(it), "name": it.name, "size": it.size, "deletedDateTime": d.stamp(d.deletedAt(it)),
					"deletedFromLocation": strings.TrimSuffix(d.webPath+it.parent.path(), "/"), "title": it.name})
			}
		}
		slices.SortFunc(value, func(a, b object) int { return strings.Compare(a["id"].(string), b["id"].(string)) })
		return c.collection(value), nil
	case rest == "items/restore" && c.r.Method == http.MethodPost:
		ids, _ := in["ids"].([]any)
		value := []object{}
		for _, id := range ids {
			o := object{"id": id}
			if err := c.unbinSite(id); err != nil {
				o["error"] = object{"code": "itemNotFound", "message": err.Error()}
			}
			value = append(value, o)
		}
		return c.collection(value), nil
	}
	return nil, errNotFound()
}

func (c *call) unbinSite(id any) error {
	for _, d := range c.site.drives {
		for _, it := range d.bin {
			if d.guid(it) == id {
				return d.restore(it, c.s.now())
			}
		}
	}
	return errNotFound()
}

// deletedAt is when an item went into the bin.
func (d *Drive) deletedAt(it *item) time.Time {
	for _, e := range slices.Backward(d.log) {
		if e.it == it {
			return e.at
		}
	}
	return it.modified
}

// PastInBin returns the bytes of all versions but the last of the files in the recycle bin.
func (d *Drive) PastInBin() (past [][]byte, err error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	var walk func(it *item) error
	walk = func(it *item) error {
		for _, v := range it.old {
			data, err := v.body.bytes()
			if err != nil {
				return err
			}
			past = append(past, data)
		}
		for _, c := range it.children {
			if err := walk(c); err != nil {
				return err
			}
		}
		return nil
	}
	for _, it := range d.bin {
		if err := walk(it); err != nil {
			return nil, err
		}
	}
	return past, nil
}
