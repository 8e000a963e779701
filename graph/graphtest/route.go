package graphtest

import (
	"net/http"
	"strings"
)

// What a request does, for counters and faults.
const (
	OpUser          = "user"          // GET me, users/{id}, groups/{id}
	OpDrives        = "drives"        // lists of drives
	OpDrive         = "drive"         // GET one drive
	OpSite          = "site"          // GET or search sites
	OpItem          = "item"          // GET one item
	OpChildren      = "children"      // GET a folder's children
	OpDelta         = "delta"         // GET a page of the change feed
	OpSearch        = "search"        // search in a drive
	OpVersions      = "versions"      // versions of an item
	OpPermissions   = "permissions"   // permissions of an item
	OpContent       = "content"       // GET …/content, answered with a redirect
	OpPut           = "put"           // PUT …/content
	OpCreateSession = "createSession" // POST …/createUploadSession
	OpMkdir         = "mkdir"         // POST …/children
	OpUpdate        = "update"        // PATCH an item
	OpDelete        = "delete"        // DELETE an item, also permanently
	OpCopy          = "copy"          // POST …/copy
	OpRestore       = "restore"       // POST …/restore and …/restoreVersion
	OpShare         = "share"         // POST …/createLink and …/invite; PATCH and DELETE of a permission
	OpBatch         = "batch"         // POST $batch, besides its inner requests
	OpDownload      = "download"      // GET of bytes at the storage host
	OpFragment      = "fragment"      // PUT of a fragment at the storage host
	OpStatus        = "sessionStatus" // GET of an upload session
	OpCancel        = "sessionCancel" // DELETE of an upload session
	OpCommit        = "sessionCommit" // POST to an upload session whose commit was deferred
	OpMonitor       = "monitor"       // GET of the monitor of a copy
	OpCheck         = "check"         // POST …/checkout, checkin, discardCheckout
	OpListItem      = "listItem"      // …/listItem and its fields
	OpShared        = "shared"        // GET shares/{token}
	OpSocket        = "socket"        // GET …/subscriptions/socketIo
	OpEvents        = "events"        // a notification connection to /socket.io/
	OpSubscription  = "subscription"  // everything below /subscriptions
	OpToken         = "token"         // POST to the token endpoint
	OpDeviceCode    = "deviceCode"    // POST to the device code endpoint
	OpLogin         = "login"         // everything else at the login host
	OpOther         = "other"         // anything not named above
)

// route is the meaning of a Graph address, before anything is looked up.
type route struct {
	base   string // "me", "users", "groups", "sites", "drives", "batch", or "" for unknown
	id     string // of the user, group, site or drive; for a site also "host:/path"
	sub    string // "", "drive", "drives", "sites/root" …: what of the base is meant
	inItem bool   // an item of the drive is meant
	start  string // item id, "" for the root
	path   string // path from there, without slashes at its ends
	suffix string // "children", "content", "delta", "versions/3.0/content" …
	list   string // id or title of the list of a site whose drive is meant
	arg    string // argument of a function: delta(token='…'), search(q='…')
}

// parseRoute reads the decoded path of a request, without the version segment.
func parseRoute(p string) route {
	p = strings.TrimPrefix(p, "/")
	p, arg := cutFunction(p)
	p = strings.TrimSuffix(p, "/")
	r := route{arg: arg}
	base, rest, _ := strings.Cut(p, "/")
	switch base {
	case "$batch":
		r.base = "batch"
	case "me":
		r.base = "me"
		r.drivePart(rest)
	case "users", "groups":
		r.base = base
		r.id, rest, _ = strings.Cut(rest, "/")
		r.drivePart(rest)
	case "sites":
		r.base = "sites"
		host, after, colon := strings.Cut(rest, ":/")
		if colon && !strings.Contains(host, "/") {
			// host:/path, host:/path:, host:/path:/drives
			sitePath, tail, _ := strings.Cut(after, ":")
			r.id = host + ":/" + strings.Trim(sitePath, "/")
			r.drivePart(strings.TrimPrefix(tail, "/"))
			break
		}
		r.id, rest, _ = strings.Cut(rest, "/")
		r.drivePart(rest)
	case "shares":
		r.base = "shares"
		r.id, r.sub, _ = strings.Cut(rest, "/")
	case "drives":
		r.base = "drives"
		r.id, rest, _ = strings.Cut(rest, "/")
		r.sub = "drive"
		r.itemPart(rest)
	default:
		r.sub = p
	}
	return r
}

// cutFunction takes the argument out of name(key='value').
func cutFunction(p string) (string, string) {
	for _, f := range []string{"delta(token=", "search(q="} {
		i := strings.LastIndex(p, "/"+f)
		if i < 0 || !strings.HasSuffix(p, ")") {
			continue
		}
		arg := p[i+1+len(f) : len(p)-1]
		arg = strings.TrimSuffix(strings.TrimPrefix(arg, "'"), "'")
		name, _, _ := strings.Cut(f, "(")
		return p[:i+1] + name, strings.ReplaceAll(arg, "''", "'")
	}
	return strings.TrimSuffix(p, "()"), ""
}

// drivePart reads what follows a user, a group or a site.
func (r *route) drivePart(rest string) {
	if first, tail, _ := strings.Cut(rest, "/"); first == "drive" {
		r.sub = "drive"
		r.itemPart(tail)
		return
	}
	if after, ok := strings.CutPrefix(rest, "lists/"); ok {
		id, tail, _ := strings.Cut(after, "/")
		if below, ok := strings.CutPrefix(tail, "drive/"); ok {
			r.list, r.sub = id, "drive"
			r.itemPart(below)
			return
		}
	}
	r.sub = rest
}

// itemPart reads what follows a drive.
func (r *route) itemPart(rest string) {
	var tail string
	switch {
	case rest == "":
		return
	case rest == "root" || strings.HasPrefix(rest, "root:") || strings.HasPrefix(rest, "root/"):
		tail = rest[len("root"):]
	case strings.HasPrefix(rest, "items/"):
		id := rest[len("items/"):]
		i := strings.IndexAny(id, ":/")
		if i < 0 {
			i = len(id)
		}
		r.start, tail = id[:i], id[i:]
		if r.start == "root" {
			r.start = ""
		}
	case rest == "search":
		r.inItem, r.suffix = true, "search"
		return
	default:
		r.sub = "drive/" + rest
		return
	}
	r.inItem = true
	if strings.HasPrefix(tail, ":") {
		r.path, tail, _ = strings.Cut(tail[1:], ":")
		r.path = strings.Trim(r.path, "/")
	}
	tail = strings.TrimPrefix(tail, "/")
	// children('name') is one more way to name a child.
	if name, ok := strings.CutPrefix(tail, "children('"); ok {
		if i := strings.Index(name, "')"); i >= 0 {
			r.path = strings.Trim(r.path+"/"+strings.ReplaceAll(name[:i], "''", "'"), "/")
			tail = strings.TrimPrefix(name[i+2:], "/")
		}
	}
	r.suffix = tail
}

// op names what a request to Graph does.
func (r route) op(method string) string {
	read := method == http.MethodGet || method == http.MethodHead
	first, _, _ := strings.Cut(r.suffix, "/")
	switch {
	case r.base == "batch":
		return OpBatch
	case r.inItem:
		switch {
		case r.suffix == "" && read:
			return OpItem
		case r.suffix == "" && method == http.MethodPatch:
			return OpUpdate
		case r.suffix == "" && method == http.MethodDelete, r.suffix == "permanentDelete" && method == http.MethodPost:
			return OpDelete
		case r.suffix == "children" && read:
			return OpChildren
		case r.suffix == "children" && method == http.MethodPost:
			return OpMkdir
		case r.suffix == "content" && read:
			return OpContent
		case r.suffix == "content" && method == http.MethodPut:
			return OpPut
		case first == "createUploadSession" || r.suffix == "microsoft.graph.createUploadSession":
			return OpCreateSession
		case first == "delta" || r.suffix == "microsoft.graph.delta":
			return OpDelta
		case first == "search":
			return OpSearch
		case first == "versions" && method == http.MethodPost, first == "restore":
			return OpRestore
		case first == "versions":
			return OpVersions
		case first == "permissions" && read:
			return OpPermissions
		case first == "permissions", first == "createLink", first == "invite":
			return OpShare
		case first == "checkout", first == "checkin", first == "discardCheckout":
			return OpCheck
		case first == "listItem":
			return OpListItem
		case first == "copy":
			return OpCopy
		case r.suffix == "subscriptions/socketIo" && read:
			return OpSocket
		}
		return OpOther
	case r.sub == "drive/list/subscriptions/socketIo" && read:
		return OpSocket
	case r.base == "" && (r.sub == "subscriptions" || strings.HasPrefix(r.sub, "subscriptions/")):
		return OpSubscription
	case r.sub == "drive" && read:
		return OpDrive
	case r.sub == "drives" && read:
		return OpDrives
	case r.base == "sites", r.sub == "followedSites" && read, r.base == "groups" && r.sub == "sites/root":
		return OpSite
	case r.base == "shares":
		return OpShared
	case r.base != "" && r.sub == "" && read:
		return OpUser
	}
	return OpOther
}
