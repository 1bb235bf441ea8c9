package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// dump has pg_dump write the regression database, pg_restore put it into another one, and compares what both hold.
func dump(ctx context.Context, b *bed, s side) (*outcome, error) {
	dir, err := b.place("dump", s)
	if err != nil {
		return nil, err
	}
	o := newOutcome()
	plain := func(at side, name, database string) error {
		file := filepath.Join(dir, name+".sql")
		cmd := b.command(ctx, at, dir, "pg_dump", "-f", file, "-d", database)
		if said, err := output(cmd); err != nil || !cmd.ProcessState.Success() {
			return fmt.Errorf("pg_dump of %s: %v\n%s", database, err, lastLines(said))
		}
		content, err := os.ReadFile(file)
		sum := sha256.Sum256(content)
		o.tests[name] = fmt.Sprintf("%d bytes, sha256 %s", len(content), hex.EncodeToString(sum[:8]))
		return err
	}
	if err := plain(s, "pg_dump", "regression"); err != nil {
		return nil, err
	}
	if err := b.fresh(ctx, "restored"); err != nil {
		return nil, err
	}
	archive := filepath.Join(dir, "archive")
	for _, args := range [][]string{{"pg_dump", "-Fd", "-j2", "-f", archive, "-d", "regression"}, {"pg_restore", "-j2", "-d", "restored", archive}} {
		said, err := output(b.command(ctx, s, dir, args[0], args[1:]...))
		if err != nil {
			return nil, err
		}
		o.tests[args[0]+" -j2 says"] = strings.ReplaceAll(said, dir, "")
	}
	return o, plain(b.sides[0], "restored database, seen directly", "restored")
}

// describing are psql's commands that describe what a database holds.
var describing = strings.Fields(`\d \d+ \da \dA \dAc \dAf \dAo \dAp \db \dc \dC \dconfig \dd \dD \ddp \dE \dew \des \deu \det \dF \dFd \dFp \dFt
	\dg \dg+ \di \di+ \dl \dL \dm \dn \dn+ \do \dO \dp \dPi \dPt \dP+ \drds \dRp \dRs \ds \dt \dt+ \dT \dT+ \du \dv \dv+ \dx \dX \dy \l \sf`)

// describeCommands compares what psql prints for each of them in the regression database.
func describeCommands(ctx context.Context, b *bed, s side) (*outcome, error) {
	dir, err := b.place("psql", s)
	if err != nil {
		return nil, err
	}
	o := newOutcome()
	for _, c := range describing {
		text := c
		if c == `\sf` {
			text = `\sf pg_catalog.format_type`
		}
		said, err := output(b.command(ctx, s, dir, "psql", "-X", "-d", "regression", "-c", text))
		if err != nil {
			return nil, err
		}
		o.tests[c] = said
	}
	return o, nil
}
