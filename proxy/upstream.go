package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// dial opens the session's own connection to the server, as the person's role, and takes it over once it is idle.
func (c *conn) dial(asked *params) ([]wire.Param, error) {
	secret, ok := c.db.Roles[c.person.Role]
	if !ok {
		return nil, fmt.Errorf("no password for role %s is configured", c.person.Role)
	}
	r, err := c.db.route(c.person.Role, secret, c.srv.limits.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	for name, value := range asked.settings {
		r.RuntimeParams[name] = value
	}
	if asked.settings["client_encoding"] == "" {
		r.RuntimeParams["client_encoding"] = "UTF8"
	}
	c.srv.limits.idleness(r.RuntimeParams)
	r.MaxProtocolMessageBodyLen = maxLoginMessage
	ctx, cancel := context.WithTimeout(context.Background(), c.srv.limits.ConnectTimeout)
	defer cancel()
	pc, err := c.connectCarefully(ctx, &r.Config)
	if err != nil {
		return nil, err
	}
	if c.searchPath, err = readSearchPath(ctx, pc); err == nil {
		err = pc.SyncConn(ctx)
	}
	if err != nil {
		pc.Close(ctx)
		return nil, err
	}
	h, err := pc.Hijack()
	if err != nil {
		return nil, err
	}
	if h.TxStatus != wire.TxIdle || h.Frontend.ReadBufferLen() > 0 {
		h.Conn.Close()
		return nil, errors.New("the server's connection is not idle after the login")
	}
	c.upstream, c.route = r.link(h.Conn), r
	c.queue = session.NewQueue[*execution](wire.TxIdle)
	c.serverKey = h.SecretKey
	c.serverPID = h.PID
	c.superuser = h.ParameterStatuses["is_superuser"] == "on"
	var statuses []wire.Param
	for name, value := range h.ParameterStatuses {
		statuses = append(statuses, wire.Param{Name: name, Value: value})
		if name == "is_superuser" {
			continue
		}
		if err := c.checkStatus(name, value); err != nil {
			h.Conn.Close()
			return nil, err
		}
	}
	slices.SortFunc(statuses, func(a, b wire.Param) int { return strings.Compare(a.Name, b.Name) })
	return statuses, nil
}

// idleness has the server end sessions that do nothing, in its own words, unless the client asked for less.
func (l *Limits) idleness(settings map[string]string) {
	for name, limit := range map[string]time.Duration{"idle_session_timeout": l.Idle, "idle_in_transaction_session_timeout": l.IdleInBlock} {
		if limit <= 0 {
			continue
		}
		asked, err := strconv.ParseInt(settings[name], 10, 64) // milliseconds; 0 is no limit
		if err != nil || asked <= 0 || asked > limit.Milliseconds() {
			settings[name] = strconv.FormatInt(limit.Milliseconds(), 10)
		}
	}
}

// maxLoginMessage bounds what a server may say at once before the session is handed over.
const maxLoginMessage = 1 << 20

// maxIdentifier is the length of names in every PostgreSQL that was not built otherwise.
const maxIdentifier = "63"

// readSearchPath asks the server in which schemas it looks for unqualified names. Policy keeps the session from changing
// it.
func readSearchPath(ctx context.Context, pc *pgconn.PgConn) ([]string, error) {
	results, err := pc.Exec(ctx, "select pg_catalog.current_setting('max_identifier_length'), nspname from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality as s(nspname, n) order by n").ReadAll()
	if err != nil {
		return nil, err
	}
	var path []string
	for _, row := range results[0].Rows {
		if string(row[0]) != maxIdentifier {
			return nil, errors.New("the server cuts names at another length than 63 bytes: names could not be followed")
		}
		path = append(path, string(row[1]))
	}
	return path, nil
}
