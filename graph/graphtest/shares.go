package graphtest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// sharedURL decodes the token of /shares: u! and a base64 of the address (graph-facts §2).
func sharedURL(token string) (string, bool) {
	raw, ok := strings.CutPrefix(token, "u!")
	if !ok {
		return "", false
	}
	plain, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(raw, "="))
	return string(plain), err == nil
}

// resolveShare turns a route through /shares into one through the drive of what is shared. The
// caller holds the lock.
func (c *call) resolveShare() {
	at, ok := sharedURL(c.rt.id)
	if !ok {
		return
	}
	d, it := c.s.byURL(at)
	if it == nil {
		return
	}
	head, rest, _ := strings.Cut(c.rt.sub, "/")
	switch {
	case head == "driveItem" || head == "root":
	case head == "items":
		_, rest, _ = strings.Cut(rest, "/")
	default:
		c.shared = it // the share itself is meant
		c.drive = d
		return
	}
	c.drive = d
	c.rt = route{base: "shares", id: c.rt.id, inItem: true, start: it.id, suffix: rest, arg: c.rt.arg}
	c.op.Kind = c.rt.op(c.r.Method)
}

// byURL finds an item by its web address, or by a sharing link to it.
func (s *Server) byURL(at string) (*Drive, *item) {
	u, err := url.Parse(at)
	if err != nil || !strings.EqualFold(u.Host, SharePointHost) {
		return nil, nil
	}
	for _, d := range s.order {
		if p, ok := strings.CutPrefix(strings.Trim(u.Path, "/")+"/", d.webPath+"/"); ok {
			return d, d.root.find(p)
		}
		for id, grants := range d.grants {
			for _, p := range grants {
				if p.Link != "" && p.webURL() == at && d.items[id] != nil {
					return d, d.items[id]
				}
			}
		}
	}
	return nil, nil
}

// share of /shares/{token} itself.
func (c *call) sharedAnswer() (*reply, error) {
	if c.shared == nil {
		return nil, &apiError{status: http.StatusNotFound, code: "itemNotFound", msg: "The sharing link no longer exists, or you do not have permission to access it."}
	}
	return jsonReply(http.StatusOK, object{"id": c.rt.id, "name": c.shared.name, "owner": c.drive.person(), "webUrl": c.drive.webURL(c.shared)}), nil
}
