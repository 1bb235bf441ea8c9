package session_test

import (
	"testing"

	"shiguan/proxy/session"
)

func push(t *testing.T, q *session.Queue[string], e session.Expect, who string) {
	t.Helper()
	if !q.Push(session.Owed[string]{Expect: e, Exec: who}) {
		t.Fatalf("%v for %s was not accepted", e, who)
	}
}

// answer feeds one server message and checks whose it is.
func answer(t *testing.T, q *session.Queue[string], m byte, who string, done bool) session.Answer[string] {
	t.Helper()
	a, err := q.Answer(m, 'I')
	if err != nil {
		t.Fatalf("%q: %v", m, err)
	}
	if a.Owed.Exec != who || a.Done != done {
		t.Fatalf("%q went to %q done=%v, want %q done=%v", m, a.Owed.Exec, a.Done, who, done)
	}
	return a
}

func TestPipelineInOrder(t *testing.T) {
	q := session.NewQueue[string]('I')
	push(t, q, session.Parse, "p1")
	push(t, q, session.DescribeStatement, "d1")
	push(t, q, session.Bind, "b1")
	push(t, q, session.DescribePortal, "d2")
	push(t, q, session.Execute, "e1")
	push(t, q, session.Execute, "e2")
	push(t, q, session.Close, "c1")
	push(t, q, session.Sync, "s1")
	push(t, q, session.Query, "q1")
	answer(t, q, '1', "p1", true)
	answer(t, q, 't', "d1", false)
	answer(t, q, 'T', "d1", true)
	answer(t, q, '2', "b1", true)
	answer(t, q, 'n', "d2", true)
	answer(t, q, 'D', "e1", false)
	answer(t, q, 's', "e1", true)
	answer(t, q, 'C', "e2", true)
	answer(t, q, '3', "c1", true)
	answer(t, q, 'Z', "s1", true)
	answer(t, q, 'T', "q1", false)
	answer(t, q, 'D', "q1", false)
	answer(t, q, 'C', "q1", false)
	answer(t, q, 'I', "q1", false)
	answer(t, q, 'E', "q1", false)
	answer(t, q, 'Z', "q1", true)
	if !q.Idle() {
		t.Fatal("something is still owed")
	}
}

func TestErrorDiscardsUntilSync(t *testing.T) {
	q := session.NewQueue[string]('I')
	push(t, q, session.Parse, "p1")
	push(t, q, session.Bind, "b1")
	push(t, q, session.Query, "ignored")
	push(t, q, session.Sync, "s1")
	push(t, q, session.Parse, "p2")
	a := answer(t, q, 'E', "p1", true)
	if len(a.Dropped) != 2 || a.Dropped[1].Exec != "ignored" {
		t.Fatalf("dropped %v", a.Dropped)
	}
	answer(t, q, 'Z', "s1", true)
	answer(t, q, 'E', "p2", true)
	if !q.Skipping() {
		t.Fatal("the server skips until Sync, the queue does not know")
	}
	if q.Push(session.Owed[string]{Expect: session.Query, Exec: "q"}) {
		t.Fatal("a discarded message is owed a reply")
	}
	push(t, q, session.Sync, "s2")
	answer(t, q, 'Z', "s2", true)
}

func TestUnowedRepliesAreErrors(t *testing.T) {
	cases := []struct {
		expect session.Expect
		m      byte
	}{
		{session.Parse, '2'}, {session.Bind, 'D'}, {session.Execute, 'T'}, {session.Execute, 'Z'},
		{session.Sync, 'C'}, {session.Query, '1'}, {session.Query, 's'}, {session.Close, 'C'},
		{session.Query, 'R'}, {session.Query, 'W'}, {session.Query, 'V'}, {session.Query, 0},
	}
	for _, c := range cases {
		q := session.NewQueue[string]('I')
		push(t, q, c.expect, "x")
		if _, err := q.Answer(c.m, 'I'); err == nil {
			t.Errorf("%v answered by %q was accepted", c.expect, c.m)
		}
	}
	q := session.NewQueue[string]('I')
	if _, err := q.Answer('Z', 'I'); err == nil {
		t.Error("ReadyForQuery out of nowhere was accepted")
	}
}

func TestInBlock(t *testing.T) {
	q := session.NewQueue[string]('I')
	q.Push(session.Owed[string]{Expect: session.Query, Exec: "begin", Block: true})
	if q.InBlock() {
		t.Fatal("in a block before BEGIN was answered")
	}
	if _, err := q.Answer('C', 0); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Answer('Z', 'T'); err != nil {
		t.Fatal(err)
	}
	if !q.InBlock() {
		t.Fatal("not in the block after BEGIN")
	}
	q.Push(session.Owed[string]{Expect: session.Query, Exec: "commit", Block: true})
	if q.InBlock() {
		t.Fatal("certain of a block although COMMIT is under way")
	}
}

// Between the reply to an Execute of COMMIT and the ReadyForQuery of its Sync the last status known is an old one.
func TestInBlockAfterExecutedCommit(t *testing.T) {
	for _, reply := range []byte{'C', 'E'} {
		q := session.NewQueue[string]('T')
		q.Push(session.Owed[string]{Expect: session.Execute, Exec: "commit", Block: true})
		q.Push(session.Owed[string]{Expect: session.Sync})
		answer(t, q, reply, "commit", true)
		if q.InBlock() {
			t.Errorf("certain of a block although COMMIT was answered with %q", reply)
		}
		if _, err := q.Answer('Z', 'T'); err != nil {
			t.Fatal(err)
		}
		if !q.InBlock() {
			t.Error("not in the block that ReadyForQuery tells of")
		}
	}
}

func TestFullQueue(t *testing.T) {
	q := session.NewQueue[string]('I')
	for range session.MaxOwed {
		if q.Full() {
			t.Fatal("full too early")
		}
		push(t, q, session.Bind, "b")
	}
	if !q.Full() {
		t.Fatal("not full")
	}
	push(t, q, session.Bind, "of the same message") // which was begun before
	answer(t, q, '2', "b", true)
	if !q.Full() {
		t.Fatal("it owes as many as it may, and is not full")
	}
	answer(t, q, '2', "b", true)
	if q.Full() {
		t.Fatal("full, although there is room")
	}
	left := q.Close()
	if len(left) != session.MaxOwed-1 || left[len(left)-1].Exec != "of the same message" || !q.Idle() {
		t.Fatalf("%d were still owed", len(left))
	}
}

func TestNamesFollowTheServer(t *testing.T) {
	n := session.NewNames[string]()
	find := func(name, want string) {
		t.Helper()
		if got, _ := n.Find(name); got != want {
			t.Fatalf("%q means %q, want %q", name, got, want)
		}
	}
	fate := func(v uint32) *session.Fate { f := new(session.Fate); f.Set(v); return f }
	n.Define("s", "one", fate(session.Done), 1)
	second := fate(session.Pending)
	n.Define("s", "two", second, 2)
	find("s", "two")
	if n.Unsettled("s", 2) != nil {
		t.Fatal("waits for its own batch")
	}
	if n.Unsettled("s", 3) != second {
		t.Fatal("a later batch would use a name whose definition may have failed")
	}
	second.Set(session.Failed) // duplicate name: the old statement stays
	find("s", "one")
	n.Remove("s", fate(session.Skipped), 3) // Close discarded after an error
	find("s", "one")
	n.Remove("s", fate(session.Done), 1)
	find("s", "")
	n.Define("", "a", fate(session.Done), 1)
	n.Define("", "b", fate(session.Skipped), 3)
	find("", "a")
	n.Define("", "c", fate(session.Failed), 4) // a failed Parse destroys the unnamed statement
	find("", "")
	if n.Len() != 0 {
		t.Fatalf("%d names left", n.Len())
	}
}
