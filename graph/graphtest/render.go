package graphtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object.
type object = map[string]any

// stamp writes a time as the drive does: whole seconds, or milliseconds on personal drives.
func (d *Drive) stamp(t time.Time) string {
	if d.kind == Personal {
		return t.UTC().Truncate(time.Millisecond).Format("2006-01-02T15:04:05.999Z")
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func (d *Drive) webURL(it *item) string {
	p := "https://" + SharePointHost + "/" + escapePath(d.webPath)
	if it != nil && it != d.root {
		p += escapePath(it.path())
	}
	return p
}

// escapePath percent-encodes each segment of a path.
func escapePath(p string) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		parts[i] = url.PathEscape(s)
	}
	return strings.Join(parts, "/")
}

// person is who made and changed things, shared by all items: nobody may change it.
func (d *Drive) person() object {
	if d.by == nil {
		d.by = object{"user": object{"displayName": "SharePoint App"}}
		if d.owner != nil {
			d.by = object{"user": object{"id": d.owner.ID, "displayName": d.owner.Name, "email": d.owner.UPN}}
		}
	}
	return d.by
}

// parentRef builds the parentReference of an item. The root's has no id; the feed's
// has no path if Options.BareFeed says so.
func (d *Drive) parentRef(it *item, feed bool) object {
	ref := object{"driveType": d.kind, "driveId": d.id}
	if it.parent == nil {
		return ref
	}
	ref["id"] = it.parent.id
	ref["name"] = it.parent.name
	if d.site != nil {
		_, guid, _ := strings.Cut(d.site.id, ",")
		ref["siteId"], _, _ = strings.Cut(guid, ",")
	}
	if !feed || !d.s.opts.BareFeed {
		ref["path"] = "/drives/" + d.id + "/root:" + strings.TrimSuffix(escapePath(it.parent.path()), "/")
	}
	return ref
}

// json builds the item as GET returns it. The caller holds the lock.
func (d *Drive) json(it *item, storage string) object { return d.build(it, storage, false) }

func (d *Drive) build(it *item, storage string, feed bool) object {
	o := object{
		"id": it.id, "name": utf16Name(it.name), "size": it.size, "eTag": d.eTag(it), "webUrl": d.webURL(it),
		"createdDateTime": d.stamp(it.created), "lastModifiedDateTime": d.stamp(it.modified),
		"createdBy": d.person(), "lastModifiedBy": d.person(),
		"fileSystemInfo":  object{"createdDateTime": d.stamp(it.fsCreated), "lastModifiedDateTime": d.stamp(it.fsMod)},
		"parentReference": d.parentRef(it, feed),
	}
	if c := d.cTag(it); c != "" && !(feed && d.kind != Personal) {
		o["cTag"] = c
	}
	switch {
	case it.pkg:
		o["package"] = object{"type": "oneNote"}
	case it.remote != nil:
		o["remoteItem"] = d.s.remoteJSON(it.remote)
	case it.folder:
		o["folder"] = object{"childCount": len(it.children)}
	default:
		o["file"] = object{"mimeType": mimeType(it.name), "hashes": object{"quickXorHash": it.body.hash()}}
		if storage != "" {
			o["@microsoft.graph.downloadUrl"] = d.s.downloadURL(storage, d, it, -1)
		}
	}
	if it == d.root {
		o["root"] = object{}
	}
	if it.malware {
		o["malware"] = object{"description": "Virus found."}
	}
	if g := d.grants[it.id]; len(g) > 0 {
		scope := "users"
		for _, p := range g {
			if p.Link == "anonymous" || p.Link == "organization" && scope == "users" {
				scope = p.Link
			}
		}
		o["shared"] = object{"scope": scope}
	} else if d.sharedAt[it.id] != 0 && feed {
		o["shared"] = object{} // was shared, and is no more
	}
	d.s.quirks.distort(o, d, it, feed)
	return o
}

// remoteJSON builds what a shortcut says of the item it stands for.
func (s *Server) remoteJSON(r *remote) object {
	o := object{"id": r.ID, "parentReference": object{"driveId": r.Drive}}
	d := s.drives[r.Drive]
	if d == nil || d.items[r.ID] == nil {
		return o
	}
	it := d.items[r.ID]
	full := d.build(it, "", false)
	for _, k := range []string{"name", "size", "webUrl", "fileSystemInfo", "file", "folder", "package"} {
		if v, ok := full[k]; ok {
			o[k] = v
		}
	}
	o["parentReference"] = d.parentRef(it, false)
	return o
}

// tombstone builds the entry of a deleted item: on business drives almost nothing but its id.
func (d *Drive) tombstone(it *item) object {
	o := object{"id": it.id, "deleted": object{"state": "deleted"}}
	if d.kind == Personal {
		o["name"], o["eTag"] = it.name, d.eTag(it)
		o["parentReference"] = d.parentRef(it, true)
	} else {
		o["parentReference"] = object{"driveType": d.kind, "driveId": d.id}
		o["size"] = 0
		o["fileSystemInfo"] = object{"createdDateTime": "0001-01-01T00:00:00Z", "lastModifiedDateTime": "0001-01-01T00:00:00Z"}
	}
	if it.folder {
		o["folder"] = object{"childCount": 0}
	} else {
		o["file"] = object{"hashes": object{"quickXorHash": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}
	}
	return o
}

// driveJSON builds the drive. The caller holds the lock.
func (d *Drive) driveJSON() object {
	o := object{"id": d.id, "name": d.title, "driveType": d.kind, "description": "", "webUrl": d.webURL(nil),
		"createdDateTime": d.stamp(d.created), "lastModifiedDateTime": d.stamp(d.root.modified),
		"createdBy": object{"user": object{"displayName": "System Account"}}, "quota": d.quota()}
	if d.owner != nil {
		o["owner"] = d.person()
	} else {
		o["owner"] = object{"group": object{"id": d.site.group, "displayName": d.site.title + " Owners"}}
	}
	return o
}

func (d *Drive) quota() object {
	left := max(0, d.total-d.used)
	state := "normal"
	switch {
	case d.total == 0:
	case left == 0:
		state = "exceeded"
	case left < d.total/100:
		state = "critical"
	case left < d.total/10:
		state = "nearing"
	}
	return object{"total": d.total, "used": d.used, "remaining": left, "deleted": d.binned, "state": state}
}

func (u *User) json() object {
	first, last, _ := strings.Cut(u.Name, " ")
	return object{"id": u.ID, "userPrincipalName": u.UPN, "displayName": u.Name, "mail": u.UPN, "givenName": first, "surname": last,
		"businessPhones": []string{}, "jobTitle": nil, "mobilePhone": nil, "officeLocation": nil, "preferredLanguage": nil}
}

func (st *site) json() object {
	o := object{"id": st.id, "name": path.Base("/" + st.path), "displayName": st.title, "description": "",
		"webUrl": strings.TrimSuffix("https://"+st.host+"/"+escapePath(st.path), "/"), "siteCollection": object{"hostname": st.host},
		"createdDateTime": "2024-01-01T00:00:00Z", "lastModifiedDateTime": "2024-01-01T00:00:00Z"}
	if st.path == "" {
		o["root"], o["name"] = object{}, ""
	}
	return o
}

// selected cuts an object down to what $select names. id stays only if it is named, as in Graph;
// instance annotations are dropped unless they are named.
func selected(o object, fields []string) object {
	if len(fields) == 0 {
		return o
	}
	out := object{}
	for _, f := range fields {
		f = strings.TrimSpace(f)
		if f == "content.downloadUrl" {
			f = "@microsoft.graph.downloadUrl"
		}
		if v, ok := o[f]; ok {
			out[f] = v
		}
	}
	return out
}

// option returns a query option with or without its dollar sign.
func option(q url.Values, name string) string {
	if v := q.Get("$" + name); v != "" {
		return v
	}
	return q.Get(name)
}

// selection reads $select.
func selection(q url.Values) []string {
	v := option(q, "select")
	if v == "" || v == "*" {
		return nil
	}
	return strings.Split(v, ",")
}

// mimeType guesses as the service does.
func mimeType(name string) string {
	const office = "application/vnd.openxmlformats-officedocument."
	switch strings.ToLower(path.Ext(name)) {
	case ".txt":
		return "text/plain"
	case ".md":
		return "text/markdown"
	case ".html":
		return "text/html"
	case ".csv":
		return "text/csv"
	case ".xml":
		return "text/xml"
	case ".pdf":
		return "application/pdf"
	case ".json":
		return "application/json"
	case ".zip":
		return "application/zip"
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".mp4":
		return "video/mp4"
	case ".docx":
		return office + "wordprocessingml.document"
	case ".xlsx":
		return office + "spreadsheetml.sheet"
	case ".pptx":
		return office + "presentationml.presentation"
	}
	return "application/octet-stream"
}

// downloadURL makes a pre-authenticated address for the bytes of a file, or of one of its old
// versions if label is not negative.
func (s *Server) downloadURL(storage string, d *Drive, it *item, label int) string {
	life := s.opts.DownloadLife
	if life <= 0 {
		life = time.Hour
	}
	exp := s.now().Add(life).Unix()
	u := fmt.Sprintf("%s/_layouts/15/download.aspx?UniqueId=%s&drive=%s&exp=%d", storage, url.QueryEscape(it.id), url.QueryEscape(d.id), exp)
	if label >= 0 {
		u += "&version=" + strconv.Itoa(label)
	}
	return u + "&tempauth=SECRET-DOWNLOAD-" + s.sign(d.id, it.id, strconv.FormatInt(exp, 10), strconv.Itoa(label))
}

// sign makes the credential of an address.
func (s *Server) sign(parts ...string) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// etagHeaders puts the tag of an item into a header.
func (d *Drive) etagHeaders(h http.Header, it *item) {
	h.Set("ETag", d.eTag(it))
}
