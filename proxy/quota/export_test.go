package quota

import (
	"fmt"
	"os"

	"shiguan/auditlog/record"
)

// PutFile has the book write to another file.
func PutFile(b *Book, name string) {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	b.file.f = f
}

// Fill has the book count as much as it can.
func Fill(b *Book) {
	for i := range maxCounters {
		b.counters[key{fmt.Sprint(i), "full"}] = &counter{seen: map[record.Subject]struct{}{}}
	}
	b.seen = maxSeen
}
