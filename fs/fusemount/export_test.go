package fusemount

// Handles counts the handles that the kernel has.
func (m *Mount) Handles() int {
	m.raw.mu.RLock()
	defer m.raw.mu.RUnlock()
	return len(m.raw.handles)
}
