package recent_test

import (
	"math/rand/v2"
	"testing"

	"shiguan/policy/recent"
)

func TestForgetsWhatWasUsedLongestAgo(t *testing.T) {
	c := recent.New[int, string](8000)
	for i := range 8 {
		c.Add(i, "", 840) // 1,000 each with what an entry costs
	}
	if _, ok := c.Get(0); !ok {
		t.Fatal("0 was forgotten while there was room")
	}
	c.Add(8, "", 840)
	if _, ok := c.Get(1); ok {
		t.Error("1 was used longest ago and is still there")
	}
	for _, k := range []int{0, 2, 3, 4, 5, 6, 7, 8} {
		if _, ok := c.Get(k); !ok {
			t.Errorf("%d was forgotten", k)
		}
	}
}

func TestStaysWithinItsBytes(t *testing.T) {
	const limit = 50_000
	c := recent.New[int, int](limit)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		key, size := r.IntN(500), r.IntN(7000)
		c.Add(key, i, size)
		got, ok := c.Get(key)
		if kept := size+160 <= limit/8; ok != kept || ok && got != i {
			t.Fatalf("after adding %d bytes: there %v, want %v; value %d, want %d", size, ok, kept, got, i)
		}
		values, bytes := c.Size()
		if bytes > limit || values > limit/160 {
			t.Fatalf("%d values of %d bytes, limit %d", values, bytes, limit)
		}
	}
	c.Purge()
	if values, bytes := c.Size(); values != 0 || bytes != 0 {
		t.Errorf("after Purge: %d values, %d bytes", values, bytes)
	}
	c.Add(1, 1, 1)
	if _, ok := c.Get(1); !ok {
		t.Error("nothing can be added after Purge")
	}
}

func TestLookingUpAllocatesNothing(t *testing.T) {
	c := recent.New[string, int](10_000)
	c.Add("a", 1, 1)
	c.Add("b", 2, 1)
	if n := testing.AllocsPerRun(100, func() { c.Get("a"); c.Get("b"); c.Get("c") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
