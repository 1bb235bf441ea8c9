package signed

import (
	"path/filepath"
	"time"

	"shiguan/configs"
)

// Listed is a grant as people look at it.
type Listed struct {
	ID      string   `json:"grant"`
	State   string   `json:"state"` // "in force", "not yet", "run out", "withdrawn", or why it is refused
	Person  string   `json:"person"`
	Purpose string   `json:"purpose"`
	From    string   `json:"from"`
	Until   string   `json:"until"`
	By      []string `json:"signed_by"`
	File    string   `json:"file"`
}

// List reads the grants of a proxy as the proxy would. It changes nothing.
func List(cfg *configs.Proxy, now time.Time) ([]Listed, error) {
	p, err := Load(cfg, now)
	if err != nil {
		return nil, err
	}
	g, err := NewGovernor(cfg, now)
	if err != nil {
		return nil, err
	}
	files, err := ReadGrants(cfg.Grants.Dir.String(), p)
	if err != nil {
		return nil, err
	}
	late := g.Latest(now)
	var list []Listed
	for _, f := range files {
		l := Listed{File: filepath.Base(f.File), By: f.By, State: "in force"}
		if f.Grant != nil {
			l.ID, l.Person, l.Purpose = f.Grant.ID, f.Grant.Person, f.Grant.Purpose
			l.From, l.Until = f.Grant.From.Format(time.RFC3339), f.Grant.Until.Format(time.RFC3339)
		}
		switch {
		case f.Err != nil:
			l.State = "refused: " + f.Err.Error()
		case g.state.Grants[l.ID].Withdrawn:
			l.State = "withdrawn"
		case !late.Before(f.Grant.Until):
			l.State = "run out"
		case now.Before(f.Grant.From):
			l.State = "not yet"
		}
		list = append(list, l)
	}
	return list, nil
}
