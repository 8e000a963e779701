package graphtest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// admin answers under /_emulator/, at the Graph and the login host alike. Nothing here is counted,
// judged or disturbed.
func (s *Server) admin(r *http.Request) *reply {
	what := strings.TrimPrefix(r.URL.Path, "/_emulator/")
	if r.Method == http.MethodGet && what == "file" {
		return s.adminBytes(r)
	}
	out, err := s.adminAnswer(r, what)
	if err != nil {
		status := http.StatusBadRequest
		var e *apiError
		if errors.As(err, &e) {
			status = e.status
		}
		return jsonReply(status, object{"error": err.Error()})
	}
	if out == nil {
		out = object{"ok": true}
	}
	return jsonReply(http.StatusOK, out)
}

var errAdmin = errors.New("no such admin endpoint, or another method is needed")

func (s *Server) adminAnswer(r *http.Request, what string) (any, error) {
	q := r.URL.Query()
	if r.Method == http.MethodGet {
		switch what {
		case "counts":
			return s.Counts(), nil
		case "violations":
			v := s.Violations()
			if v == nil {
				v = []string{}
			}
			return object{"violations": v, "open_sessions": s.OpenSessions()}, nil
		case "catalogue":
			return Catalogue(), nil
		case "quirk":
			return s.Switched(), nil
		case "log":
			n, err := strconv.Atoi(word(q.Get("after"), "0"))
			return s.Log(n), err
		case "env":
			return s.Env(), nil
		case "drives":
			list := []object{}
			for _, d := range s.Drives() {
				list = append(list, d.brief())
			}
			return list, nil
		}
	}
	switch r.Method + " " + what {
	case "POST reset":
		s.ResetCounts()
		s.ClearViolations()
		return nil, nil
	case "POST fault":
		var f []Fault
		if err := readOneOrMore(r, &f); err != nil {
			return nil, err
		}
		s.Inject(f...)
		return nil, nil
	case "POST quirks":
		var k Quirks
		raw, err := readAll(r)
		if err == nil {
			err = json.Unmarshal(raw, &k)
		}
		if err == nil {
			s.SetQuirks(k)
		}
		return nil, err
	case "POST quirk":
		var many []Quirk
		if err := readOneOrMore(r, &many); err != nil {
			return nil, err
		}
		return nil, s.Switch(many...)
	case "DELETE quirk":
		s.SwitchOff(q["name"]...)
		return nil, nil
	case "DELETE fault":
		return object{"left": s.ClearFaults()}, nil
	case "POST offline":
		on, err := strconv.ParseBool(word(q.Get("on"), "true"))
		s.SetOffline(on && err == nil)
		return nil, err
	case "POST token-life":
		return nil, setDuration(q.Get("for"), s.SetTokenLife)
	case "POST feed-lag":
		return nil, setDuration(q.Get("for"), s.SetFeedLag)
	case "POST office-rewrite":
		return nil, setDuration(q.Get("for"), s.SetOfficeRewrite)
	case "POST latency":
		return nil, setDuration(q.Get("for"), s.SetLatency)
	case "POST bandwidth":
		n, err := strconv.ParseInt(q.Get("bytes"), 10, 64)
		s.SetBandwidth(n)
		return nil, err
	case "POST shuffle-feed":
		on, err := strconv.ParseBool(word(q.Get("on"), "true"))
		s.SetShuffleFeed(on)
		return nil, err
	case "POST challenge":
		raw, err := readAll(r)
		if err == nil {
			s.Challenge(string(raw))
		}
		return nil, err
	case "POST drop-sockets":
		s.DropSockets()
		return nil, nil
	case "POST follow":
		if !s.Follow(q.Get("user"), q.Get("site")) {
			return nil, errNotFound()
		}
		return nil, nil
	case "POST revoke":
		if q.Get("refresh") == "false" {
			s.RevokeAccess()
		} else {
			s.RevokeSignIns()
		}
		return nil, nil
	case "POST approve":
		if q.Get("auto") != "" {
			on, err := strconv.ParseBool(q.Get("auto"))
			s.AutoApprove(on)
			return nil, err
		}
		if !s.ApproveDevice(q.Get("code"), q.Get("user")) {
			return nil, errNotFound()
		}
		return nil, nil
	}
	if answer, known, err := s.adminTenant(r, what); known {
		return answer, err
	}
	return s.adminDrive(r, what)
}

// adminDrive works in one drive, as a colleague.
func (s *Server) adminDrive(r *http.Request, what string) (any, error) {
	q := r.URL.Query()
	d := s.Drive(q.Get("drive"))
	if d == nil {
		return nil, &apiError{status: http.StatusNotFound, code: "itemNotFound", msg: "no such drive"}
	}
	path := q.Get("path")
	switch r.Method + " " + what {
	case "GET tree":
		all, err := d.Walk()
		if all == nil {
			all = []Info{}
		}
		return all, err
	case "GET stat":
		return either(d.Stat(path))
	case "PUT file":
		return either(d.PutReader(path, r.Body))
	case "POST seeded":
		size, err := strconv.ParseInt(q.Get("size"), 10, 64)
		seed, serr := strconv.ParseUint(word(q.Get("seed"), "1"), 10, 64)
		if err != nil || serr != nil || size < 0 {
			return nil, errors.New("size and seed are numbers")
		}
		return either(d.PutSeeded(path, size, seed))
	case "POST shortcut":
		to := s.Drive(q.Get("target"))
		if to == nil {
			return nil, &apiError{status: http.StatusNotFound, code: "itemNotFound", msg: "no such target"}
		}
		return either(d.MakeShortcut(path, to, q.Get("to")))
	case "DELETE file":
		return nil, d.Delete(path)
	case "POST mkdir":
		return either(d.Mkdir(path))
	case "POST move":
		return either(d.Move(q.Get("from"), q.Get("to")))
	case "POST restore":
		return nil, d.Restore(q.Get("id"))
	case "POST touch":
		at, err := time.Parse(time.RFC3339, q.Get("mtime"))
		if err != nil {
			return nil, err
		}
		return nil, d.Touch(path, at)
	case "POST lock":
		form, err := strconv.Atoi(word(q.Get("form"), "0"))
		if err != nil {
			return nil, err
		}
		return nil, d.Lock(path, form)
	case "POST protect":
		on, err := strconv.ParseBool(word(q.Get("on"), "true"))
		if err != nil {
			return nil, err
		}
		return nil, d.Protect(path, on)
	case "POST share":
		return nil, d.Share(path, q.Get("user"), word(q.Get("role"), "read"))
	case "POST grant":
		var g Grant
		raw, err := readAll(r)
		if err == nil {
			err = json.Unmarshal(raw, &g)
		}
		if err != nil {
			return nil, err
		}
		return nil, d.Grant(path, g)
	case "POST revoke-grants":
		return nil, d.Revoke(path)
	case "POST checkout":
		return nil, d.Checkout(path)
	case "POST checkin":
		return nil, d.CheckIn(path)
	case "POST rules":
		var rules Rules
		raw, err := readAll(r)
		if err == nil {
			err = json.Unmarshal(raw, &rules)
		}
		d.SetRules(rules)
		return nil, err
	case "POST infect":
		return nil, d.Infect(path)
	case "POST package":
		return either(d.MakePackage(path))
	case "POST quota":
		n, err := strconv.ParseInt(q.Get("total"), 10, 64)
		if err == nil {
			d.SetQuota(n)
		}
		return nil, err
	case "POST forget-feed":
		d.ForgetFeed(q.Get("code"))
		return nil, nil
	case "POST sample":
		return nil, d.Sample()
	case "POST generate":
		n, err := strconv.Atoi(q.Get("n"))
		if err != nil {
			return nil, err
		}
		return nil, d.Generate(n, s.opts.Seed)
	}
	return nil, &apiError{status: http.StatusNotFound, code: "notFound", msg: errAdmin.Error()}
}

// readOneOrMore reads a list from JSON, or one thing as a list.
func readOneOrMore[E any](r *http.Request, into *[]E) error {
	raw, err := readAll(r)
	if err != nil {
		return err
	}
	if json.Unmarshal(raw, into) == nil {
		return nil
	}
	var one E
	if err := json.Unmarshal(raw, &one); err != nil {
		return err
	}
	*into = []E{one}
	return nil
}

func either(i Info, err error) (any, error) { return i, err }

func word(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func setDuration(s string, set func(time.Duration)) error {
	d, err := time.ParseDuration(s)
	if err == nil {
		set(d)
	}
	return err
}
