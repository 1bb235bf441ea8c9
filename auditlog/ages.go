package auditlog

import (
	"sync"
	"time"
)

// maxAges bounds the memory of ages, however long no witness answers.
const maxAges = 4096

// ages remembers when records came, so that lags can be told: from which index
// on records came at or after which time. When it is full every second mark is
// dropped, which can only make a lag look longer than it is.
type ages struct {
	mu    sync.Mutex
	marks []ageMark // index and time do not fall
}

type ageMark struct {
	index uint64
	at    time.Time
}

// add notes that the record index came at that time and later ones not before.
func (a *ages) add(index uint64, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.marks) == maxAges {
		for i := range maxAges / 2 {
			a.marks[i] = a.marks[2*i]
		}
		a.marks = a.marks[:maxAges/2]
	}
	a.marks = append(a.marks, ageMark{index, at})
}

// since returns when the record index came, at most one mark too early; the
// zero time if nothing is known.
func (a *ages) since(index uint64) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	var at time.Time
	for _, m := range a.marks {
		if m.index > index {
			break
		}
		at = m.at
	}
	return at
}

// forget drops what no longer matters once all records below index are done.
func (a *ages) forget(index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n+1 < len(a.marks) && a.marks[n+1].index <= index {
		n++
	}
	a.marks = append(a.marks[:0], a.marks[n:]...)
}
