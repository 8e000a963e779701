package graphtest

// TB is the part of testing.TB that Start needs; the package itself is also linked into programs.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Start makes a service for one test and closes it when the test ends. Nothing listens: the test
// uses Transport, or calls Listen.
func Start(t TB, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatalf("graphtest: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("graphtest: close: %v", err)
		}
	})
	return s
}
