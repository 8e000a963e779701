package graphtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ListenProxy serves an HTTP proxy on addr ("127.0.0.1:0" picks a port) and returns its address for
// HTTPS_PROXY. It answers CONNECT for Microsoft's own names of Graph and the login host, which lead
// to this service, and for the service's own addresses; everything else is refused. So a client that
// cannot be told of another Graph reaches this one, given the CA, with no name changed anywhere. Call Listen first.
func (s *Server) ListenProxy(addr string) (string, error) {
	s.mu.Lock()
	ready := !strings.Contains(s.graphURL, memGraph)
	s.mu.Unlock()
	if !ready {
		return "", fmt.Errorf("proxy: the service does not listen yet")
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("proxy: %w", err)
	}
	p := &proxy{s: s, open: map[net.Conn]bool{}}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return "", l.Close()
	}
	s.stopProxy = append(s.stopProxy, func() {
		l.Close()
		p.close()
	})
	s.talking.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			if p.add(conn) {
				p.busy.Go(func() { p.serve(conn) })
			}
		}
		p.busy.Wait()
	})
	s.mu.Unlock()
	return "http://" + l.Addr().String(), nil
}

// proxy carries bytes to the emulator without looking at them.
type proxy struct {
	s    *Server
	busy sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

// add remembers a connection, so that close ends it. It reports whether there is still time.
func (p *proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	c.Close()
}

func (p *proxy) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for c := range p.open {
		c.Close()
	}
}

// target says where a CONNECT to an authority leads.
func (p *proxy) target(authority string) (string, bool) {
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		return "", false
	}
	p.s.mu.Lock()
	graph, login, storage := p.s.graphURL, p.s.loginURL, p.s.storageURL
	p.s.mu.Unlock()
	for _, own := range []string{graph, login, storage} {
		if own == "https://"+authority {
			return authority, true
		}
	}
	if port != "443" {
		return "", false
	}
	switch strings.ToLower(host) {
	case "graph.microsoft.com", memGraph:
		return strings.TrimPrefix(graph, "https://"), true
	case "login.microsoftonline.com", memLogin:
		return strings.TrimPrefix(login, "https://"), true
	case memStorage:
		return strings.TrimPrefix(storage, "https://"), true
	}
	return "", false
}

func (p *proxy) serve(conn net.Conn) {
	defer p.drop(conn)
	r := bufio.NewReader(conn)
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	refuse := func(status int, why string) {
		fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, http.StatusText(status), len(why), why)
	}
	if req.Method != http.MethodConnect {
		refuse(http.StatusMethodNotAllowed, "this proxy takes CONNECT alone")
		return
	}
	to, ok := p.target(req.RequestURI)
	if !ok {
		refuse(http.StatusForbidden, "this proxy leads to the emulator alone")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		refuse(http.StatusBadGateway, "the emulator does not answer")
		return
	}
	if !p.add(far) {
		return
	}
	defer p.drop(far)
	_ = conn.SetReadDeadline(time.Time{})
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, _ = io.Copy(far, r) // either side may go at any time
		closeWrite(far)
	}()
	_, _ = io.Copy(conn, far)
	closeWrite(conn)
	conn.Close()
	<-up
}

func closeWrite(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}
