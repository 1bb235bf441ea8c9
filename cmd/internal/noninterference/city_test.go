package noninterference

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"gopkg.in/yaml.v3"

	"shiguan/cmd/internal/e2e/citytest"
)

// twinName is the second world's database. It is as long as the first one's name, civil, so that replacing one by the other
// changes no length of a message.
const (
	trueName = "civil"
	twinName = "cjvil"
)

// town is the demo city with its twin database, which the tests of this package share.
var town struct {
	*citytest.City
	worlds *worlds
}

func TestMain(m *testing.M) {
	code, err := inTown(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "noninterference:", err)
		code = 1
	}
	os.Exit(code)
}

// inTown builds the binary, runs a city with two worlds around the tests and stops it.
func inTown(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "shiguan-worlds-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL's user must get to its files
		return 1, err
	}
	binary, err := citytest.Build(dir)
	if err != nil {
		return 1, err
	}
	if town.City, err = citytest.Start(binary, filepath.Join(dir, "city")); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, town.Stop()) }()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := twin(ctx); err != nil {
		return 1, fmt.Errorf("the second world: %w", err)
	}
	return run(), nil
}

// twin copies the city's database, object numbers and all, and has the proxy serve both.
func twin(ctx context.Context) error {
	config, err := pgx.ParseConfig(town.UpstreamDSN)
	if err != nil {
		return err
	}
	config.Database = "postgres"
	admin, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	for _, statement := range []string{
		"ALTER SYSTEM SET autovacuum = off", // each world is vacuumed when it is made, and never by chance
		"SELECT pg_reload_conf()",
		"ALTER DATABASE " + trueName + " ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '" + trueName + "'",
		"CREATE DATABASE " + twinName + " TEMPLATE " + trueName,
		"UPDATE pg_database SET datacl = (SELECT datacl FROM pg_database WHERE datname = '" + trueName + "') WHERE datname = '" + twinName + "'",
		"ALTER DATABASE " + trueName + " ALLOW_CONNECTIONS true",
		"ALTER DATABASE " + twinName + " ALLOW_CONNECTIONS true",
	} {
		if _, err := admin.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	if err := serveTwin(town.ProxyConfig); err != nil {
		return err
	}
	if _, err := town.Restart(ctx, "proxy"); err != nil {
		return err
	}
	town.worlds, err = openWorlds(ctx, config)
	return err
}

// serveTwin adds the twin to the proxy's databases, in all else like the first.
func serveTwin(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return err
	}
	databases := config["databases"].([]any)
	second := map[string]any{}
	for key, value := range databases[0].(map[string]any) {
		second[key] = value
	}
	second["name"] = twinName
	config["databases"] = append(databases, second)
	if text, err = yaml.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
