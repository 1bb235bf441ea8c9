package session

// Setting follows one parameter of a session through transactions, as PostgreSQL does: what SET gave is undone by ROLLBACK
// and by ROLLBACK TO an earlier savepoint, and SET LOCAL ends with the transaction. The goroutine that sends owns it.
//
// It is told what is sent, before the server has answered, and takes for granted that it succeeds: what follows a failure
// is not carried out up to the end of its batch or transaction. Where a transaction that changed the setting ends, one
// must know how before the value is used again: Pending says so, and Settle is told. Where that cannot be known the value
// is lost, and empty.
type Setting struct {
	reset string // what RESET returns to

	value string // in force
	kept  string // in force once the transaction is committed
	base  string // in force once it is rolled back

	block      bool // a transaction block is open
	dirty      bool // the transaction under way changed the setting
	mixed      bool // a block ended in the middle of the batch under way, and the setting was changed in it
	begun      bool // the batch under way holds something that concerns the setting
	savepoints []savepoint

	ending *Ending
}

type savepoint struct{ name, value, kept string }

// maxSavepoints bounds what a session can make its Setting remember. Beyond it the value is lost.
const maxSavepoints = 1024

// Ending is the end of a transaction that changed the setting, and how it came out, which Fate's owner finds out.
type Ending struct {
	Batch uint64 // whose end this is, when the transaction was no block
	Fate  *Fate  // of the statement that ends the block, or of the batch

	before Setting
	block  bool
}

// NewSetting begins with the value that the session was started with.
func NewSetting(value string) Setting {
	return Setting{reset: value, value: value, kept: value, base: value}
}

// Value is what holds for what is sent next, provided that nothing is Pending.
func (s *Setting) Value() string { return s.value }

// Set is SET, or SET LOCAL.
func (s *Setting) Set(value string, local bool) {
	s.begun = true
	if !s.dirty {
		s.dirty, s.base, s.savepoints = true, s.value, nil
	}
	if s.value = value; !local {
		s.kept = value
	}
}

// Reset is RESET, SET TO DEFAULT and DISCARD ALL.
func (s *Setting) Reset(local bool) { s.Set(s.reset, local) }

// Begin opens a transaction block. What was set before it in the same batch belongs to it.
func (s *Setting) Begin() { s.begun, s.block = true, true }

// Savepoint, RollbackTo and Release are the statements of these names. A savepoint that is not known here was made before
// the setting was changed.
func (s *Setting) Savepoint(name string) {
	switch {
	case !s.dirty:
	case len(s.savepoints) == maxSavepoints:
		s.lose()
	default:
		s.savepoints = append(s.savepoints, savepoint{name, s.value, s.kept})
	}
}

func (s *Setting) RollbackTo(name string) {
	if !s.dirty {
		return
	}
	if i := s.find(name); i >= 0 {
		s.value, s.kept = s.savepoints[i].value, s.savepoints[i].kept
		s.savepoints = s.savepoints[:i+1]
		return
	}
	s.value, s.kept, s.savepoints = s.base, s.base, nil
}

func (s *Setting) Release(name string) {
	s.savepoints = s.savepoints[:max(s.find(name), 0)]
}

func (s *Setting) find(name string) int {
	for i := len(s.savepoints) - 1; i >= 0; i-- {
		if s.savepoints[i].name == name {
			return i
		}
	}
	return -1
}

// EndBlock is COMMIT or ROLLBACK, whose fate will be set; chain opens the next block. alone says that nothing else is in
// the same string: its fate then tells all there is to know. matters says that the setting was changed in the block.
func (s *Setting) EndBlock(commit, chain, alone bool, fate *Fate) (matters bool) {
	s.begun, matters = true, s.dirty
	switch {
	case s.dirty && !alone:
		s.mixed = true
		s.end(commit)
	case s.dirty:
		ending := &Ending{Fate: fate, before: *s, block: true}
		s.end(commit)
		s.ending = ending
	}
	s.block = chain
	return matters
}

// EndBatch is the end of a batch, at which a transaction ends that is no block. It returns what must be told the batch's
// fate, nil if nothing depends on it.
func (s *Setting) EndBatch(batch uint64) *Ending {
	s.begun = false
	if !s.mixed && (!s.dirty || s.block) {
		return nil
	}
	ending := &Ending{Batch: batch, Fate: new(Fate), before: *s}
	if !s.block {
		s.end(true)
	}
	s.mixed = false
	s.ending = ending
	return ending
}

func (s *Setting) end(commit bool) {
	if !commit {
		s.kept = s.base
	}
	s.value, s.base, s.dirty, s.savepoints = s.kept, s.kept, false, nil
}

// Pending is the fate that must be known before the value is used; nil when it is known already.
func (s *Setting) Pending() *Fate {
	if s.ending == nil {
		return nil
	}
	return s.ending.Fate
}

// Settle takes in how a transaction ended. foreseen says that each COMMIT in it was answered as one, not as ROLLBACK.
func (s *Setting) Settle(foreseen bool) {
	e := s.ending
	if e == nil {
		return
	}
	s.ending = nil
	switch fate := e.Fate.Get(); {
	case fate == Done && foreseen:
	case fate == Skipped && e.block: // the block is still open, and failed
		*s = e.before
	case e.before.mixed:
		s.lose()
	default:
		s.value, s.kept, s.base, s.dirty, s.savepoints = e.before.base, e.before.base, e.before.base, false, nil
	}
}

// InBlock takes in what the server said last, when it owes nothing: whether a block is open.
func (s *Setting) InBlock(open bool) {
	if s.begun {
		return // it has not said so of what is under way
	}
	if s.dirty && s.block && !open {
		s.lose() // it ended in a way that was not foreseen
	}
	s.block = open
}

// lose forgets the value until it is stated again.
func (s *Setting) lose() {
	*s = Setting{reset: s.reset, block: s.block}
}
