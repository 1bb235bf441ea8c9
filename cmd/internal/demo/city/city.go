package city

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Citizens is how many people live in the city.
const Citizens = 2000

// today is the city's date for ages, so that the same people come out on every run.
var today = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

// Citizen is a row of civil.citizens.
type Citizen struct {
	ID, Name, Phone, Address string
	Born                     time.Time
	district                 int
}

// Household is a row of civil.households. ID is the number of its head.
type Household struct {
	Number   int
	ID       string
	Size     int
	District string
}

// Account is a row of housing.fund_accounts. Balance is in fen.
type Account struct {
	Number, ID, Employer string
	Balance              int64
}

// Payment is a row of welfare.payments. Amount is in fen.
type Payment struct {
	Number int64
	ID     string
	Amount int64
	Reason string
	PaidOn time.Time
}

// City is everybody and everything about them.
type City struct {
	Citizens   []Citizen
	Households []Household
	Accounts   []Account
	Payments   []Payment
}

// builder draws from one source of chance in one fixed order.
type builder struct {
	*rand.Rand
	city   City
	issued map[string]int // next sequence by region and date of birth
}

// New invents the city. Two calls return the same one.
func New() *City {
	b := &builder{Rand: rand.New(rand.NewPCG(2026, 114)), issued: map[string]int{}}
	for len(b.city.Citizens) < Citizens {
		b.household()
	}
	for i := range b.city.Citizens {
		b.account(&b.city.Citizens[i])
	}
	for i := range b.city.Citizens {
		b.payments(&b.city.Citizens[i])
	}
	return &b.city
}

// household moves a family in: one or two grown-ups, perhaps children, perhaps a grandparent, all at one address.
func (b *builder) household() {
	d := b.IntN(len(districts))
	district := districts[d]
	address := fmt.Sprintf("%s%s%s%d号%s%d栋%d单元%d%02d室", cityName, district.Name, district.streets[b.IntN(len(district.streets))],
		1+b.IntN(288), estates[b.IntN(len(estates))], 1+b.IntN(24), 1+b.IntN(4), 1+b.IntN(18), 1+b.IntN(4))
	headAge := 24 + b.IntN(60)
	surname := b.surname()
	ages, names := []int{headAge}, []string{surname}
	if b.IntN(100) < 62 {
		ages, names = append(ages, max(22, headAge-6+b.IntN(10))), append(names, b.surname())
		for range b.children(headAge) {
			ages, names = append(ages, max(0, headAge-24-b.IntN(10))), append(names, surname)
		}
	}
	if headAge < 58 && b.IntN(100) < 22 {
		ages, names = append(ages, headAge+22+b.IntN(10)), append(names, surname)
	}
	size := min(len(ages), Citizens-len(b.city.Citizens))
	head := ""
	for i := range size {
		c := b.citizen(names[i], ages[i], d, address)
		if i == 0 {
			head = c.ID
		}
		b.city.Citizens = append(b.city.Citizens, c)
	}
	b.city.Households = append(b.city.Households, Household{Number: 10001 + len(b.city.Households), ID: head, Size: size, District: district.Name})
}

func (b *builder) children(headAge int) int {
	if headAge < 26 || headAge > 52 {
		return 0
	}
	return []int{0, 1, 1, 1, 2, 2, 3}[b.IntN(7)]
}

func (b *builder) citizen(surname string, age, district int, address string) Citizen {
	born := today.AddDate(-age, 0, -1-b.IntN(364))
	female := b.IntN(2)
	given := givenMale
	if female == 1 {
		given = givenFemale
	}
	name := surname + string(given[b.IntN(len(given))])
	if b.IntN(100) < 78 {
		name += string(given[b.IntN(len(given))])
	}
	region := districts[district].Region
	if b.IntN(10) < 3 {
		region = districts[b.IntN(len(districts))].Region // born elsewhere in the city
	}
	phone := fmt.Sprintf("154%08d", b.IntN(100_000_000))
	return Citizen{ID: b.residentID(region, born, female), Name: name, Phone: phone, Address: address, Born: born, district: district}
}

// residentID gives each sequence number of a region and day out once; odd ones to men.
func (b *builder) residentID(region string, born time.Time, female int) string {
	day := region + born.Format("20060102") + fmt.Sprint(female)
	n := b.issued[day]
	b.issued[day] = n + 1
	return residentID(region, born, 2*(n+1+b.IntN(8)*50)-1+female)
}

func (b *builder) surname() string {
	if b.IntN(250) == 0 {
		return doubleSurnames[b.IntN(len(doubleSurnames))]
	}
	// The smaller of two draws favours the front of the list, where the frequent names stand.
	return string(surnames[min(b.IntN(len(surnames)), b.IntN(len(surnames)))])
}

func (c *Citizen) age() int { return int(today.Sub(c.Born).Hours() / 24 / 365.25) }

func (b *builder) account(c *Citizen) {
	if age := c.age(); age < 22 || age > 60 || b.IntN(100) >= 80 {
		return
	}
	b.city.Accounts = append(b.city.Accounts, Account{
		Number:   fmt.Sprintf("9901%08d", 20_000_000+37*len(b.city.Accounts)+b.IntN(37)),
		ID:       c.ID,
		Employer: employers[b.IntN(len(employers))],
		Balance:  int64(b.IntN(18_000_000)) + 50_000,
	})
}

// payments gives about one citizen in six a benefit that suits his age, for some months.
func (b *builder) payments(c *Citizen) {
	if b.IntN(6) != 0 {
		return
	}
	kind, age := benefits[b.IntN(len(benefits))], c.age()
	if age < kind.minAge || age > kind.maxAge {
		kind = benefits[3] // an illness can strike at any age
	}
	amount := int64(kind.from+b.IntN(kind.to-kind.from)) * 100
	for month := range 1 + b.IntN(9) {
		b.city.Payments = append(b.city.Payments, Payment{
			Number: 500_001 + int64(len(b.city.Payments)),
			ID:     c.ID,
			Amount: amount,
			Reason: kind.reason,
			PaidOn: today.AddDate(0, -month, 4+b.IntN(20)-30),
		})
	}
}
