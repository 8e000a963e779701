package graphtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"
)

// The state folder holds one JSON document, bodies, and the CA. Changes since the last clean stop
// are lost with a crash; the emulator stands in for a service, not for a disk.
type savedState struct {
	Seed    uint64 // ids follow from it, so it outlives Options.Seed
	Key     []byte
	Users   []savedUser
	Sites   []savedSite
	Drives  []savedDrive
	Refresh map[string]savedGrant
	Consent map[string][]string
}

type savedUser struct{ ID, UPN, Name string }

type savedSite struct {
	ID, Host, Path, Title, Group string
}

type savedGrant struct {
	Client, User, Scope string
	Ends                time.Time
}

type savedDrive struct {
	ID, Kind, Title, WebPath string
	User, Site               int // index, -1 for none
	Created                  time.Time
	Next                     uint64
	Seq                      int64
	Epoch                    int
	Resync                   string
	Total, Used, Binned      int64
	Grants                   map[string][]permission
	Root                     savedItem
	Bin                      []savedItem // with the id of the folder each was in
	Log                      []savedChange
}

type savedChange struct {
	Seq int64
	At  time.Time
	ID  string
}

type savedBody struct {
	Size int64
	Mem  []byte `json:",omitempty"`
	File string `json:",omitempty"`
	Seed uint64 `json:",omitempty"`
	Gen  bool   `json:",omitempty"`
	Xor  string `json:",omitempty"`
}

type savedVersion struct {
	Label    int
	Body     savedBody
	Modified time.Time
}

type savedItem struct {
	N                 uint64
	Name              string
	Raw               []byte      `json:",omitempty"` // of a name that is no UTF-8, which JSON does not keep
	In                string      `json:",omitempty"` // id of the folder it was deleted from
	Folder            bool        `json:",omitempty"`
	Pkg               bool        `json:",omitempty"`
	Malware           bool        `json:",omitempty"`
	Remote            *remote     `json:",omitempty"`
	Kids              []savedItem `json:",omitempty"`
	Body              *savedBody  `json:",omitempty"`
	Meta, Content     int
	Created, Modified time.Time
	FSCreated, FSMod  time.Time
	Seq               int64
	Label             int
	Old               []savedVersion `json:",omitempty"`
}

func (s *Server) stateFile() string { return filepath.Join(s.opts.Dir, "state.json") }

func saveBody(b *body) savedBody {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := savedBody{Size: b.size, Mem: b.mem, Seed: b.seed, Gen: b.gen, Xor: b.xor}
	if b.file != "" {
		out.File = filepath.Base(b.file)
	}
	return out
}

func (s *Server) loadBody(b savedBody) *body {
	out := &body{size: b.Size, mem: b.Mem, seed: b.Seed, gen: b.Gen, xor: b.Xor}
	if b.File != "" {
		out.file = filepath.Join(s.bodyDir(), b.File)
	}
	return out
}

func saveItem(it *item) savedItem {
	out := savedItem{N: it.n, Name: it.name, Folder: it.folder, Pkg: it.pkg, Malware: it.malware, Remote: it.remote, Meta: it.meta, Content: it.content, Created: it.created,
		Modified: it.modified, FSCreated: it.fsCreated, FSMod: it.fsMod, Seq: it.seq, Label: it.label}
	if !utf8.ValidString(it.name) {
		out.Raw = []byte(it.name)
	}
	if it.body != nil {
		b := saveBody(it.body)
		out.Body = &b
	}
	for _, v := range it.old {
		out.Old = append(out.Old, savedVersion{v.label, saveBody(v.body), v.modified})
	}
	if it.folder {
		for _, k := range it.keys() {
			out.Kids = append(out.Kids, saveItem(it.children[k]))
		}
	}
	return out
}

func (d *Drive) loadItem(in savedItem, deleted bool, all map[string]*item) *item {
	it := &item{n: in.N, name: in.Name, folder: in.Folder, pkg: in.Pkg, malware: in.Malware, remote: in.Remote, meta: in.Meta, content: in.Content, created: in.Created,
		modified: in.Modified, fsCreated: in.FSCreated, fsMod: in.FSMod, seq: in.Seq, label: in.Label, deleted: deleted}
	if in.Raw != nil {
		it.name = string(in.Raw)
	}
	it.id = d.itemID(it.n)
	all[it.id] = it
	if !deleted {
		d.items[it.id] = it
	}
	if in.Body != nil {
		it.body = d.s.loadBody(*in.Body)
		it.size = it.body.size
	}
	for _, v := range in.Old {
		it.old = append(it.old, version{v.Label, d.s.loadBody(v.Body), v.Modified})
	}
	if it.folder {
		it.children = make(map[string]*item, len(in.Kids))
		for _, kid := range in.Kids {
			k := d.loadItem(kid, deleted, all)
			it.take(k)
			it.size += k.size
		}
	}
	return it
}

// save writes the state folder. Upload sessions end here.
func (s *Server) save() error {
	if s.opts.Dir == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	for key, u := range s.sessions {
		u.draft.discard()
		delete(s.sessions, key)
	}
	st := savedState{Seed: s.opts.Seed, Key: s.key, Refresh: map[string]savedGrant{}, Consent: s.entra.consent}
	for _, u := range s.users {
		st.Users = append(st.Users, savedUser{u.ID, u.UPN, u.Name})
	}
	for _, v := range s.sites {
		st.Sites = append(st.Sites, savedSite{v.id, v.host, v.path, v.title, v.group})
	}
	for t, p := range s.entra.refresh {
		st.Refresh[t] = savedGrant{p.client, p.user.ID, p.scope, p.ends}
	}
	for _, d := range s.order {
		st.Drives = append(st.Drives, s.saveDrive(d))
	}
	tmp := s.stateFile() + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if err := errors.Join(json.NewEncoder(w).Encode(st), w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	if err := os.Rename(tmp, s.stateFile()); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	return s.sweep()
}

// sweep removes bodies that no item has any more. The caller holds the lock.
func (s *Server) sweep() error {
	used := map[string]bool{}
	note := func(it *item) {
		if it.body != nil {
			used[it.body.file] = true
		}
		for _, v := range it.old {
			used[v.body.file] = true
		}
	}
	for _, d := range s.order {
		d.root.each(note)
		for _, it := range d.bin {
			it.each(note)
		}
	}
	files, err := os.ReadDir(s.bodyDir())
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	for _, f := range files {
		if name := filepath.Join(s.bodyDir(), f.Name()); !used[name] {
			if err := os.Remove(name); err != nil {
				return fmt.Errorf("sweep: %w", err)
			}
		}
	}
	return nil
}

func (s *Server) saveDrive(d *Drive) savedDrive {
	out := savedDrive{ID: d.id, Kind: d.kind, Title: d.title, WebPath: d.webPath, User: -1, Site: -1, Created: d.created, Next: d.next,
		Seq: d.seq, Epoch: d.epoch, Resync: d.resync, Total: d.total, Used: d.used, Binned: d.binned, Grants: d.grants, Root: saveItem(d.root)}
	for i, u := range s.users {
		if u == d.owner {
			out.User = i
		}
	}
	for i, v := range s.sites {
		if v == d.site {
			out.Site = i
		}
	}
	for _, it := range d.bin {
		b := saveItem(it)
		b.In = it.parent.id
		out.Bin = append(out.Bin, b)
	}
	for _, c := range d.log {
		if c.it.seq == c.seq {
			out.Log = append(out.Log, savedChange{c.seq, c.at, c.it.id})
		}
	}
	return out
}

// load reads the state folder. It reports whether there was one to read.
func (s *Server) load() (bool, error) {
	if s.opts.Dir == "" {
		return false, nil
	}
	f, err := os.Open(s.stateFile())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("load: %w", err)
	}
	defer f.Close()
	var st savedState
	if err := json.NewDecoder(bufio.NewReaderSize(f, 1<<20)).Decode(&st); err != nil {
		return false, fmt.Errorf("load %s: %w", s.stateFile(), err)
	}
	s.key, s.opts.Seed = st.Key, st.Seed
	for _, u := range st.Users {
		s.users = append(s.users, &User{ID: u.ID, UPN: u.UPN, Name: u.Name})
	}
	for _, v := range st.Sites {
		s.sites = append(s.sites, &site{id: v.ID, host: v.Host, path: v.Path, title: v.Title, group: v.Group})
	}
	for key, all := range st.Consent {
		s.entra.consent[key] = all
	}
	for t, g := range st.Refresh {
		if u := s.userBy(g.User); u != nil {
			s.entra.refresh[t] = principal{client: g.Client, user: u, scope: g.Scope, ends: g.Ends}
		}
	}
	for _, in := range st.Drives {
		s.loadDrive(in)
	}
	return true, nil
}

func (s *Server) loadDrive(in savedDrive) {
	d := &Drive{s: s, id: in.ID, kind: in.Kind, title: in.Title, webPath: in.WebPath, created: in.Created, next: in.Next, seq: in.Seq,
		epoch: in.Epoch, resync: in.Resync, total: in.Total, used: in.Used, binned: in.Binned, grants: in.Grants,
		items: map[string]*item{}, bin: map[string]*item{}, locks: map[string]int{}, readOnly: map[string]bool{}, checkouts: map[string]checkout{}, fields: map[string]object{}, sharedAt: map[string]int64{}}
	if d.grants == nil {
		d.grants = map[string][]permission{}
	}
	all := map[string]*item{}
	d.root = d.loadItem(in.Root, false, all)
	for _, b := range in.Bin {
		it := d.loadItem(b, true, all)
		d.bin[it.id] = it
	}
	for _, b := range in.Bin {
		it := d.bin[d.itemID(b.N)]
		if it.parent = all[b.In]; it.parent == nil {
			it.parent = d.root
		}
	}
	for _, c := range in.Log {
		if it := all[c.ID]; it != nil {
			d.log = append(d.log, change{c.Seq, c.At, it})
		}
	}
	if in.User >= 0 {
		d.owner = s.users[in.User]
		d.owner.d = d
	}
	if in.Site >= 0 {
		d.site = s.sites[in.Site]
		d.site.drives = append(d.site.drives, d)
	}
	s.drives[d.id] = d
	s.order = append(s.order, d)
}
