package graphtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const batchMax = 20

type batchRequest struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

// batch answers a $batch: each inner request as if it had come alone (graph-facts §8).
func (c *call) batch() *reply {
	var in struct {
		Requests []batchRequest `json:"requests"`
	}
	bad := func(msg string) *reply {
		return c.fail(&apiError{status: http.StatusBadRequest, code: "BadRequest", msg: msg})
	}
	raw, err := io.ReadAll(io.LimitReader(c.r.Body, 8<<20))
	if err != nil || c.r.Method != http.MethodPost || json.Unmarshal(raw, &in) != nil {
		return bad("Unable to read the batch.")
	}
	if len(in.Requests) == 0 || len(in.Requests) > batchMax {
		return bad("Number of requests inside the batch is not between 1 and 20.")
	}
	seen := map[string]bool{}
	for _, q := range in.Requests {
		id := strings.ToLower(q.ID)
		if id == "" || seen[id] || q.URL == "" || q.Method == "" {
			return bad("Request ids must be there and differ; method and url must be there.")
		}
		for _, dep := range q.DependsOn {
			if !seen[strings.ToLower(dep)] {
				return bad("A request depends on one that does not come before it.")
			}
		}
		seen[id] = true
	}
	ok := map[string]bool{}
	responses := []object{}
	for _, q := range in.Requests {
		o := object{"id": q.ID}
		ready := true
		for _, dep := range q.DependsOn {
			ready = ready && ok[strings.ToLower(dep)]
		}
		if !ready {
			e := &apiError{status: http.StatusFailedDependency, code: "failedDependency", msg: "A request this one depends on failed."}
			o["status"], o["headers"] = e.status, object{"Content-Type": "application/json"}
			o["body"] = e.body("", "", c.s.now())
			responses = append(responses, o)
			continue
		}
		out := c.inner(q)
		if out.reset { // a lost connection inside takes the whole batch along
			return out
		}
		o["status"] = out.status
		headers := object{}
		for k, v := range out.header {
			headers[k] = strings.Join(v, ", ")
		}
		o["headers"] = headers
		if b, err := io.ReadAll(out.reader()); err == nil && len(b) > 0 {
			if json.Valid(b) {
				o["body"] = json.RawMessage(b)
			} else {
				o["body"] = base64.StdEncoding.EncodeToString(b)
			}
		}
		out.close()
		ok[strings.ToLower(q.ID)] = out.status < 400
		responses = append(responses, o)
	}
	return jsonReply(http.StatusOK, object{"responses": responses})
}

// inner does one request of a batch.
func (c *call) inner(q batchRequest) *reply {
	u, err := url.Parse("https://" + c.r.Host + "/v1.0/" + strings.TrimPrefix(q.URL, "/"))
	if err != nil || strings.Contains(q.URL, "://") {
		return c.fail(&apiError{status: http.StatusBadRequest, code: "BadRequest", msg: "The url of an inner request must be relative to the version."})
	}
	if strings.HasPrefix(strings.TrimPrefix(u.Path, "/v1.0/"), "$batch") {
		return c.fail(&apiError{status: http.StatusBadRequest, code: "BadRequest", msg: "A batch must not hold a batch."})
	}
	r := (&http.Request{Method: strings.ToUpper(q.Method), URL: u, Host: c.r.Host, Header: http.Header{}, Proto: "HTTP/1.1",
		ProtoMajor: 1, ProtoMinor: 1}).WithContext(c.r.Context())
	for k, v := range q.Headers {
		r.Header.Set(k, v)
	}
	r.Header.Set("Authorization", c.r.Header.Get("Authorization"))
	body := []byte(q.Body)
	if len(body) > 0 && string(body) != "null" {
		if r.Header.Get("Content-Type") == "" {
			return c.fail(&apiError{status: http.StatusBadRequest, code: "BadRequest", msg: "A body needs a Content-Type header."})
		}
		var text string
		if json.Unmarshal(body, &text) == nil {
			if body, err = base64.StdEncoding.DecodeString(text); err != nil {
				return c.fail(&apiError{status: http.StatusBadRequest, code: "BadRequest", msg: "The body is not base64."})
			}
		}
	} else {
		body = nil
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return c.s.graph(r, c.number)
}
