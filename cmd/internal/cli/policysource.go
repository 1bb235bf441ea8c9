package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shiguan/cmd/internal/policydesk"
	"shiguan/cmd/internal/signed"
	"shiguan/configs"
	"shiguan/policy"
	"shiguan/policy/sql"
	"shiguan/proxy/auth"
)

// policySource says where the policy commands find policy, people and catalogue: a proxy's configuration names all three,
// and a flag for each stands in its place.
type policySource struct {
	config, policy, people, dsn, database, snapshot string

	proxy *configs.Proxy // nil without --config
}

func (s *policySource) addDatabase(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.config, "config", "", "the proxy's configuration, for the database")
	f.StringVar(&s.dsn, "dsn", "", "connection string of the database, instead of the one in --config")
	f.StringVar(&s.snapshot, "snapshot", "", "a catalogue that policy snapshot recorded, instead of a database")
	f.StringVar(&s.database, "database", "", "which database of --config, when it has several")
}

// addCatalogue is addDatabase for commands whose --config is somebody else's.
func (s *policySource) addCatalogue(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.dsn, "dsn", "", "connection string of the database whose tables are meant")
	f.StringVar(&s.snapshot, "snapshot", "", "a catalogue that policy snapshot recorded, instead of a database")
}

func (s *policySource) addAll(cmd *cobra.Command) {
	s.addDatabase(cmd)
	f := cmd.Flags()
	f.Lookup("config").Usage = "the proxy's configuration: it names the policy, the people and the database"
	f.StringVar(&s.policy, "policy", "", "the policy file, instead of the one in --config")
	f.StringVar(&s.people, "people", "", "the people file, instead of the one in --config")
}

// read loads the configuration, if one was named.
func (s *policySource) read() error {
	if s.config == "" {
		return nil
	}
	cfg, err := configs.LoadProxy(s.config)
	if err != nil {
		return err
	}
	s.proxy = cfg
	return nil
}

func (s *policySource) loadPolicy() (*policy.Policy, error) {
	switch {
	case s.policy != "":
		return loadPolicy(s.policy)
	case s.proxy != nil:
		return signed.Load(s.proxy, time.Now())
	}
	return nil, errors.New("no policy: say --policy FILE or --config PROXY_CONFIG")
}

// person finds a user in the people file; only who he is matters here, not his password.
func (s *policySource) person(user string) (auth.Person, error) {
	file := s.people
	if file == "" && s.proxy != nil {
		file = s.proxy.People.String()
	}
	if file == "" {
		return auth.Person{}, errors.New("who the person is stands in the people file: say --people FILE or --config PROXY_CONFIG")
	}
	people, err := auth.LoadPeople(file)
	if err != nil {
		return auth.Person{}, err
	}
	person, ok := people.Find(user)
	if !ok {
		return auth.Person{}, fmt.Errorf("%s: nobody is called %q: take a user of that file", file, user)
	}
	return person, nil
}

// name is the database as clients say it.
func (s *policySource) name() string {
	if d, err := s.chosen(); s.database == "" && err == nil {
		return d.Name
	}
	return s.database
}

func (s *policySource) chosen() (*configs.Database, error) {
	if s.proxy == nil {
		return nil, errors.New("no database: say --config PROXY_CONFIG or --dsn, or --snapshot FILE")
	}
	all := s.proxy.Databases
	if s.database == "" && len(all) == 1 {
		return &all[0], nil
	}
	var names []string
	for i := range all {
		if all[i].Name == s.database {
			return &all[i], nil
		}
		names = append(names, all[i].Name)
	}
	return nil, fmt.Errorf("say --database with one of %s", strings.Join(names, ", "))
}

// given says that a catalogue was asked for.
func (s *policySource) given() bool { return s.snapshot != "" || s.dsn != "" || s.config != "" }

func (s *policySource) catalogue(ctx context.Context, load loadCatalogue) (*sql.Catalogue, error) {
	if s.snapshot != "" {
		return policydesk.ReadSnapshot(s.snapshot)
	}
	if s.dsn != "" {
		to, err := pgx.ParseConfig(s.dsn)
		if err != nil {
			return nil, err
		}
		return load(ctx, to)
	}
	d, err := s.chosen()
	if err != nil {
		return nil, err
	}
	db, err := database(d)
	if err != nil {
		return nil, err
	}
	to, err := db.ConfigFor(db.CatalogueUser, db.Catalogue, connectTimeout)
	if err != nil {
		return nil, err
	}
	to.RuntimeParams["application_name"] = "shiguan policy"
	return load(ctx, to)
}
