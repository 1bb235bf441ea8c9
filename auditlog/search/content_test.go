package search_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/search"
)

func TestErasedPeriodIsForgotten(t *testing.T) {
	b := newBench(t)
	person := record.Subject{7}
	secret := b.add(record.Record{Kind: record.KindStatement, Session: "0000000000000001", Seq: 1, Person: "clerk",
		Statement: "SELECT 'geheimnisvoll'", Tables: []string{"civil.citizens"}, Decision: record.DecisionAllowed,
		Subjects: []record.Subject{person}})
	for i := range 500 { // enough to be moved about in the file, and to leave traces if it can
		b.statement(fmt.Sprintf("SELECT 'geheimnisvoll %d', %s", i, strings.Repeat("x", i)))
	}
	b.src.nextPeriod()
	kept := b.add(record.Record{Kind: record.KindStatement, Session: "0000000000000001", Seq: 2, Person: "clerk",
		Statement: "SELECT 'sichtbar'", Tables: []string{"civil.citizens"}, Decision: record.DecisionAllowed,
		Subjects: []record.Subject{person}, Earlier: []record.Outcome{{Of: secret, Rows: 3}}})
	b.update()
	if subject, text := b.search(search.Query{Subject: &person}), b.search(search.Query{Text: "geheimnis"}); len(subject) != 2 || len(text) != 501 {
		t.Fatalf("%d and %d hits before the erasure", len(subject), len(text))
	}
	b.src.erased[1] = true
	b.add(record.Record{Kind: record.KindPeriodErased, Person: "records-office", Reason: "retention",
		Detail: map[string]string{"period": "1"}})
	b.update()
	check := func() {
		t.Helper()
		for name, q := range map[string]search.Query{"subject": {Subject: &person}, "table": {Table: "citizens"}, "person": {Person: "clerk"}} {
			if hit := b.one(q); hit.Index != kept {
				t.Errorf("by %s: record %d is found", name, hit.Index)
			}
		}
		if hits := b.search(search.Query{Text: "geheimnisvoll"}); len(hits) != 0 {
			t.Errorf("by text: %s", show(hits))
		}
		hits := b.search(search.Query{Until: start.Add(time.Millisecond)})
		want := search.Hit{Index: secret, Kind: record.KindStatement, Time: start, Outcome: search.OutcomeErased, Rows: -1, Bytes: -1}
		if len(hits) != 1 || hits[0].Index != secret || hits[0].Outcome != search.OutcomeErased || hits[0].Statement != "" || hits[0].Person != "" {
			t.Errorf("got %s\nwant %+v", show(hits), want)
		}
	}
	check()
	if err := b.x.Close(); err != nil {
		t.Fatal(err)
	}
	if n := b.rows("SELECT count(*) FROM texts WHERE texts MATCH 'geheimnis'"); n != 0 {
		t.Errorf("the text index still has %d erased statements", n)
	}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(b.path + suffix)
		if err != nil && suffix == "-wal" && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), "sichtbar") {
			t.Errorf("the file %q does not hold the other statement either", b.path+suffix)
		}
		if strings.Contains(string(content), "geheimnisvoll") {
			t.Errorf("the file %q still holds the erased statement", b.path+suffix)
		}
	}
	// An index built afterwards says the same.
	if err := os.Remove(b.path); err != nil {
		t.Fatal(err)
	}
	b.x = openIndex(t, b.path)
	b.update()
	check()
	noAnomalies(t, b.x)
}

// A record that cannot be read stops nothing: the rest stays searchable, and it is told that something is missing.
func TestUnreadableRecordsStopNothing(t *testing.T) {
	b := newBench(t)
	b.statement("SELECT 'before'")
	b.add(record.Record{Kind: record.KindHeartbeat})
	b.src.nextPeriod()
	spoiled := b.statement("SELECT 'spoiled'")
	b.src.stored[spoiled].Sealed = []byte("not what the leaf says")
	b.statement("SELECT 'after'")
	delete(b.src.wrapped, 1)
	b.src.signAll()
	b.update()
	if hits := b.search(search.Query{Text: "SELECT"}); len(hits) != 1 || hits[0].Statement != "SELECT 'after'" {
		t.Errorf("found %s", show(hits))
	}
	var unreadable []uint64
	for _, h := range b.search(search.Query{}) {
		if h.Outcome == search.OutcomeUnreadable {
			unreadable = append(unreadable, h.Index)
		}
	}
	found, err := b.x.Anomalies(context.Background())
	if err != nil || !reflect.DeepEqual(unreadable, []uint64{2, 0}) || len(found) != 3 {
		t.Errorf("unreadable %v, anomalies %v, %v", unreadable, found, err)
	}
}

func mustAppend(t testing.TB, r *record.Record) []byte {
	t.Helper()
	payload, err := r.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// Each way in which a record can contradict itself is an anomaly of its own.
func TestEachUnreadableRecordIsNamed(t *testing.T) {
	b := newBench(t)
	b.statement("SELECT 1")
	b.src.stored[0].Sealed = []byte("not what the leaf says")
	b.src.addPayload(record.KindStatement, start, []byte("hello"))
	b.src.addPayload(record.KindHeartbeat, start, mustAppend(t, &record.Record{Kind: record.KindStatement, Time: start}))
	b.src.addPayload(record.KindStatement, start.Add(time.Second), mustAppend(t, &record.Record{Kind: record.KindStatement, Time: start}))
	b.update()
	found, err := b.x.Anomalies(context.Background())
	if err != nil || len(found) != 4 {
		t.Fatalf("anomalies %v, %v", found, err)
	}
	for i, want := range []string{"hash", "not valid", "kind or time", "kind or time"} {
		if found[i].Record != uint64(i) || !strings.Contains(found[i].What, want) {
			t.Errorf("anomaly %+v, want record %d and %q", found[i], i, want)
		}
	}
}

// A wrong identity is the investigator's mistake and not the log's: nothing is taken until it is the right one.
func TestWrongIdentityStops(t *testing.T) {
	b := newBench(t)
	b.statements(3)
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	err = b.x.Update(context.Background(), b.src, auditlog.NewOpener(b.src, []age.Identity{stranger}), nil)
	if !errors.Is(err, seal.ErrNoIdentity) {
		t.Errorf("error %v", err)
	}
	b.src.broken = errors.New("the network is gone")
	if err := b.try(); !errors.Is(err, b.src.broken) {
		t.Errorf("error %v", err)
	}
	b.src.broken = nil
	b.update()
	b.same()
	noAnomalies(t, b.x)
}

// A record about a statement that is not there, or is another session's, changes nothing and is told.
func TestMisplacedRecordsAreAnomalies(t *testing.T) {
	b := newBench(t)
	s := b.statement("SELECT 1")
	nowhere, itself := uint64(99), uint64(3)
	person := record.Subject{1}
	for _, r := range []record.Record{
		{Kind: record.KindOutcome, Session: "0000000000000002", Of: &s, Outcome: &record.Outcome{Rows: 9}},
		{Kind: record.KindOutcome, Session: "0000000000000001", Of: &nowhere, Outcome: &record.Outcome{Rows: 9}},
		{Kind: record.KindDisclosure, Session: "0000000000000001", Of: &itself, Subjects: []record.Subject{person}},
		{Kind: record.KindDisclosure, Session: "0000000000000001", Subjects: []record.Subject{person}},
		{Kind: record.KindSessionClosed, Session: "0000000000000002", Earlier: []record.Outcome{{Of: s, Rows: 9}}},
		{Kind: record.KindPeriodErased, Detail: map[string]string{"period": "yesterday"}},
	} {
		b.add(r)
	}
	b.update()
	if hit := b.one(search.Query{}); hit.Outcome != search.OutcomePending || hit.Rows != -1 {
		t.Errorf("got %+v", hit)
	}
	if hits := b.search(search.Query{Subject: &person}); len(hits) != 0 {
		t.Errorf("found %s", show(hits))
	}
	found, err := b.x.Anomalies(context.Background())
	if err != nil || len(found) != 6 {
		t.Errorf("anomalies %v, %v", found, err)
	}
	for i, a := range found {
		if a.Record != uint64(i)+1 {
			t.Errorf("anomaly %+v, want record %d", a, i+1)
		}
	}
}
