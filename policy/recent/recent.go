// Package recent keeps what was used last, within a number of bytes. It is the memory of the analysis and of the policy,
// which forget what was not asked for longest; what it holds never changes an answer, only how soon it comes. A Cache may
// be used by any number of goroutines, and looking something up allocates nothing.
package recent

import "sync"

// Cache maps keys to values and forgets the values used longest ago when they come to more than its bytes.
type Cache[K comparable, V any] struct {
	mu    sync.Mutex
	limit int
	bytes int
	index map[K]*entry[K, V]
	ends  entry[K, V] // ends.next was used last, ends.prev longest ago
}

type entry[K comparable, V any] struct {
	prev, next *entry[K, V]
	key        K
	value      V
	bytes      int
}

// overhead is what an entry costs beside its value: itself and its place in the index, about.
const overhead = 160

// New makes a cache for values of so many bytes in all.
func New[K comparable, V any](bytes int) *Cache[K, V] {
	c := &Cache[K, V]{limit: bytes, index: make(map[K]*entry[K, V])}
	c.ends.prev, c.ends.next = &c.ends, &c.ends
	return c
}

// Get finds a value and counts as a use of it.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.index[key]
	if !ok {
		return value, false
	}
	if c.ends.next != e {
		e.unlink()
		c.first(e)
	}
	return e.value, true
}

// Add keeps a value of so many bytes under a key, in the place of any that is there. A value larger than an eighth of the
// cache is not kept: it would drive out too much.
func (c *Cache[K, V]) Add(key K, value V, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.index[key]; ok {
		c.drop(old)
	}
	if bytes += overhead; bytes > c.limit/8 {
		return
	}
	e := &entry[K, V]{key: key, value: value, bytes: bytes}
	c.index[key] = e
	c.first(e)
	for c.bytes += bytes; c.bytes > c.limit; {
		c.drop(c.ends.prev)
	}
}

// Purge forgets everything.
func (c *Cache[K, V]) Purge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.index)
	c.ends.prev, c.ends.next, c.bytes = &c.ends, &c.ends, 0
}

// Size says how many values there are and how many bytes they come to.
func (c *Cache[K, V]) Size() (values, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.index), c.bytes
}

func (c *Cache[K, V]) first(e *entry[K, V]) {
	e.prev, e.next = &c.ends, c.ends.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry[K, V]) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

func (c *Cache[K, V]) drop(e *entry[K, V]) {
	e.unlink()
	delete(c.index, e.key)
	c.bytes -= e.bytes
}
