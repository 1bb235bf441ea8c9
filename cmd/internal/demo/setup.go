package demo

import (
	"bytes"
	"embed"
	"fmt"
	"text/template"
)

//go:embed files/*
var files embed.FS

// writeConfigs writes every configuration file anew, since ports and paths may differ from the last run. Nothing that
// must outlive a run is in them.
func (l layout) writeConfigs(s *secrets, socket string) error {
	data := l.templateData(s, socket)
	for name, file := range map[string]string{
		"proxy.yaml.tmpl":        l.proxyConfig(),
		"investigator.yaml.tmpl": l.investigatorConfig(),
		"quorum.policy.tmpl":     l.path("quorum.policy"),
	} {
		if err := l.render(name, file, data); err != nil {
			return err
		}
	}
	for i, department := range witnessDepartments {
		one := map[string]any{"Department": department, "Name": witnessName(department), "Listen": address(l.witnessPort(i)),
			"Origin": origin, "LogVKey": s.logVKey}
		if err := l.render("witness.yaml.tmpl", l.witnessConfig(department), one); err != nil {
			return err
		}
	}
	if err := replaceFile(l.key("investigators.recipients"), []byte(s.recipient+"\n"), 0o644); err != nil {
		return err
	}
	if err := l.copyPolicy(); err != nil {
		return err
	}
	return l.writePeople(s)
}

// copyPolicy writes the demo's policy. It is the embedded one at every start: what somebody changed in DIR/policy.yaml
// to try something out lasts until then.
func (l layout) copyPolicy() error {
	text, err := files.ReadFile("files/policy.yaml")
	if err != nil {
		return err
	}
	return replaceFile(l.path("policy.yaml"), text, 0o644)
}

func (l layout) templateData(s *secrets, socket string) map[string]any {
	var roles []string
	for _, p := range people {
		roles = append(roles, p.role)
	}
	return map[string]any{
		"Proxy": address(l.proxyPort()), "Metrics": address(l.metricsPort()), "Log": address(l.logPort()),
		"Console": address(l.consolePort()), "LogURL": httpURL(l.logPort(), "/"), "Postgres": l.postgresPort(),
		"Origin": origin, "Database": DatabaseName, "Socket": socket, "Catalogue": catalogueRole, "Roles": roles,
		"LogVKey": s.logVKey, "Quorum": quorum, "Witnesses": l.witnessEntries(s),
	}
}

func (l layout) witnessEntries(s *secrets) []WitnessEntry {
	var entries []WitnessEntry
	for i, department := range witnessDepartments {
		entries = append(entries, WitnessEntry{department, httpURL(l.witnessPort(i), "/"), s.witnessVKeys[department]})
	}
	return entries
}

func (l layout) render(name, file string, data any) error {
	t, err := template.New(name).Option("missingkey=error").ParseFS(files, "files/"+name)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return replaceFile(file, text.Bytes(), 0o644)
}
