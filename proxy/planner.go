package proxy

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/policy"
	"shiguan/policy/sql"
)

// An index is sorted by the values in it, so that rows which the server reads by way of an index come in an order that tells
// of them. Who may meet masked columns therefore has a session that reads no rows from indexes alone; and where an index
// sorts by a sensitive column and others, is partial, or of an expression, one that does not read rows in the order of
// indexes at all. Bitmap scans, which follow the table, take their place. Policy lets nobody change these settings.

// orderedColumns lists the columns of indexes that may sort rows by other columns than a condition asks for.
const orderedColumns = `
select i.indrelid, k.att from pg_catalog.pg_index i, pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality k (att, n)
where i.indrelid >= 16384 and k.att > 0 and k.n <= i.indnkeyatts and (i.indnkeyatts > 1 or i.indpred is not null or i.indexprs is not null)
union
select d.refobjid, d.refobjsubid from pg_catalog.pg_index i join pg_catalog.pg_depend d on d.objid = i.indexrelid
where i.indrelid >= 16384 and d.classid = 1259 and d.refclassid = 1259 and d.refobjsubid > 0 and (i.indpred is not null or i.indexprs is not null)`

// connectCarefully opens a session with such settings as the person needs. They are given at the start, so that RESET and
// DISCARD leave them.
func (c *conn) connectCarefully(ctx context.Context, config *pgconn.Config) (*pgconn.PgConn, error) {
	p := c.srv.policy.Load()
	if !p.Masks(policy.Person{User: c.person.User, Department: c.person.Department, Position: c.person.Position}) {
		return pgconn.ConnectConfig(ctx, config)
	}
	config.RuntimeParams["enable_indexonlyscan"] = "off"
	pc, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	sorted, err := c.indexesTell(ctx, pc, p)
	if err == nil && !sorted {
		return pc, nil
	}
	pc.Close(ctx)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["enable_indexscan"] = "off"
	return pgconn.ConnectConfig(ctx, config)
}

// indexesTell reports whether there is an index that sorts rows by a sensitive column besides what is asked for.
func (c *conn) indexesTell(ctx context.Context, pc *pgconn.PgConn, p *policy.Policy) (bool, error) {
	results, err := pc.Exec(ctx, orderedColumns).ReadAll()
	if err != nil {
		return false, err
	}
	var columns []sql.Column
	for _, row := range results[0].Rows {
		table, err := strconv.ParseUint(string(row[0]), 10, 32)
		if err != nil {
			return false, err
		}
		att, err := strconv.ParseInt(string(row[1]), 10, 16)
		if err != nil {
			return false, err
		}
		columns = append(columns, sql.Column{Table: uint32(table), Att: int16(att)})
	}
	if len(columns) == 0 {
		return false, nil
	}
	cat, err := c.db.current(ctx)
	if err != nil {
		return false, err
	}
	return p.Sensitive(cat, columns), nil
}
