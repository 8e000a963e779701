package graphtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Change notice over socket.io (graph-facts §15.2). The notification host of the real service is a
// fourth one; here the storage host answers, which is as strict about Authorization.

const (
	socketSpace = "/notifications" // the namespace, which is the path of the address
	socketLife  = time.Hour        // of an address
	pingEvery   = 25 * time.Second
	pongWithin  = 60 * time.Second
)

// listener hears of changes of a drive. wake holds one notice: several in a row are one.
type listener struct {
	d    *Drive
	wake chan struct{}
}

// listen registers a listener. The caller holds the lock.
func (s *Server) listen(d *Drive) *listener {
	l := &listener{d, make(chan struct{}, 1)}
	s.listeners[l] = true
	return l
}

func (s *Server) unlisten(l *listener) { s.mu.Lock(); defer s.mu.Unlock(); delete(s.listeners, l) }

// notify wakes who listens to a drive. The caller holds the lock.
func (d *Drive) notify() {
	for l := range d.s.listeners {
		if l.d != d {
			continue
		}
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// socketAddress answers GET …/subscriptions/socketIo. The caller holds the lock.
func (c *call) socketAddress() *reply {
	s := c.s
	token := "SECRET-SOCKET-" + random(16)
	ends := s.now().Add(s.socketLife())
	s.sockets[token] = socketGrant{c.drive, ends}
	return jsonReply(http.StatusOK, object{"@odata.context": "https://" + c.r.Host + "/v1.0/$metadata#subscription", "id": s.guidOf(token),
		"notificationUrl": c.storage + socketSpace + "?token=" + token + "&applicationId=" + c.who.client, "expirationDateTime": ends.Format(time.RFC3339Nano)})
}

// socketGrant is what a notification address is good for.
type socketGrant struct {
	d    *Drive
	ends time.Time
}

func (s *Server) socketLife() time.Duration {
	if s.opts.SocketLife > 0 {
		return s.opts.SocketLife
	}
	return socketLife
}

// DropSockets breaks every notification connection, as the service does now and then.
func (s *Server) DropSockets() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, drop := range s.dropSocket {
		drop()
	}
}

// Sockets counts the notification connections that are open.
func (s *Server) Sockets() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.dropSocket) }

// socket answers a connection to /socket.io/ at the notification host.
func (s *Server) socket(r *http.Request) *reply {
	q := r.URL.Query()
	if q.Get("EIO") != "4" || q.Get("transport") != "websocket" {
		return jsonReply(http.StatusBadRequest, object{"code": 0, "message": "Transport unknown"})
	}
	s.mu.Lock()
	grant, known := s.sockets[q.Get("token")]
	if known && !s.now().Before(grant.ends) {
		delete(s.sockets, q.Get("token"))
		known = false
	}
	s.mu.Unlock()
	out := newReply(http.StatusSwitchingProtocols)
	out.upgrade = func(w http.ResponseWriter, r *http.Request) { s.talk(w, r, grant, known) }
	return out
}

// talk speaks Engine.IO and socket.io over a websocket until one side has enough.
func (s *Server) talk(w http.ResponseWriter, r *http.Request, grant socketGrant, known bool) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // it has answered the client
	}
	defer conn.CloseNow()
	// Not the request's context, which ends when a connection is taken over.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return
	}
	id := new(int)
	s.dropSocket[id] = func() { cancel() }
	s.talking.Add(1)
	var l *listener
	if known {
		l = s.listen(grant.d)
	}
	s.mu.Unlock()
	defer func() {
		if l != nil {
			s.unlisten(l)
		}
		s.mu.Lock()
		delete(s.dropSocket, id)
		s.mu.Unlock()
		s.talking.Done()
	}()
	p := &phone{s: s, conn: conn, grant: grant, known: known, in: make(chan string)}
	if l != nil {
		p.wake = l.wake
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		p.hear(ctx)
	}()
	_ = p.run(ctx) // whatever ended it, the connection ends
	cancel()
	conn.CloseNow()
	<-heard
}

// phone is one conversation over socket.io.
type phone struct {
	s     *Server
	conn  *websocket.Conn
	grant socketGrant
	known bool
	wake  chan struct{}
	in    chan string
	space string // the namespace the client is in, "" for none, "/" for the root alone
}

// hear passes on what the client says, until the connection ends.
func (p *phone) hear(ctx context.Context) {
	defer close(p.in)
	for {
		kind, raw, err := p.conn.Read(ctx)
		if err != nil {
			return
		}
		if kind != websocket.MessageText {
			continue
		}
		select {
		case p.in <- string(raw):
		case <-ctx.Done():
			return
		}
	}
}

var errHungUp = errors.New("the conversation is over")

// run does all the talking.
func (p *phone) run(ctx context.Context) error {
	every := p.s.opts.SocketPing
	if every <= 0 {
		every = pingEvery
	}
	if err := p.say(ctx, "0"+text(object{"sid": random(10), "upgrades": []string{}, "pingInterval": every.Milliseconds(),
		"pingTimeout": pongWithin.Milliseconds(), "maxPayload": 1_000_000})); err != nil {
		return err
	}
	ping := time.NewTicker(every)
	defer ping.Stop()
	deaf := time.NewTimer(every + pongWithin)
	defer deaf.Stop()
	var over <-chan time.Time
	if p.known {
		end := time.NewTimer(p.grant.ends.Sub(p.s.now()))
		defer end.Stop()
		over = end.C
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deaf.C:
			return errHungUp
		case <-over:
			return p.say(ctx, "41"+socketSpace+",")
		case <-ping.C:
			err = p.say(ctx, "2")
		case <-p.wake:
			err = p.event(ctx)
		case packet, ok := <-p.in:
			if !ok {
				return errHungUp
			}
			deaf.Reset(every + pongWithin)
			err = p.answer(ctx, packet)
		}
		if err != nil {
			return err
		}
	}
}

// answer reacts to one packet of the client.
func (p *phone) answer(ctx context.Context, packet string) error {
	switch {
	case packet == "1":
		return errHungUp
	case packet == "2": // not the client's to send in this version; answered all the same
		return p.say(ctx, "3")
	case strings.HasPrefix(packet, "41"):
		p.space = ""
	case strings.HasPrefix(packet, "40"):
		space, _, _ := strings.Cut(packet[2:], ",")
		space, _, _ = strings.Cut(space, "{")
		switch {
		case space == "" || space == "/":
			if p.space == "" {
				p.space = "/"
			}
			return p.say(ctx, "40"+text(object{"sid": random(10)}))
		case space != socketSpace:
			return p.say(ctx, "44"+space+","+text(object{"message": "Invalid namespace"}))
		case !p.known:
			return p.say(ctx, "44"+socketSpace+","+text(object{"message": "The token has expired or is not valid."}))
		}
		p.space = socketSpace
		return p.say(ctx, "40"+socketSpace+","+text(object{"sid": random(10)}))
	}
	return nil // pongs, and what nobody sends here
}

// event tells that the drive has changed; not how.
func (p *phone) event(ctx context.Context) error {
	if p.space == "" || p.space == "/" {
		return nil
	}
	s := p.s
	s.mu.Lock()
	quirks := s.quirks
	s.counts.Events++
	s.mu.Unlock()
	what := object{"subscriptionId": s.guidOf("socket " + p.grant.d.id), "clientState": nil, "changeType": "updated", "resource": "drives/" + p.grant.d.id + "/root",
		"subscriptionExpirationDateTime": p.grant.ends.Format(time.RFC3339Nano), "tenantId": s.TenantID()}
	var payload any = text(what)
	if quirks.EventObjects {
		payload = what
	}
	space := socketSpace + ","
	if quirks.EventsAtRoot {
		space = ""
	}
	raw, err := json.Marshal([]any{"notification", payload})
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	return p.say(ctx, "42"+space+string(raw))
}

func (p *phone) say(ctx context.Context, packet string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return p.conn.Write(ctx, websocket.MessageText, []byte(packet))
}

func text(o object) string {
	raw, _ := json.Marshal(o) // strings, numbers and lists always marshal
	return string(raw)
}

// upgraded takes a connection over inside RoundTrip: a pipe stands in for the socket. Its other
// end has a goroutine, the only one that Transport starts; it ends with the connection.
func upgraded(req *http.Request, upgrade func(http.ResponseWriter, *http.Request)) (*http.Response, error) {
	near, far := net.Pipe()
	w := &hijacked{header: http.Header{}, conn: far, head: make(chan struct{})}
	go func() {
		upgrade(w, req)
		w.WriteHeader(http.StatusBadRequest) // if it never answered
		far.Close()
	}()
	select {
	case <-w.head:
	case <-req.Context().Done():
		near.Close()
		return nil, req.Context().Err()
	}
	return &http.Response{Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status, Proto: "HTTP/1.1",
		ProtoMajor: 1, ProtoMinor: 1, Header: w.sent, Request: req, Body: near}, nil
}
