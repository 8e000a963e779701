package graphtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// serve answers a request at one of the three hosts.
func (s *Server) serve(h hostKind, r *http.Request) *reply {
	if h != hostStorage && strings.HasPrefix(r.URL.Path, "/_emulator/") {
		return s.admin(r)
	}
	s.mu.Lock()
	off, latency, rate := s.offline, s.latency, s.bandwidth
	s.settle()
	s.mu.Unlock()
	if off || pause(r.Context(), latency) != nil {
		return resetReply()
	}
	if rate <= 0 {
		return s.dispatch(h, r)
	}
	if r.Body != nil {
		r.Body = slow{r.Body, r.Context(), rate}
	}
	out := s.dispatch(h, r)
	if !out.reset && out.upgrade == nil {
		body, n := out.reader(), out.length()
		out.stream, out.size = slow{body, r.Context(), rate}, n
	}
	return out
}

// dispatch finds who answers.
func (s *Server) dispatch(h hostKind, r *http.Request) *reply {
	switch version, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); {
	case h == hostStorage:
		return s.storage(r)
	case version == "v1.0" || version == "beta":
		return s.graph(r, 0)
	}
	return s.login(r)
}

// requestID makes the id of an answer.
func (s *Server) requestID() string {
	s.mu.Lock()
	s.serial++
	n := s.serial
	s.mu.Unlock()
	return s.guidOf(fmt.Sprintf("request %d", n))
}

// call is one request to Graph while it is being worked on.
type call struct {
	s   *Server
	r   *http.Request
	q   url.Values
	rt  route
	who principal
	op  Op

	number  int    // of the request, or of the batch that it came in
	storage string // root of the storage host for links in the answer
	drive   *Drive
	shared  *item // that a sharing link stands for, when the link itself is meant
	in      object
	user    *User
	site    *site
}

// graph answers a request to Graph. batch is the number of the batch that it came in, or 0.
func (s *Server) graph(r *http.Request, batch int) *reply {
	_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	c := &call{s: s, r: r, rt: parseRoute(rest)}
	q, err := url.ParseQuery(r.URL.RawQuery)
	c.q = q
	c.op = Op{Kind: c.rt.op(r.Method), Method: r.Method, Host: "graph", Path: r.URL.Path, Batch: batch > 0}

	s.mu.Lock()
	c.storage = s.storageFor(r)
	who, denied := s.entra.bearer(r, s.now())
	c.who = who
	s.acting, s.actingName = c.actor(), c.actorName()
	c.resolve()
	s.counts.add(c.op)
	c.number = s.check.request(c.op, r, s.now(), batch)
	if denied == nil {
		denied = c.permitted()
	}
	fault := s.strike(c.op)
	if fault == nil {
		fault = c.odd()
	}
	long := s.quirks.RefuseLongURLs && len(r.URL.String()) > 2048
	price := 0
	if c.op.Kind != OpBatch {
		price = units(c.op, c.q.Get("token") != "" || c.rt.arg != "")
	}
	s.counts.Units += price
	at := s.now()
	limits, wait := s.meter(price)
	if wait > 0 {
		s.check.throttled(c.op, true, s.now(), wait)
	}
	s.mu.Unlock()

	out := s.disturbed(r.Context(), r, c.op, fault, func() *reply {
		switch {
		case long:
			return newReply(http.StatusUnauthorized)
		case err != nil:
			return s.errorReply(r, errInvalid("The query is malformed."))
		case denied != nil:
			return s.errorReply(r, denied)
		case wait > 0:
			e := &apiError{status: http.StatusTooManyRequests, code: "activityLimitReached", inner: "throttledRequest",
				msg: "The request has been throttled", header: http.Header{}}
			e.header.Set("Retry-After", limits.Get("RateLimit-Reset"))
			return s.errorReply(r, e)
		}
		return c.work()
	})
	for k, v := range limits {
		out.header[k] = v
	}
	if !out.reset {
		if out.header.Get("request-id") == "" {
			out.header.Set("request-id", s.requestID())
		}
		if id := r.Header.Get("client-request-id"); id != "" {
			out.header.Set("client-request-id", id)
		}
		out.header.Set("Date", s.now().Format(http.TimeFormat))
	}
	s.record(c.op, at, out, price)
	return out
}

// work does what was asked, in one piece under the lock where no bytes are received.
func (c *call) work() *reply {
	switch c.op.Kind {
	case OpBatch:
		return c.batch()
	case OpPut:
		return c.put()
	}
	var in object
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		var err error
		if in, err = readObject(c.r); err != nil {
			return c.fail(err)
		}
	}
	if c.op.Kind == OpSubscription {
		return c.subscriptions(in)
	}
	c.s.mu.Lock()
	c.in, c.s.acting, c.s.actingName = in, c.actor(), c.actorName()
	out, err := c.answer(in)
	c.s.mu.Unlock()
	if err != nil {
		return c.fail(err)
	}
	return out
}

func (c *call) fail(err error) *reply { return c.s.errorReply(c.r, err) }

// readObject reads the JSON body of a request; an empty body is an empty object.
func readObject(r *http.Request) (object, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return nil, errInvalid("The body broke off.")
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return object{}, nil
	}
	var in object
	if err := json.Unmarshal(raw, &in); err != nil || in == nil {
		return nil, &apiError{status: http.StatusBadRequest, code: "BadRequest", msg: "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."}
	}
	return in, nil
}

// resolve looks up whose user, site and drive a route means, and the item for faults and counters.
// The caller holds the lock. What is not found stays nil.
func (c *call) resolve() {
	switch c.rt.base {
	case "me":
		c.user = c.who.user
	case "users":
		c.user = c.s.userBy(c.rt.id)
	case "sites":
		c.site = c.s.siteBy(c.rt.id)
	case "groups":
		for _, st := range c.s.sites {
			if st.group == c.rt.id {
				c.site = st
			}
		}
	case "drives":
		c.drive = c.s.driveByID(c.rt.id)
	case "shares":
		c.resolveShare()
	}
	if c.rt.list != "" && c.site != nil {
		c.drive = c.site.list(c.rt.list)
	} else if strings.HasPrefix(c.rt.sub, "drive") && c.rt.base != "shares" && c.rt.base != "drives" {
		switch {
		case c.user != nil:
			c.drive = c.user.d
		case c.site != nil && len(c.site.drives) > 0:
			c.drive = c.site.drives[0]
		}
	}
	if c.drive == nil {
		return
	}
	c.op.Drive = c.drive.id
	if it, err := c.item(); err == nil {
		c.op.Item, c.op.Place = it.id, it.path()
	} else if base := c.base(); base != nil {
		c.op.Place = strings.TrimSuffix(base.path(), "/") + "/" + c.rt.path
	}
}

// base returns the item that the path of the route starts from, or nil.
func (c *call) base() *item {
	if c.rt.start == "" {
		return c.drive.root
	}
	return c.drive.items[c.rt.start]
}

// item returns the item a route means.
func (c *call) item() (*item, error) {
	it := c.base()
	if it != nil {
		it = it.find(c.rt.path)
	}
	if it == nil || c.drive.hidden(it) {
		return nil, errNotFound()
	}
	return it, nil
}

// place returns the folder and the leaf name that a path-form route means. A route by id alone
// means the place of that item.
func (c *call) place() (parent *item, name string, err error) {
	it := c.base()
	if it == nil {
		return nil, "", errNotFound()
	}
	if c.rt.path == "" {
		if it.parent == nil {
			return nil, "", errInvalid("The root is no file.")
		}
		return it.parent, it.name, nil
	}
	dir, leaf := "", c.rt.path
	if i := strings.LastIndexByte(leaf, '/'); i >= 0 {
		dir, leaf = leaf[:i], leaf[i+1:]
	}
	if it = it.find(dir); it == nil || !it.folder {
		return nil, "", errNotFound()
	}
	return it, leaf, nil
}

// answer does everything but receive bytes. The caller holds the lock.
func (c *call) answer(in object) (*reply, error) {
	if c.rt.base == "me" && c.who.user == nil {
		return nil, &apiError{status: http.StatusBadRequest, code: "BadRequest",
			msg: "/me request is only valid with delegated authentication flow."}
	}
	switch c.op.Kind {
	case OpUser:
		if c.rt.base == "groups" && c.site != nil {
			return jsonReply(http.StatusOK, object{"id": c.site.group, "displayName": c.site.title}), nil
		}
		if c.user == nil {
			return nil, &apiError{status: http.StatusNotFound, code: "Request_ResourceNotFound",
				msg: "Resource '" + c.rt.id + "' does not exist or one of its queried reference-property objects are not present."}
		}
		return c.object(c.user.json()), nil
	case OpSite:
		if c.rt.sub == "followedSites" {
			return c.followed()
		}
		return c.siteAnswer(in)
	case OpShared:
		return c.sharedAnswer()
	case OpDrives:
		return c.drivesAnswer()
	}
	if c.drive == nil {
		if c.rt.base == "" {
			return nil, &apiError{status: http.StatusBadRequest, code: "BadRequest",
				msg: "Resource not found for the segment '" + c.rt.sub + "'."}
		}
		return nil, errNotFound()
	}
	switch {
	case c.op.Kind == OpDrive:
		return c.object(c.drive.driveJSON()), nil
	case c.op.Kind == OpSearch:
		return c.search()
	case c.op.Kind == OpSocket:
		return c.socketAddress(), nil
	case !c.rt.inItem:
		return c.driveExtra()
	}
	if c.op.Kind == OpCreateSession {
		return c.createSession(in)
	}
	if c.rt.suffix == "restore" {
		return c.unbin(in)
	}
	it, err := c.item()
	if err != nil {
		return nil, err
	}
	switch c.op.Kind {
	case OpCheck:
		return c.check(it, in)
	case OpListItem:
		return c.listItemAnswer(it, in)
	case OpItem:
		return c.get(it)
	case OpChildren:
		return c.children(it)
	case OpDelta:
		return c.delta(it)
	case OpContent:
		return c.redirect(it)
	case OpMkdir:
		return c.mkdir(it, in)
	case OpUpdate:
		return c.update(it, in)
	case OpDelete:
		return c.delete(it)
	case OpCopy:
		return c.copy(it, in)
	case OpVersions, OpRestore:
		return c.versions(it)
	case OpPermissions:
		return c.permissions(it)
	case OpShare:
		if strings.HasPrefix(c.rt.suffix, "permissions") {
			return c.permissions(it)
		}
		return c.share(it, in)
	}
	return nil, &apiError{status: http.StatusMethodNotAllowed, code: "BadRequest", msg: "The method is not supported here."}
}

// object answers with one object, cut down to $select.
func (c *call) object(o object) *reply {
	fields := selection(c.q)
	if o["eTag"] != nil {
		// Selecting fields without the address leaves it out, as any annotation.
		o = selected(o, fields)
		o["@odata.etag"] = o["eTag"]
		if o["eTag"] == nil {
			delete(o, "@odata.etag")
		}
	} else {
		o = selected(o, fields)
	}
	o["@odata.context"] = c.contextURL()
	return jsonReply(http.StatusOK, o)
}

func (c *call) contextURL() string {
	return "https://" + c.r.Host + "/v1.0/$metadata#" + strings.TrimPrefix(c.r.URL.Path, "/v1.0/")
}

// link builds an address that leads back here: the path of this request with another query.
func (c *call) link(q url.Values) string {
	u := url.URL{Scheme: "https", Host: c.r.Host, Path: c.r.URL.Path, RawPath: c.r.URL.RawPath}
	return u.String() + "?" + encodeQuery(q)
}

// encodeQuery keeps the dollar sign of OData options readable.
func encodeQuery(q url.Values) string { return strings.ReplaceAll(q.Encode(), "%24", "$") }

// match checks If-Match against an item.
func (c *call) match(it *item) error {
	tag := c.r.Header.Get("If-Match")
	if tag == "" || tag == "*" {
		return nil
	}
	if c.drive.kind != Personal && (len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"') {
		return &apiError{status: http.StatusBadRequest, code: "invalidRequest", inner: "malformedEntityTag", msg: "The entity tag is malformed."}
	}
	if !c.names(tag, it) {
		return errPrecondition()
	}
	return nil
}

// names reports whether a tag is the current eTag or cTag of an item.
func (c *call) names(tag string, it *item) bool {
	bare := strings.Trim(tag, `"`)
	return bare == strings.Trim(c.drive.eTag(it), `"`) || !it.folder && bare == strings.Trim(c.drive.cTag(it), `"`)
}

// unchanged reports whether the client already has what it asks for.
func (c *call) unchanged(it *item) bool {
	tag := c.r.Header.Get("If-None-Match")
	return tag != "" && (tag == "*" || c.names(tag, it))
}
