package graphtest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// phone is the client's end of a notification connection.
type phone struct {
	t    *testing.T
	conn *websocket.Conn
}

// call opens a notification connection as socket.io clients do: the path of the address is the
// namespace, its query goes to the handshake.
func (c *client) call(address string) *phone {
	c.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		c.t.Fatal(err)
	}
	u.Scheme, u.Path, u.RawQuery = "https", "/socket.io/", "EIO=4&transport=websocket&"+u.RawQuery
	conn, _, err := websocket.Dial(c.t.Context(), u.String(), &websocket.DialOptions{HTTPClient: c.hc, HTTPHeader: http.Header{"User-Agent": {agent}}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.CloseNow() })
	return &phone{c.t, conn}
}

func (p *phone) say(packet string) {
	p.t.Helper()
	if err := p.conn.Write(p.t.Context(), websocket.MessageText, []byte(packet)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) hear() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Hour)
	defer cancel()
	_, raw, err := p.conn.Read(ctx)
	if err != nil {
		p.t.Fatalf("hear: %v", err)
	}
	return string(raw)
}

// hears insists on the beginning of a packet.
func (p *phone) hears(want string) string {
	p.t.Helper()
	got := p.hear()
	if !strings.HasPrefix(got, want) {
		p.t.Fatalf("heard %q, want %q…", got, want)
	}
	return strings.TrimPrefix(got, want)
}

func TestChangesAreCalledOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{})
		for _, at := range []string{"/me/drive/root", "/drives/" + c.s.Drive("").ID() + "/root", "/drives/" + c.s.Drive("").ID() + "/list"} {
			c.want(200, "GET", at+"/subscriptions/socketIo", nil)
		}
		a := c.want(200, "GET", "/me/drive/root/subscriptions/socketIo", nil)
		if ends, err := time.Parse(time.RFC3339Nano, a.at("expirationDateTime")); err != nil || time.Until(ends) != time.Hour {
			t.Errorf("it ends %s, %v", ends, err)
		}
		p := c.call(a.at("notificationUrl"))
		var open map[string]any
		if err := json.Unmarshal([]byte(p.hears("0")), &open); err != nil || open["pingInterval"] != 25000.0 || open["pingTimeout"] != 60000.0 {
			t.Errorf("opened with %v, %v", open, err)
		}
		p.say("40")
		p.hears(`40{"sid":`)
		p.say("40/notifications") // without the comma that libraries add
		p.hears(`40/notifications,{"sid":`)
		c.put("/f.txt", "x")
		var event []any
		if err := json.Unmarshal([]byte(p.hears("42/notifications,")), &event); err != nil || len(event) != 2 || event[0] != "notification" {
			t.Fatalf("event %v, %v", event, err)
		}
		if text, ok := event[1].(string); !ok || !strings.Contains(text, `"changeType":"updated"`) || strings.Contains(text, "f.txt") {
			t.Errorf("payload %v", event[1])
		}
		p.hears("2")
		p.say("3")
		c.s.SetQuirks(graphtest.Quirks{EventObjects: true, EventsAtRoot: true})
		c.put("/f.txt", "y")
		p.hears(`42["notification",{`)
		equal(t, "events counted", c.s.Counts().Events, 2)
		p.say("40/elsewhere,")
		p.hears(`44/elsewhere,`)
		equal(t, "open", c.s.Sockets(), 1)
		c.s.DropSockets()
		if _, _, err := p.conn.Read(t.Context()); err == nil {
			t.Error("a dropped connection still talks")
		}
		synctest.Wait()
		equal(t, "open", c.s.Sockets(), 0)

		if _, err := c.s.Drive("bob@contoso.example").Put("/b", nil); err != nil { // nobody's business here
			t.Fatal(err)
		}
		p = c.call(a.at("notificationUrl"))
		p.hears("0")
		p.say("40/notifications,")
		p.hears("40/notifications,")
		for got := p.hear(); got != "41/notifications,"; got = p.hear() { // the address ends; until then it is pinged
			if got != "2" {
				t.Fatalf("heard %q", got)
			}
			p.say("3")
		}
		p = c.call(a.at("notificationUrl"))
		p.hears("0")
		p.say("40/notifications,")
		p.hears("44/notifications,")
		equal(t, "polling", c.do("GET", c.s.StorageURL()+"/socket.io/?EIO=4&transport=polling", nil).status, 400)
		c.noViolations()
	})
}

func TestASilentClientIsHungUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{})
		p := c.call(c.want(200, "GET", "/me/drive/root/subscriptions/socketIo", nil).at("notificationUrl"))
		p.hears("0")
		begun := time.Now()
		for {
			if _, _, err := p.conn.Read(t.Context()); err != nil {
				break
			}
		}
		equal(t, "silence borne", time.Since(begun), 85*time.Second)
	})
}

func TestSocketsWorkOverTLS(t *testing.T) {
	t.Parallel()
	c := listen(t, graphtest.Start(t, graphtest.Options{}))
	p := c.call(c.want(200, "GET", "/me/drive/root/subscriptions/socketIo", nil).at("notificationUrl"))
	p.hears("0")
	p.say("40/notifications,")
	p.hears("40/notifications,")
	c.put("/f.txt", "x")
	p.hears("42/notifications,")
	c.noViolations()
}

// hook is a subscriber.
type hook struct {
	mu    sync.Mutex
	deaf  bool
	busy  int
	heard []map[string]any
	came  chan struct{}
}

func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	status, body := http.StatusAccepted, ""
	if token := r.URL.Query().Get("validationToken"); token != "" {
		status, body = http.StatusOK, token
		if h.deaf {
			body = "hello"
		}
	} else if h.busy > 0 {
		h.busy--
		status = http.StatusServiceUnavailable
	} else {
		var in struct{ Value []map[string]any }
		raw, err := io.ReadAll(r.Body)
		if err == nil && json.Unmarshal(raw, &in) == nil {
			h.heard = append(h.heard, in.Value...)
			h.came <- struct{}{}
		}
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func TestSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hook{came: make(chan struct{}, 100)}
		c := start(t, graphtest.Options{Webhooks: h})
		when := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
		in := func(pairs ...any) object {
			o := object{"changeType": "updated", "notificationUrl": "https://hook.example/in?x=1", "resource": "/drives/" + c.s.Drive("").ID() + "/root",
				"expirationDateTime": when(time.Hour), "clientState": "secret"}
			for i := 0; i < len(pairs); i += 2 {
				o[pairs[i].(string)] = pairs[i+1]
			}
			return o
		}
		c.put("/dir/f", "x")
		for _, bad := range []object{in("changeType", "created"), in("notificationUrl", "http://hook.example"), in("expirationDateTime", when(43_000*time.Minute)),
			in("expirationDateTime", when(-time.Minute)), in("clientState", strings.Repeat("x", 129)), in("resource", "/me/drive/root:/dir")} {
			c.want(400, "POST", "/subscriptions", bad)
		}
		c.want(404, "POST", "/subscriptions", in("resource", "/drives/nothing/root"))
		h.deaf = true
		equal(t, "not validated", c.want(400, "POST", "/subscriptions", in()).at("error/code"), "ValidationError")
		h.deaf = false
		u := c.want(201, "POST", "/subscriptions", in("expirationDateTime", when(time.Minute)))
		equal(t, "raised to 45 minutes", u.at("expirationDateTime"), when(45*time.Minute))
		equal(t, "state", u.at("clientState"), "secret")
		h.busy = 2
		c.put("/g", "x")
		<-h.came
		equal(t, "notice", h.heard[0]["subscriptionId"], any(u.at("id")))
		equal(t, "state", h.heard[0]["clientState"], any("secret"))
		equal(t, "listed", len(c.want(200, "GET", "/subscriptions", nil).list()), 1)
		u = c.want(200, "PATCH", "/subscriptions/"+u.at("id"), object{"expirationDateTime": when(48 * time.Hour)})
		equal(t, "renewed", u.at("expirationDateTime"), when(48*time.Hour))
		c.want(400, "PATCH", "/subscriptions/"+u.at("id"), object{"expirationDateTime": when(50_000 * time.Minute)})
		c.want(200, "GET", "/subscriptions/"+u.at("id"), nil)
		c.want(204, "DELETE", "/subscriptions/"+u.at("id"), nil)
		c.want(404, "PATCH", "/subscriptions/"+u.at("id"), object{"expirationDateTime": when(48 * time.Hour)})
		c.put("/h", "x")
		synctest.Wait()
		equal(t, "notices", len(h.heard), 1)
		c.want(201, "POST", "/subscriptions", in("resource", "me/drive/root"))
		time.Sleep(time.Hour)
		c.token = c.s.AccessToken(c.s.Me().ID)
		equal(t, "ended", len(c.want(200, "GET", "/subscriptions", nil).list()), 0)
		c.noViolations()
	})
}
