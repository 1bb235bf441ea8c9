package proxy

// places counts the sessions that are open or being opened, in all and by whose and where. The Server's mutex guards it.
type places struct {
	all               int
	byPerson, byWhere map[string]int
}

func newPlaces() places { return places{byPerson: map[string]int{}, byWhere: map[string]int{}} }

// reserve takes a place among the sessions, before the server is asked for one. Where there is none it returns what the
// client is told, in PostgreSQL's words.
func (s *Server) reserve(person, database string) (full string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, l := &s.places, &s.limits
	switch {
	case s.draining, p.all >= l.Connections:
		return "sorry, too many clients already"
	case l.PerPerson > 0 && p.byPerson[person] >= l.PerPerson:
		return "too many connections for role \"" + person + "\""
	case l.PerDatabase > 0 && p.byWhere[database] >= l.PerDatabase:
		return "too many connections for database \"" + database + "\""
	}
	p.all++
	p.byPerson[person]++
	p.byWhere[database]++
	return ""
}

// release gives a place back that became no session.
func (s *Server) release(person, database string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places.give(person, database)
}

// give takes one off every count; what nobody has is forgotten.
func (p *places) give(person, database string) {
	p.all--
	for counts, key := range map[*map[string]int]string{&p.byPerson: person, &p.byWhere: database} {
		if (*counts)[key]--; (*counts)[key] == 0 {
			delete(*counts, key)
		}
	}
}
