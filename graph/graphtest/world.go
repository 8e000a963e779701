package graphtest

import (
	"strings"
)

// User is a person of the tenant.
type User struct {
	ID   string // GUID
	UPN  string
	Name string // display name
	d    *Drive

	follows []string // ids of sites
}

// Drive returns the person's OneDrive.
func (u *User) Drive() *Drive { return u.d }

// site is a SharePoint site with its libraries, the default one first.
type site struct {
	id     string // host,guid,guid
	host   string
	path   string // server-relative, without the leading slash; "" for the root site
	title  string
	drives []*Drive
	group  string // id of the Microsoft 365 group that owns it
}

// guidOf makes a stable GUID in lower case for something of the tenant.
func (s *Server) guidOf(what string) string {
	var raw [16]byte
	h := mix(s.opts.Seed, crc(what))
	for i := range raw {
		raw[i] = byte(mix(h, uint64(i)))
	}
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	return strings.ToLower(formatGUID(raw))
}

// AddUser adds a person with an empty OneDrive of a kind, Business or Personal.
func (s *Server) AddUser(upn, name, kind string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addUser(upn, name, kind)
}

func (s *Server) addUser(upn, name, kind string) *User {
	u := &User{ID: s.guidOf("user " + upn), UPN: upn, Name: name}
	d := s.newDrive(kind, "OneDrive", crc("drive "+upn))
	d.owner, u.d = u, d
	d.webPath = "personal/" + strings.NewReplacer("@", "_", ".", "_").Replace(upn) + "/Documents"
	s.users = append(s.users, u)
	s.drives[d.id] = d
	s.order = append(s.order, d)
	return u
}

// AddSite adds a site at a server-relative path such as "sites/Engineering" (or "" for the root
// site) with empty libraries of these titles, the default one first, and returns them.
func (s *Server) AddSite(path, title string, libraries ...string) []*Drive {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addSite(path, title, libraries...)
}

func (s *Server) addSite(path, title string, libraries ...string) []*Drive {
	path = strings.Trim(path, "/")
	st := &site{host: SharePointHost, path: path, title: title, group: s.guidOf("group " + path)}
	st.id = st.host + "," + s.guidOf("collection "+path) + "," + s.guidOf("web "+path)
	for i, lib := range libraries {
		d := s.newDrive(DocumentLibrary, lib, crc("drive "+path+"#"+lib))
		d.site = st
		folder := lib
		if i == 0 && lib == "Documents" {
			folder = "Shared Documents"
		}
		d.webPath = strings.TrimPrefix(path+"/"+folder, "/")
		st.drives = append(st.drives, d)
		s.drives[d.id] = d
		s.order = append(s.order, d)
	}
	s.sites = append(s.sites, st)
	return st.drives
}

// Me returns the first person, whose id Env gives as USER_ID; nil if there is nobody.
func (s *Server) Me() *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first()
}

func (s *Server) first() *User {
	if len(s.users) == 0 {
		return nil
	}
	return s.users[0]
}

// Drives returns all drives in the order they were added: first the OneDrive of Me.
func (s *Server) Drives() []*Drive {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Drive(nil), s.order...)
}

// Drive returns a drive by its id, by the sign-in name of its owner, by "site-path#Library", or by
// title; "" and "me" are the OneDrive of Me. It returns nil if there is none.
func (s *Server) Drive(name string) *Drive {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "" || name == "me" {
		if u := s.first(); u != nil {
			return u.d
		}
		return nil
	}
	if d := s.driveByID(name); d != nil {
		return d
	}
	for _, d := range s.order {
		switch {
		case d.owner != nil && (d.owner.UPN == name || d.owner.ID == name),
			d.site != nil && (d.site.path+"#"+d.title == strings.Trim(name, "/") || d.title == name):
			return d
		}
	}
	return nil
}

// driveByID finds a drive; personal ids are accepted in either case and without leading zeros.
func (s *Server) driveByID(id string) *Drive {
	if d := s.drives[id]; d != nil {
		return d
	}
	if len(id) > 16 || id == "" {
		return nil
	}
	return s.drives[strings.Repeat("0", 16-len(id))+strings.ToUpper(id)]
}

func (s *Server) userBy(id string) *User {
	for _, u := range s.users {
		if strings.EqualFold(u.ID, id) || strings.EqualFold(u.UPN, id) {
			return u
		}
	}
	return nil
}

// siteBy finds a site by id, by host, by "host:/path", or by the word root.
func (s *Server) siteBy(id string) *site {
	for _, st := range s.sites {
		host, path, byPath := strings.Cut(id, ":/")
		_, collection, _ := strings.Cut(st.id, ",")
		collection, _, _ = strings.Cut(collection, ",")
		switch {
		case id == st.id, strings.EqualFold(id, collection),
			byPath && strings.EqualFold(host, st.host) && strings.EqualFold(path, st.path),
			st.path == "" && (id == "root" || strings.EqualFold(id, st.host)):
			return st
		}
	}
	return nil
}
