package session

// Fate is what became of a message that defines or removes a name. Whoever owns the session's Queue owns its Fates.
type Fate struct{ v uint32 }

// The fates. Pending counts as done for whoever sends further messages before the reply has come: if it fails, the
// server discards those.
const (
	Pending uint32 = iota
	Done
	Failed  // the server refused it
	Skipped // the server discarded it unread
)

// Set records the fate.
func (f *Fate) Set(v uint32) { f.v = v }

// Get reads the fate.
func (f *Fate) Get() uint32 { return f.v }

// Names maps the names of prepared statements, or of portals, to what they mean to the server, although definitions
// may still fail or be discarded while later messages already use them.
//
// Messages come in batches, each ended by a Sync or a simple Query. Within its batch a pending definition may be taken
// for done, since its failure makes the server discard the rest of the batch. A later batch runs either way: it must
// know the fate first, or a statement that failed to be replaced would run under the name and record of its successor.
type Names[V any] struct {
	last map[string]*version[V]
}

type version[V any] struct {
	value V
	gone  bool // Close, DEALLOCATE
	fate  *Fate
	batch uint64
	prev  *version[V]
	older *version[V] // the newest one before that belongs to another batch: a batch may define a name thousands of times
}

// after is the version that follows prev.
func after[V any](prev *version[V], v version[V]) *version[V] {
	v.prev, v.older = prev, prev
	if prev != nil && prev.batch == v.batch {
		v.older = prev.older
	}
	return &v
}

// NewNames is an empty table.
func NewNames[V any]() *Names[V] { return &Names[V]{last: make(map[string]*version[V])} }

// Len is the number of names held, including those removed whose fate is not yet known.
func (n *Names[V]) Len() int { return len(n.last) }

// Unsettled returns the fate that must be known before the name can be used in batch, or nil.
func (n *Names[V]) Unsettled(name string, batch uint64) *Fate {
	for v := n.settled(name); v != nil; {
		switch {
		case v.batch == batch:
			v = v.older
		case v.fate.Get() == Pending:
			return v.fate
		default:
			v = v.prev
		}
	}
	return nil
}

// Define notes that name will mean value if the message with this fate, sent in batch, succeeds.
func (n *Names[V]) Define(name string, value V, fate *Fate, batch uint64) {
	n.last[name] = after(n.settled(name), version[V]{value: value, fate: fate, batch: batch})
}

// Remove notes that name will mean nothing if the message with this fate, sent in batch, succeeds.
func (n *Names[V]) Remove(name string, fate *Fate, batch uint64) {
	if prev := n.settled(name); prev != nil {
		n.last[name] = after(prev, version[V]{gone: true, fate: fate, batch: batch})
	}
}

// RemoveAll notes that no name will mean anything if the message with this fate, sent in batch, succeeds.
func (n *Names[V]) RemoveAll(fate *Fate, batch uint64) {
	for name := range n.last {
		n.Remove(name, fate, batch)
	}
}

// Find returns what name means to the server when it reads the message sent next.
func (n *Names[V]) Find(name string) (value V, ok bool) {
	if v := n.settled(name); v != nil && !v.gone {
		return v.value, true
	}
	return value, false
}

// settled drops the versions that never came into force and returns the one that did, or may yet.
func (n *Names[V]) settled(name string) *version[V] {
	v := n.last[name]
	for v != nil {
		switch v.fate.Get() {
		case Failed:
			// A failed definition leaves an older named object; the unnamed one is gone before the failure.
			if name == "" && !v.gone {
				v = nil
				continue
			}
			v = v.prev
			continue
		case Skipped:
			v = v.prev
			continue
		case Done:
			v.prev, v.older = nil, nil
			if v.gone {
				v = nil
				continue
			}
		}
		break
	}
	if v == nil {
		delete(n.last, name)
		return nil
	}
	n.last[name] = v
	return v
}

// Prune forgets the names that mean nothing any more and those whose meaning keep rejects.
func (n *Names[V]) Prune(keep func(V) bool) {
	for name := range n.last {
		if v := n.settled(name); v != nil && !v.gone && !keep(v.value) {
			delete(n.last, name)
		}
	}
}
