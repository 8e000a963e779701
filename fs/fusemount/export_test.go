package fusemount

// Drain waits until every notice that is queued has been told.
func (m *Mount) Drain() {
	for i := range m.raw.notices.queues {
		q := &m.raw.notices.queues[i]
		q.mu.Lock()
		for (len(q.waiting) > 0 || q.busy) && !q.closed {
			q.wake.Wait()
		}
		q.mu.Unlock()
	}
}

// Handles counts the handles that the kernel has.
func (m *Mount) Handles() int {
	m.raw.mu.RLock()
	defer m.raw.mu.RUnlock()
	return len(m.raw.handles)
}
