package search

import "testing"

// SetBatchRecords makes batches small for the length of a test.
func SetBatchRecords(t testing.TB, n int) {
	before := batchRecords
	batchRecords = n
	t.Cleanup(func() { batchRecords = before })
}
