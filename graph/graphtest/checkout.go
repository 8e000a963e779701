package graphtest

import (
	"net/http"
	"time"
)

// Rules are what a library asks of its files (graph-facts §14).
type Rules struct {
	// RequireCheckout leaves a new file checked out to who made it, and invisible to others, until
	// it is checked in. A replaced file must be checked out first.
	RequireCheckout bool `json:"require_checkout,omitempty"`
	// RequireColumns does the same to new files, since a column must be filled in.
	RequireColumns bool `json:"require_columns,omitempty"`
	// RefuseAll fails the library's validation formula: every new or replaced file answers 500.
	RefuseAll bool `json:"refuse_all,omitempty"`
}

// SetRules sets the rules of a library.
func (d *Drive) SetRules(r Rules) { d.s.mu.Lock(); defer d.s.mu.Unlock(); d.rules = r }

// checkout says who has a file checked out. A draft has never been checked in.
type checkout struct {
	by, name string
	draft    bool
}

// colleague is who acts through the methods of Drive.
const colleague = "colleague"

// Checkout checks a file out to a colleague: writes of everybody else answer 423. CheckIn ends it.
func (d *Drive) Checkout(path string) error {
	return d.act("check out", path, func(now time.Time) error {
		it, err := d.at(path)
		if err == nil {
			d.checkouts[it.id] = checkout{by: colleague, name: "A Colleague"}
			d.bump(it, false, now)
		}
		return err
	})
}

// CheckIn checks a file in, whoever has it.
func (d *Drive) CheckIn(path string) error {
	return d.act("check in", path, func(now time.Time) error {
		it, err := d.at(path)
		if err == nil {
			delete(d.checkouts, it.id)
			d.bump(it, false, now)
		}
		return err
	})
}

// actor names who a request acts for.
func (c *call) actor() string {
	if c.who.user != nil {
		return c.who.user.ID
	}
	return "app " + c.who.client
}

func (c *call) actorName() string {
	if c.who.user != nil {
		return c.who.user.Name
	}
	return "SharePoint App"
}

// hidden reports whether an item is a draft of somebody else.
func (d *Drive) hidden(it *item) bool {
	if len(d.checkouts) == 0 || d.s.acting == colleague {
		return false
	}
	o, ok := d.checkouts[it.id]
	return ok && o.draft && o.by != d.s.acting
}

// heldByOther refuses a write to a file that somebody else has checked out.
func (d *Drive) heldByOther(it *item) error {
	if o, ok := d.checkouts[it.id]; ok && o.by != d.s.acting && d.s.acting != colleague {
		return lockedAs(2)
	}
	return nil
}

// obey applies the rules of the library to a file that was made or replaced.
func (d *Drive) obey(it *item, made bool) error {
	if d.s.acting == colleague || d.kind != DocumentLibrary {
		return nil
	}
	if d.rules.RefuseAll {
		return &apiError{status: http.StatusInternalServerError, code: "generalException", msg: "General exception while processing"}
	}
	if !made && d.rules.RequireCheckout {
		if o := d.checkouts[it.id]; o.by != d.s.acting {
			return &apiError{status: http.StatusLocked, code: "notAllowed", inner: "resourceLocked", msg: "The file is not checked out. You must first check out this document before making changes."}
		}
	}
	if made && (d.rules.RequireCheckout || d.rules.RequireColumns) {
		d.checkouts[it.id] = checkout{by: d.s.acting, name: d.s.actingName, draft: true}
	}
	return nil
}

// check works at the check-out of a file: checkout, checkin, discardCheckout.
func (c *call) check(it *item, in object) (*reply, error) {
	d, now := c.drive, c.s.now()
	if c.r.Method != http.MethodPost || it.body == nil || d.kind == Personal {
		return nil, &apiError{status: http.StatusBadRequest, code: "notSupported", msg: "Only files of business drives and libraries are checked out."}
	}
	if err := d.locked(it); err != nil {
		return nil, err
	}
	o, out := d.checkouts[it.id]
	switch c.rt.suffix {
	case "checkout":
		d.checkouts[it.id] = checkout{by: c.actor(), name: c.actorName(), draft: o.draft}
	case "checkin":
		if as, _ := in["checkInAs"].(string); as != "" && as != "published" && as != "unspecified" {
			return nil, errInvalid("checkInAs is published or nothing.")
		}
		if !out {
			return nil, errInvalid("The file is not checked out.")
		}
		delete(d.checkouts, it.id)
	default:
		if !out || o.draft {
			return nil, errInvalid("There is no check-out to discard.")
		}
		delete(d.checkouts, it.id)
	}
	d.bump(it, false, now)
	return newReply(http.StatusNoContent), nil
}

// publication is the facet that tells of it; only $select gives it.
func (d *Drive) publication(it *item) object {
	o, out := d.checkouts[it.id]
	if !out {
		return object{"level": "published", "versionId": d.versionID(it)}
	}
	return object{"level": "checkout", "versionId": d.versionID(it), "checkedOutBy": object{"user": object{"displayName": o.name}}}
}
