"""What psycopg2 gets, printed so that two servers can be compared."""
import io
import sys

import psycopg2
import psycopg2.extras


def show(what, cursor, statement, args=None):
    try:
        cursor.execute(statement, args)
        rows = [[bytes(v) if isinstance(v, memoryview) else v for v in r] for r in cursor] if cursor.description else None
        print(what, cursor.statusmessage, cursor.rowcount, [tuple(d) for d in cursor.description or ()], rows)
    except psycopg2.Error as e:
        print(what, type(e).__name__, e.pgcode, e.pgerror)


def main():
    conn = psycopg2.connect(sys.argv[1])
    cur = conn.cursor()
    show("types", cur, "select * from pgbench_types order by id")
    show("params", cur, "select aid, bid from pgbench_accounts where aid in %s order by aid", ((1, 2, 3),))
    show("insert", cur, "insert into pgbench_copy values (%s, %s, %s) returning *", (320, "史官", None))
    psycopg2.extras.execute_values(cur, "insert into pgbench_copy values %s", [(n, "many", n) for n in range(321, 340)])
    show("many", cur, "select * from pgbench_copy order by id")
    out = io.StringIO()
    cur.copy_expert("copy pgbench_copy to stdout csv header", out)
    print("copy out", repr(out.getvalue()))
    cur.copy_expert("copy pgbench_copy from stdin", io.StringIO("340\tin\t1\n341\t\\N\t\\N\n"))
    print("copy in", cur.rowcount)
    named = conn.cursor("named")
    named.itersize = 7
    named.execute("select id, name from pgbench_copy order by id")
    print("named", [row for row in named])
    named.close()
    show("fails", cur, "select 1/0")
    show("aborted", cur, "select 1")
    conn.rollback()
    show("rolled back", cur, "select count(*) from pgbench_copy")
    conn.rollback()
    conn.set_session(isolation_level="SERIALIZABLE", readonly=True)
    show("read only", cur, "insert into pgbench_copy values (1, 'x', 1)")
    conn.rollback()
    conn.set_session(autocommit=True, readonly=False)
    show("autocommit", cur, "select current_setting('transaction_isolation')")
    show("notice", cur, "drop table if exists pgbench_never_was")
    show("syntax", cur, "selekt 1")
    print(conn.notices, conn.encoding, conn.server_version)
    conn.close()


main()
