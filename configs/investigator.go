package configs

import (
	"fmt"
	"time"
	_ "time/tzdata" // time_zone must work on machines without zone files
)

// Investigator is what the investigator's commands and the console take as --config: where a log is, which key opens
// it and which cosignatures make it count.
type Investigator struct {
	Log        LogSource `yaml:"log"`
	Origin     string    `yaml:"origin"`      // the log's name; another log at that place is refused
	Identity   Path      `yaml:"identity"`    // age identities that open the records, from `shiguan key new-identity`
	SubjectKey Path      `yaml:"subject_key"` // the proxies' subject key, for who-saw
	Quorum     Path      `yaml:"quorum"`      // C2SP tlog-policy file
	Index      Path      `yaml:"index"`       // SQLite search index, made when missing, rebuilt from the log at will
	TimeZone   string    `yaml:"time_zone"`   // for the times that people read, Asia/Shanghai when left out
	Console    Console   `yaml:"console"`
}

// LogSource is a log's directory, or its address; the directory is used when both are given.
type LogSource struct {
	Dir Path   `yaml:"dir"`
	URL string `yaml:"url"`
}

// Console is the investigator's web page.
type Console struct {
	Listen string `yaml:"listen"` // host:port
	People Path   `yaml:"people"` // who may log in, in the same form as the proxy's people file
}

// LoadInvestigator reads and checks an investigator's configuration. Its error is an *Error where the file could be
// read.
func LoadInvestigator(file string) (*Investigator, error) {
	c := &Investigator{TimeZone: "Asia/Shanghai", Console: Console{Listen: "127.0.0.1:8080"}}
	if err := load(file, c); err != nil {
		return nil, err
	}
	return c, nil
}

// Location is the time zone for the times that people read.
func (c *Investigator) Location() (*time.Location, error) {
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("time_zone: %w: write a name such as Asia/Shanghai", err)
	}
	return zone, nil
}

func (c *Investigator) check(r *reporter) {
	if c.Log.Dir == "" && c.Log.URL == "" {
		r.add("log.dir or log.url is missing: say where the log is", "log")
	}
	if c.Log.URL != "" {
		r.httpURL(c.Log.URL, "log", "url")
	}
	r.required(c.Origin, "the log's name, as in the proxy's log.origin", "origin")
	r.required(c.Identity.String(), "the file that `shiguan key new-identity` writes", "identity")
	r.required(c.SubjectKey.String(), "the proxies' subject key", "subject_key")
	r.required(c.Quorum.String(), "the quorum policy, in C2SP tlog-policy form", "quorum")
	r.required(c.Index.String(), "a file for the search index", "index")
	r.address(c.Console.Listen, "console", "listen")
	if _, err := c.Location(); err != nil {
		r.add(err.Error(), "time_zone")
	}
}
