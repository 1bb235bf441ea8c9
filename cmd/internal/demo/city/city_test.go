package city_test

import (
	"reflect"
	"testing"
	"unicode/utf8"

	"shiguan/cmd/internal/demo/city"
)

func TestTheSameCityEveryTime(t *testing.T) {
	if !reflect.DeepEqual(city.New(), city.New()) {
		t.Fatal("two cities differ")
	}
}

func TestCityHoldsTogether(t *testing.T) {
	c := city.New()
	if len(c.Citizens) != city.Citizens {
		t.Fatalf("%d citizens", len(c.Citizens))
	}
	people := map[string]bool{}
	for _, p := range c.Citizens {
		if !city.ValidResidentID(p.ID) || p.ID[6:14] != p.Born.Format("20060102") || p.ID[:2] != "99" {
			t.Errorf("%s born %s", p.ID, p.Born)
		}
		if people[p.ID] {
			t.Errorf("%s is given twice", p.ID)
		}
		people[p.ID] = true
		if n := utf8.RuneCountInString(p.Name); n < 2 || n > 4 || len(p.Phone) != 11 || p.Address == "" {
			t.Errorf("%+v", p)
		}
	}
	members := 0
	for _, h := range c.Households {
		members += h.Size
		if !people[h.ID] {
			t.Errorf("the head of household %d is nobody", h.Number)
		}
	}
	if members != city.Citizens {
		t.Errorf("the households have %d members", members)
	}
	accounts := map[string]bool{}
	for _, a := range c.Accounts {
		if !people[a.ID] || accounts[a.Number] || a.Balance <= 0 {
			t.Errorf("%+v", a)
		}
		accounts[a.Number] = true
	}
	for _, p := range c.Payments {
		if !people[p.ID] || p.Amount <= 0 || p.Reason == "" {
			t.Errorf("%+v", p)
		}
	}
	if len(c.Accounts) < 500 || len(c.Payments) < 500 || len(c.Households) < 500 {
		t.Errorf("%d accounts, %d payments, %d households", len(c.Accounts), len(c.Payments), len(c.Households))
	}
}

func TestCheckDigit(t *testing.T) {
	// The standard's own worked examples.
	for id, want := range map[string]bool{"11010519491231002X": true, "440524188001010014": true,
		"110105194912310021": false, "11010519491231002x": false, "1101051949123100X": false, "": false, "A1010519491231002X": false} {
		if got := city.ValidResidentID(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}
