package cache

import "sync"

// events carries what changed to those who watch, in commit order and without S.
type events struct {
	mu       sync.Mutex // guards what follows; a leaf
	queue    []Event
	busy     bool // somebody delivers
	watchers []*watcher
}

type watcher struct {
	mu   sync.Mutex // held while fn runs, so that cancel can wait for it
	fn   func(Event)
	gone bool
}

// push appends to the queue. Under S, which makes the order that of the commits.
func (e *events) push(list []Event) {
	if len(list) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.watchers) > 0 {
		e.queue = append(e.queue, list...)
	}
}

// deliver empties the queue. While one caller does, others leave it to that one.
func (e *events) deliver() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.busy {
		return
	}
	e.busy = true
	for len(e.queue) > 0 {
		list, watchers := e.queue, e.watchers
		e.queue = nil
		e.mu.Unlock()
		for _, ev := range list {
			for _, w := range watchers {
				w.call(ev)
			}
		}
		e.mu.Lock()
	}
	e.busy = false
}

func (w *watcher) call(ev Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.gone {
		w.fn(ev)
	}
}

func (e *events) watch(fn func(Event)) (cancel func()) {
	w := &watcher{fn: fn}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watchers = append(append([]*watcher(nil), e.watchers...), w)
	return func() {
		e.mu.Lock()
		var rest []*watcher
		for _, o := range e.watchers {
			if o != w {
				rest = append(rest, o)
			}
		}
		e.watchers = rest
		e.mu.Unlock()
		w.mu.Lock()
		w.gone = true
		w.mu.Unlock()
	}
}

// inoSet gathers inos from several goroutines.
type inoSet struct {
	mu  sync.Mutex
	set []Ino
}

func (i *inoSet) add(ino Ino) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.set = append(i.set, ino)
}

// take empties the set, of up to max.
func (i *inoSet) take(max int) []Ino {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := min(len(i.set), max)
	list := i.set[:n:n]
	i.set = i.set[n:]
	return list
}
