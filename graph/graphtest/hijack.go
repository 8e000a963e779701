package graphtest

import (
	"bufio"
	"net"
	"net/http"
	"sync"
)

// hijacked is the answer to a request that asks to take over its connection, where the connection
// is a pipe.
type hijacked struct {
	header http.Header
	conn   net.Conn

	once   sync.Once
	head   chan struct{} // closed when status and sent are set
	status int
	sent   http.Header
}

func (h *hijacked) Header() http.Header { return h.header }

func (h *hijacked) WriteHeader(status int) {
	h.once.Do(func() {
		h.status, h.sent = status, h.header.Clone()
		close(h.head)
	})
}

func (h *hijacked) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.conn.Write(p)
}

// Hijack implements http.Hijacker.
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}
