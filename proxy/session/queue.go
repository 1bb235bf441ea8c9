package session

import "fmt"

// Expect is the kind of reply a message obliges the server to give.
type Expect uint8

// What the server owes for each message that has a reply. Flush and Terminate have none.
const (
	Query Expect = iota + 1
	Parse
	Bind
	DescribeStatement
	DescribePortal
	Execute
	Close
	Sync
	FunctionCall
)

var expectNames = [...]string{"nothing", "Query", "Parse", "Bind", "Describe", "Describe", "Execute", "Close", "Sync", "FunctionCall"}

func (e Expect) String() string { return expectNames[e] }

// Owed is one reply still to come, and in whose name (E) it will come.
type Owed[E any] struct {
	Expect Expect
	Exec   E
	Own    bool // sent by the proxy for itself: its replies are not the client's
	Block  bool // may begin or end a transaction block
}

// MaxOwed bounds the replies outstanding at once: who finds the queue Full sends nothing more until the server has
// answered.
const MaxOwed = 1 << 16

// Queue is the ordered list of replies that the server owes. One goroutine owns it.
type Queue[E any] struct {
	ring     []Owed[E] // length is a power of two
	head, n  int
	blocks   int  // entries with Block
	unsure   bool // an entry with Block was answered after the last ReadyForQuery
	skipping bool // an error was answered and its Sync has not been sent: the server discards what it receives
	status   byte // of the last ReadyForQuery
}

// NewQueue starts with the status of the ReadyForQuery that ended the start-up.
func NewQueue[E any](status byte) *Queue[E] {
	return &Queue[E]{ring: make([]Owed[E], 8), status: status}
}

// Push notes that o was sent. It reports false when the server will discard the message unread, because an earlier one
// failed and no Sync has been sent since: then nothing is owed for it. Nothing is to be pushed onto a full queue but
// what belongs to a message that was begun before it was.
func (q *Queue[E]) Push(o Owed[E]) bool {
	if q.skipping {
		if o.Expect != Sync {
			return false
		}
		q.skipping = false
	}
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = o
	q.n++
	if o.Block {
		q.blocks++
	}
	return true
}

func (q *Queue[E]) grow() {
	bigger := make([]Owed[E], 2*len(q.ring))
	for i := range q.n {
		bigger[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = bigger, 0
}

func (q *Queue[E]) pop() Owed[E] {
	o := q.ring[q.head]
	q.ring[q.head] = Owed[E]{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	if o.Block {
		q.blocks--
	}
	return o
}

// Full reports that the server owes as much as it may.
func (q *Queue[E]) Full() bool {
	return q.n >= MaxOwed
}

// Idle reports that the server owes nothing.
func (q *Queue[E]) Idle() bool {
	return q.n == 0
}

// Skipping reports that the server discards what it receives until a Sync.
func (q *Queue[E]) Skipping() bool {
	return q.skipping
}

// InBlock reports that whatever is sent next is certain to run inside an explicit transaction block: the last
// ReadyForQuery said so, and nothing that can end the block was carried out since or is outstanding.
func (q *Queue[E]) InBlock() bool {
	return q.status == 'T' && q.blocks == 0 && !q.unsure
}

// Status is that of the last ReadyForQuery.
func (q *Queue[E]) Status() byte {
	return q.status
}

// Close empties the queue and returns what was still owed.
func (q *Queue[E]) Close() []Owed[E] {
	left := make([]Owed[E], 0, q.n)
	for q.n > 0 {
		left = append(left, q.pop())
	}
	return left
}

// Answer says in whose name a server message came.
type Answer[E any] struct {
	Owed  Owed[E]
	Known bool // false for a message that nobody is owed (asynchronous ones, or an error while idle)
	Done  bool // the reply is complete
	// Dropped are those whose messages the server discarded because of this error.
	Dropped []Owed[E]
}

// Answer takes the type of a server message and finds whose it is. For ReadyForQuery, status is its byte. An error
// means that the server said something it could not have said: the session must end.
func (q *Queue[E]) Answer(t, status byte) (Answer[E], error) {
	switch t {
	case 'N', 'S', 'A':
		return Answer[E]{}, nil
	}
	if q.n == 0 {
		if t == 'E' {
			return Answer[E]{}, nil // the server's own farewell
		}
		return Answer[E]{}, fmt.Errorf("server sent %q while nothing was owed", t)
	}
	head := &q.ring[q.head]
	done, ok := owes(head.Expect, t)
	if !ok {
		return Answer[E]{}, fmt.Errorf("server answered %v with %q", head.Expect, t)
	}
	a := Answer[E]{Owed: *head, Known: true, Done: done}
	switch {
	case t == 'E' && head.Expect != Query && head.Expect != Sync && head.Expect != FunctionCall:
		a.Done = true
		q.pop()
		q.unsure = q.unsure || a.Owed.Block
		a.Dropped = q.drop()
	case t == 'Z':
		q.status, q.unsure = status, false
		q.pop()
	case done:
		q.pop()
		q.unsure = q.unsure || a.Owed.Block
	}
	return a, nil
}

// drop removes what the server discards after an error: everything up to the next Sync.
func (q *Queue[E]) drop() []Owed[E] {
	var dropped []Owed[E]
	for q.n > 0 {
		if q.ring[q.head].Expect == Sync {
			return dropped
		}
		dropped = append(dropped, q.pop())
	}
	q.skipping = true
	return dropped
}

// owes is the table of replies: may message t answer e, and does it complete the answer?
func owes(e Expect, t byte) (done, ok bool) {
	switch t {
	case 'E':
		return false, true
	case '1':
		return true, e == Parse
	case '2':
		return true, e == Bind
	case '3':
		return true, e == Close
	case 't':
		return false, e == DescribeStatement
	case 'n':
		return true, e == DescribeStatement || e == DescribePortal
	case 'T':
		return e != Query, e == DescribeStatement || e == DescribePortal || e == Query
	case 'C', 'I', 's':
		return e == Execute, e == Execute || (e == Query && t != 's')
	case 'D', 'd', 'c', 'G', 'H':
		return false, e == Execute || e == Query
	case 'V':
		return false, e == FunctionCall
	case 'Z':
		return true, e == Query || e == Sync || e == FunctionCall
	}
	return false, false
}

// Head is the oldest entry still owed.
func (q *Queue[E]) Head() (o Owed[E], ok bool) {
	if q.n == 0 {
		return o, false
	}
	return q.ring[q.head], true
}
