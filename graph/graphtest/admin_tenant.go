package graphtest

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Manners are those of the Options that can change while the service runs. A life or delay of 0 is the ordinary one.
type Manners struct {
	FeedPage           int      `json:"feed_page"`
	ListPage           int      `json:"list_page"`
	BareFeed           bool     `json:"bare_feed"`
	EmptyFirstPage     bool     `json:"empty_first_page"`
	TombstoneChildren  bool     `json:"tombstone_children"`
	ShuffleFeed        bool     `json:"shuffle_feed"`
	StrictSessionMatch bool     `json:"strict_session_match"`
	SessionLife        Duration `json:"session_life"`
	DownloadLife       Duration `json:"download_life"`
	SocketLife         Duration `json:"socket_life"`
	CopyDelay          Duration `json:"copy_delay"`
	UnitsPerMinute     int      `json:"units_per_minute"`
}

// Manners returns those in force.
func (s *Server) Manners() Manners {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.opts
	return Manners{o.FeedPage, o.ListPage, o.BareFeed, o.EmptyFirstPage, o.TombstoneChildren, o.ShuffleFeed, o.StrictSessionMatch,
		Duration(o.SessionLife), Duration(o.DownloadLife), Duration(o.SocketLife), Duration(o.CopyDelay), o.UnitsPerMinute}
}

// SetManners changes them, for what is asked from now on.
func (s *Server) SetManners(m Manners) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.opts
	o.FeedPage, o.ListPage, o.BareFeed, o.EmptyFirstPage, o.TombstoneChildren = m.FeedPage, m.ListPage, m.BareFeed, m.EmptyFirstPage, m.TombstoneChildren
	o.ShuffleFeed, o.StrictSessionMatch, o.UnitsPerMinute = m.ShuffleFeed, m.StrictSessionMatch, m.UnitsPerMinute
	o.SessionLife, o.DownloadLife = time.Duration(m.SessionLife), time.Duration(m.DownloadLife)
	o.SocketLife, o.CopyDelay = time.Duration(m.SocketLife), time.Duration(m.CopyDelay)
}

// adminTenant adds people, sites and applications, and changes manners. It reports false for what it does not know.
func (s *Server) adminTenant(r *http.Request, what string) (answer any, known bool, err error) {
	q := r.URL.Query()
	switch r.Method + " " + what {
	case "GET manners":
		return s.Manners(), true, nil
	case "POST manners":
		m := s.Manners() // what is not named stays
		raw, err := readAll(r)
		if err == nil {
			err = json.Unmarshal(raw, &m)
		}
		if err == nil {
			s.SetManners(m)
		}
		return m, true, err
	case "POST user":
		kind := word(q.Get("type"), Business)
		if q.Get("upn") == "" || kind != Business && kind != Personal {
			return nil, true, errors.New("a user has a upn, and a type that is business or personal")
		}
		if s.Drive(q.Get("upn")) != nil {
			return nil, true, errors.New("there is such a user")
		}
		u := s.AddUser(q.Get("upn"), word(q.Get("name"), q.Get("upn")), kind)
		return object{"id": u.ID, "upn": u.UPN, "drive": u.d.id}, true, nil
	case "POST site":
		if len(q["library"]) == 0 {
			return nil, true, errors.New("a site has at least one library")
		}
		list := []object{}
		for _, d := range s.AddSite(q.Get("path"), word(q.Get("title"), q.Get("path")), q["library"]...) {
			list = append(list, d.brief())
		}
		return list, true, nil
	case "POST app":
		if q.Get("client") == "" {
			return nil, true, errors.New("an application has a client id")
		}
		s.AddApp(q.Get("client"), q.Get("secret"))
		return nil, true, nil
	case "POST permissions":
		s.SetPermissions(word(q.Get("client"), DefaultClientID), q["permission"]...)
		return nil, true, nil
	case "POST certificate":
		cert, err := x509.ParseCertificate(pemOf(r))
		if err == nil {
			s.AddCertificate(word(q.Get("client"), DefaultClientID), cert)
		}
		return nil, true, err
	case "POST federation":
		key, err := x509.ParsePKIXPublicKey(pemOf(r))
		public, ok := key.(*rsa.PublicKey)
		if err == nil && !ok {
			err = errors.New("the key is no RSA key")
		}
		if err == nil {
			s.AddFederation(word(q.Get("client"), DefaultClientID), Federation{Issuer: q.Get("issuer"), Subject: q.Get("subject"), Key: public})
		}
		return nil, true, err
	case "POST managed-identity":
		s.AddManagedIdentity(q.Get("client"))
		return nil, true, nil
	case "POST decline":
		if !s.DeclineDevice(q.Get("code")) {
			return nil, true, errNotFound()
		}
		return nil, true, nil
	case "GET claims":
		return s.Claims(), true, nil
	}
	return nil, false, nil
}

// brief says which drive it is.
func (d *Drive) brief() object {
	return object{"id": d.id, "type": d.kind, "title": d.title, "web_path": d.webPath}
}

// pemOf reads one PEM block from the body of a request.
func pemOf(r *http.Request) []byte {
	raw, err := readAll(r)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil
	}
	return block.Bytes
}

// adminBytes answers with the bytes of a file, or of an old version of it.
func (s *Server) adminBytes(r *http.Request) *reply {
	q := r.URL.Query()
	d := s.Drive(q.Get("drive"))
	if d == nil {
		return jsonReply(http.StatusNotFound, object{"error": "no such drive"})
	}
	if v := q.Get("version"); v != "" {
		n, err := strconv.Atoi(v)
		var data []byte
		if err == nil {
			data, err = d.ReadVersion(q.Get("path"), n)
		}
		if err != nil {
			return jsonReply(http.StatusNotFound, object{"error": err.Error()})
		}
		out := newReply(http.StatusOK)
		out.header.Set("Content-Type", "application/octet-stream")
		out.body = data
		return out
	}
	body, err := d.Open(q.Get("path"))
	if err != nil {
		return jsonReply(http.StatusNotFound, object{"error": err.Error()})
	}
	info, err := d.Stat(q.Get("path"))
	if err != nil {
		_ = body.Close() // nothing was read
		return jsonReply(http.StatusNotFound, object{"error": err.Error()})
	}
	out := newReply(http.StatusOK)
	out.header.Set("Content-Type", "application/octet-stream")
	out.stream, out.size = body, info.Size
	return out
}
