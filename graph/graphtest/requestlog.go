package graphtest

import (
	"context"
	"io"
	"slices"
	"time"
)

// Request is one line of the request log. It holds no query, so no secret.
type Request struct {
	N      int       `json:"n"` // counts up from 1, and goes on after a reset
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"` // an Op… constant
	Method string    `json:"method"`
	Host   string    `json:"host"`
	Path   string    `json:"path"`             // decoded
	Drive  string    `json:"drive,omitempty"`  // id
	Place  string    `json:"place,omitempty"`  // path of the item in its drive
	Batch  bool      `json:"batch,omitempty"`  // inside a $batch
	Status int       `json:"status,omitempty"` // 0: the connection broke
	Units  int       `json:"units,omitempty"`  // resource units
}

// logMost is how many requests the log remembers.
const logMost = 10_000

// Log returns the last requests, oldest first: those after number n.
func (s *Server) Log(n int) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.requests, func(r Request) bool { return r.N > n })
	if i < 0 {
		return []Request{}
	}
	return slices.Clone(s.requests[i:])
}

// record writes a request into the log.
func (s *Server) record(o Op, at time.Time, out *reply, units int) {
	status := out.status
	if out.reset {
		status = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logged++
	if len(s.requests) >= logMost {
		s.requests = slices.Delete(s.requests, 0, logMost/10)
	}
	s.requests = append(s.requests, Request{N: s.logged, At: at, Kind: o.Kind, Method: o.Method, Host: o.Host, Path: o.Path, Drive: o.Drive,
		Place: o.Place, Batch: o.Batch, Status: status, Units: units})
}

// SetLatency delays every answer of Graph, the login host and the storage host.
func (s *Server) SetLatency(d time.Duration) { s.mu.Lock(); defer s.mu.Unlock(); s.latency = d }

// SetBandwidth limits how many bytes a second a body takes, either way; 0 is no limit.
func (s *Server) SetBandwidth(bytes int64) { s.mu.Lock(); defer s.mu.Unlock(); s.bandwidth = bytes }

// SetShuffleFeed mixes the order of the items in every page of the feed, or stops that.
func (s *Server) SetShuffleFeed(on bool) { s.mu.Lock(); defer s.mu.Unlock(); s.opts.ShuffleFeed = on }

// slow is a body on a slow line: it waits after every read, in the reader's own goroutine.
type slow struct {
	io.ReadCloser
	ctx  context.Context
	rate int64 // bytes a second
}

func (l slow) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), max(l.rate/10, 1))])
	if n > 0 && pause(l.ctx, time.Duration(int64(n)*int64(time.Second)/l.rate)) != nil && err == nil {
		err = l.ctx.Err()
	}
	return n, err
}
