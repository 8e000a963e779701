package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/coder/websocket"

	"github.com/duskfs/duskfs/graph"
)

// Notices come over socket.io, as a person's browser gets them, so nothing listens on this machine
// (graph-facts §15.2). It is spoken here as far as notices need it: Engine.IO packets over a websocket, whose first digit says
// what they are, and socket.io messages inside those of type 4.

const (
	renewEarly   = 2 * time.Minute  // before an address ends
	addressGuess = time.Hour        // life of an address that does not say
	joinTime     = 30 * time.Second // for all of the greetings
	firstSilence = time.Minute      // until the host has said how often it pings
	maxNotice    = 1 << 20          // bytes
	steady       = time.Minute      // a connection that lasted so long was a good one
)

var _ graph.Notifier = (*Drive)(nil)

// Notices calls changed whenever the drive may have changed.
func (d *Drive) Notices(ctx context.Context, changed func()) error {
	pauses := &backoff.ExponentialBackOff{InitialInterval: time.Second, Multiplier: 2, RandomizationFactor: 0.3, MaxInterval: time.Minute}
	for {
		began := time.Now()
		a, err := d.noticeAddress(ctx)
		if err == nil {
			err = a.listen(ctx, d.c, changed)
			d.c.opts.Logger.DebugContext(ctx, "notices", "drive", d.id, "lasted", time.Since(began).Round(time.Second), "error", redact(err.Error()))
		} else if final(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) >= steady {
			pauses.Reset()
			if errors.Is(err, errRenew) {
				continue
			}
		}
		if err := sleep(ctx, pauses.NextBackOff()); err != nil {
			return err
		}
	}
}

// final reports whether asking for an address again is in vain.
func final(err error) bool {
	switch graph.KindOf(err) {
	case graph.NoNotices, graph.SignIn, graph.Denied, graph.NotExist:
		return true
	}
	return false
}

// noticeAddress is where notices come from until a moment. The address is a credential.
type noticeAddress struct {
	url   string // of the websocket
	space string // the namespace to join, "" for none
	until time.Time
}

// noticeAddress asks for an address.
func (d *Drive) noticeAddress(ctx context.Context) (noticeAddress, error) {
	var w struct {
		URL   string `json:"notificationUrl"`
		Until string `json:"expirationDateTime"`
	}
	k := call{op: "notices", item: string(d.id), url: d.c.address(d.path() + "/root/subscriptions/socketIo")}
	err := d.c.get(ctx, k, &w)
	var e *graph.Error
	if errors.As(err, &e) {
		switch e.Status {
		case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
			e.Kind = graph.NoNotices
		}
	}
	if err != nil {
		return noticeAddress{}, err
	}
	return parseNotice(w.URL, parseTime(w.Until), time.Now())
}

// parseNotice makes the address to connect to: the path of what the service gave is the namespace, its query goes to the
// handshake.
func parseNotice(text string, until, now time.Time) (noticeAddress, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return noticeAddress{}, &graph.Error{Op: "notices", Kind: graph.Failed, Message: "the service gave an address for notices that is none"}
	}
	a := noticeAddress{space: strings.TrimSuffix(u.Path, "/"), until: now.Add(addressGuess)}
	if !until.IsZero() {
		a.until = until.Add(-min(renewEarly, until.Sub(now)/2))
	}
	query := "EIO=4&transport=websocket"
	if u.RawQuery != "" {
		query += "&" + u.RawQuery
	}
	a.url = (&url.URL{Scheme: "https", Host: u.Host, Path: "/socket.io/", RawQuery: query}).String()
	return a, nil
}

var (
	errRenew  = errors.New("the address runs out")
	errSilent = errors.New("the host is silent")
	errClosed = errors.New("the host has hung up")
)

// listen talks to the notification host until the address runs out or the connection breaks. It always fails.
func (a noticeAddress) listen(ctx context.Context, c *Client, changed func()) error {
	joined := time.Now().Add(joinTime)
	greeting, cancel := context.WithDeadline(ctx, joined)
	defer cancel()
	conn, _, err := websocket.Dial(greeting, a.url, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: c.opts.StorageTransport}, // adds no token: the address is the credential
		HTTPHeader: http.Header{"User-Agent": {c.userAgent}},
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }() // whatever is left of it
	conn.SetReadLimit(maxNotice)
	t := talk{space: a.space, silence: firstSilence}
	for {
		deadline := time.Now().Add(t.silence)
		if !t.joined && joined.Before(deadline) {
			deadline = joined
		}
		end := errSilent
		if a.until.Before(deadline) {
			deadline, end = a.until, errRenew
		}
		packet, err := hear(ctx, conn, deadline)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !time.Now().Before(deadline):
			return end
		case err != nil:
			return err
		}
		answers, notice, err := t.heard(packet)
		if err != nil {
			return err
		}
		for _, packet := range answers {
			if err := conn.Write(ctx, websocket.MessageText, []byte(packet)); err != nil {
				return err
			}
		}
		if notice {
			changed()
		}
	}
}

// hear waits for one text packet.
func hear(ctx context.Context, conn *websocket.Conn, deadline time.Time) (string, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for {
		kind, packet, err := conn.Read(ctx)
		if err != nil || kind == websocket.MessageText {
			return string(packet), err
		}
	}
}

// talk is the state of a conversation. It decides, and neither hears nor speaks.
type talk struct {
	space   string
	joined  bool
	silence time.Duration // after which the host is taken for dead
}

// heard judges a packet: what to answer, and whether something may have changed.
func (t *talk) heard(packet string) (answers []string, notice bool, err error) {
	kind, rest := cut1(packet)
	switch kind {
	case '0': // open
		var w struct {
			Interval float64 `json:"pingInterval"` // ms
			Timeout  float64 `json:"pingTimeout"`
		}
		if json.Unmarshal([]byte(rest), &w) == nil && w.Interval > 0 && w.Timeout >= 0 && w.Interval+w.Timeout < 24*3600*1000 {
			t.silence = time.Duration((w.Interval + w.Timeout) * float64(time.Millisecond))
		}
		answers = append(answers, "40")
		if t.space != "" {
			answers = append(answers, "40"+t.space+",")
		}
		return answers, false, nil
	case '1': // close
		return nil, false, errClosed
	case '2': // ping
		return []string{"3" + rest}, false, nil
	case '4': // message
	default:
		return nil, false, nil
	}
	kind, rest = cut1(rest)
	space := namespace(rest)
	switch kind {
	case '0': // joined
		if space == t.space && !t.joined {
			t.joined = true
			return nil, true, nil // something may have changed before
		}
	case '1': // disconnected
		if space == t.space || space == "" {
			return nil, false, errClosed
		}
	case '2': // event
		return nil, true, nil
	case '4': // refused
		if space == t.space {
			return nil, false, errClosed
		}
	}
	return nil, false, nil
}

func cut1(s string) (byte, string) {
	if s == "" {
		return 0, ""
	}
	return s[0], s[1:]
}

// namespace reads the namespace in front of a message's payload; "" is the root.
func namespace(s string) string {
	if !strings.HasPrefix(s, "/") {
		return ""
	}
	if i := strings.IndexAny(s, ",{["); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSuffix(s, "/")
}
