package demo

// DatabaseName is the one database of the city.
const DatabaseName = "civil"

// catalogueRole is the proxy's own role: it may connect, and so read pg_catalog, and nothing else.
const catalogueRole = "shiguan_catalogue"

// Person is somebody who logs in at the proxy, and the upstream role that he shares with others of his position.
type Person struct {
	User       string
	Department string
	Position   string
	role       string
}

// people are those of DESIGN.md §6 who use the database.
var people = []Person{
	{"civil_clerk", "civil-affairs", "clerk", "civil_affairs_clerk"},
	{"civil_manager", "civil-affairs", "manager", "civil_affairs_manager"},
	{"fund_clerk", "housing-fund", "clerk", "housing_fund_clerk"},
	{"auditor", "audit-office", "auditor", "audit_office_auditor"},
	{"bench", "it-centre", "load-test", "it_centre_load_test"},
}

// investigator uses the console and the investigator's commands; the database does not know him.
var investigator = Person{"investigator", "discipline-inspection", "investigator", ""}

// witnessDepartments run the witnesses; two of the three make a quorum.
var witnessDepartments = []string{"discipline-inspection", "audit-office", "data-bureau"}

const quorum = 2
