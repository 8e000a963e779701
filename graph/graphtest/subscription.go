package graphtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Webhook subscriptions (graph-facts §15.1).

const (
	subscriptionMost  = 42_300 * time.Minute
	subscriptionLeast = 45 * time.Minute
	validationTime    = 10 * time.Second
	deliveryTries     = 15 * time.Minute // how long a notice is tried before it is dropped
)

// subscription sends a notice to an address whenever a drive changes. Guarded by Server.mu.
type subscription struct {
	id, resource, url, state, app string
	d                             *Drive
	ends                          time.Time
	cancel                        context.CancelFunc
}

func (u *subscription) json(s *Server) object {
	o := object{"id": u.id, "resource": u.resource, "applicationId": u.app, "creatorId": s.guidOf("creator " + u.app), "changeType": "updated",
		"clientState": u.state, "notificationUrl": u.url, "expirationDateTime": u.ends.Format(time.RFC3339), "latestSupportedTlsVersion": "v1_2",
		"includeResourceData": nil, "lifecycleNotificationUrl": nil, "notificationQueryOptions": nil, "encryptionCertificate": nil}
	if u.state == "" {
		o["clientState"] = nil
	}
	return o
}

// subscriptions answers everything below /subscriptions. No lock is held, since creating asks the
// address to prove that it listens.
func (c *call) subscriptions(in object) *reply {
	_, id, _ := strings.Cut(c.rt.sub, "/")
	switch {
	case c.r.Method == http.MethodPost && id == "":
		return c.subscribe(in)
	case c.r.Method == http.MethodPost || c.r.Method == http.MethodPut:
		return c.fail(&apiError{status: http.StatusMethodNotAllowed, code: "BadRequest", msg: "The method is not supported here."})
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireSubscriptions()
	if id == "" {
		value := []object{}
		for _, u := range s.subs {
			if u.app == c.who.client {
				value = append(value, u.json(s))
			}
		}
		return jsonReply(http.StatusOK, object{"@odata.context": c.contextURL(), "value": value})
	}
	i := slices.IndexFunc(s.subs, func(u *subscription) bool { return u.id == id && u.app == c.who.client })
	if i < 0 {
		return c.failLocked(&apiError{status: http.StatusNotFound, code: "ResourceNotFound", msg: "The object was not found."})
	}
	u := s.subs[i]
	switch c.r.Method {
	case http.MethodDelete:
		u.cancel()
		s.subs = slices.Delete(s.subs, i, i+1)
		return newReply(http.StatusNoContent)
	case http.MethodPatch:
		ends, err := expiry(in, s.now())
		if err != nil {
			return c.failLocked(err)
		}
		u.ends = ends
	}
	return jsonReply(http.StatusOK, u.json(s))
}

// failLocked is fail for who holds the lock.
func (c *call) failLocked(err error) *reply {
	c.s.mu.Unlock()
	defer c.s.mu.Lock()
	return c.fail(err)
}

// expiry reads the moment at which a subscription shall end.
func expiry(in object, now time.Time) (time.Time, error) {
	v, _ := in["expirationDateTime"].(string)
	at, err := time.Parse(time.RFC3339Nano, v)
	switch {
	case err != nil:
		return at, errInvalid("The expirationDateTime is missing or malformed.")
	case !at.After(now):
		return at, errInvalid("Subscription expiration must be in the future.")
	case at.Sub(now) > subscriptionMost+time.Minute: // the clocks need not agree
		return at, errInvalid("Subscription expiration can only be 42300 minutes in the future.")
	case at.Sub(now) < subscriptionLeast:
		at = now.Add(subscriptionLeast)
	}
	return at.UTC().Truncate(time.Second), nil
}

func (s *Server) expireSubscriptions() {
	now := s.now()
	s.subs = slices.DeleteFunc(s.subs, func(u *subscription) bool {
		if now.Before(u.ends) {
			return false
		}
		u.cancel()
		return true
	})
}

// subscribe makes a subscription after its address has proved that it listens.
func (c *call) subscribe(in object) *reply {
	s := c.s
	str := func(key string) string { v, _ := in[key].(string); return v }
	to, err := url.Parse(str("notificationUrl"))
	ends, bad := expiry(in, s.now())
	u := &subscription{resource: str("resource"), url: str("notificationUrl"), state: str("clientState"), app: c.who.client, ends: ends}
	s.mu.Lock()
	what := &call{s: s, r: c.r, rt: parseRoute(u.resource), who: c.who}
	what.resolve()
	u.d = what.drive
	it, itemErr := (*item)(nil), error(errNotFound())
	if u.d != nil && what.rt.inItem {
		it, itemErr = what.item()
	}
	s.mu.Unlock()
	switch {
	case str("changeType") != "updated":
		return c.fail(errInvalid("The change type of a drive item is updated."))
	case bad != nil:
		return c.fail(bad)
	case err != nil || to.Scheme != "https" || to.Host == "":
		return c.fail(errInvalid("The notificationUrl must be an https address."))
	case len(u.state) > 128:
		return c.fail(errInvalid("The clientState is longer than 128 characters."))
	case u.d == nil || itemErr != nil:
		return c.fail(&apiError{status: http.StatusNotFound, code: "ResourceNotFound", msg: "The resource of the subscription was not found."})
	case it != u.d.root && u.d.kind != Personal:
		return c.fail(errInvalid("Only the root of this drive can be subscribed to."))
	}
	if err := s.validate(c.r.Context(), to); err != nil {
		return c.fail(&apiError{status: http.StatusBadRequest, code: "ValidationError", msg: "Subscription validation request failed. " + err.Error()})
	}
	u.id = s.guidOf("subscription " + random(8))
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.r.Context()))
	u.cancel = cancel
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		cancel()
		return resetReply()
	}
	s.subs = append(s.subs, u)
	l := s.listen(u.d)
	s.talking.Go(func() {
		defer s.unlisten(l)
		s.deliver(ctx, u, l)
	})
	return jsonReply(http.StatusCreated, u.json(s))
}

// post sends a request to a subscriber.
func (s *Server) post(ctx context.Context, to, kind string, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, validationTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	rt := s.opts.Webhooks
	if rt == nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if s.prepareCA() == nil {
			pool.AddCert(s.ca.cert)
		}
		t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
		defer t.CloseIdleConnections()
		rt = t
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(raw))
	return res, err
}

// validate asks an address to repeat a token.
func (s *Server) validate(ctx context.Context, to *url.URL) error {
	token := "Validation: Testing client application reachability for subscription Request-Id: " + s.requestID()
	u := *to
	q := u.Query()
	q.Set("validationToken", token)
	u.RawQuery = q.Encode()
	res, err := s.post(ctx, u.String(), "text/plain; charset=utf-8", nil)
	if err != nil {
		return fmt.Errorf("the address cannot be reached")
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || string(raw) != token || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		return fmt.Errorf("the address answered %d and not with the token as plain text", res.StatusCode)
	}
	return nil
}

// deliver sends notices of one subscription until it ends.
func (s *Server) deliver(ctx context.Context, u *subscription, l *listener) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		s.mu.Lock()
		live := s.now().Before(u.ends)
		raw, err := json.Marshal(object{"value": []object{{"subscriptionId": u.id, "clientState": u.state, "changeType": "updated", "resource": u.resource,
			"subscriptionExpirationDateTime": u.ends.Format(time.RFC3339), "tenantId": s.guidOf("tenant"), "resourceData": nil}}})
		s.counts.Events++
		s.mu.Unlock()
		if !live || err != nil {
			return
		}
		for wait, spent := time.Second, time.Duration(0); spent < deliveryTries; wait, spent = 2*wait, spent+wait {
			res, err := s.post(ctx, u.url, "application/json", raw)
			if err == nil && res.StatusCode < 300 || pause(ctx, wait) != nil {
				break
			}
		}
	}
}

// hangUp ends all notification connections and deliveries, and waits for them.
func (s *Server) hangUp() {
	s.mu.Lock()
	s.stopped = true
	for _, drop := range s.dropSocket {
		drop()
	}
	for _, u := range s.subs {
		u.cancel()
	}
	s.subs = nil
	stop := s.stopProxy
	s.mu.Unlock()
	for _, f := range stop {
		f()
	}
	s.talking.Wait()
}
