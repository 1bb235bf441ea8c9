"""What applications do with psycopg2; each line is compared between two servers."""
import io

import psycopg2
import psycopg2.extras


def show(name, value):
    print(f"{name}: {value!r}")


conn = psycopg2.connect("")
cur = conn.cursor()
cur.execute("create table t (id serial primary key, name text, born date, amount numeric(12,2), data bytea, tags text[], doc jsonb)")
show("create", cur.statusmessage)
cur.execute("insert into t (name, born, amount, data, tags, doc) values (%s, %s, %s, %s, %s, %s) returning id",
            ("史官", "2026-01-31", "12.50", b"\x00\xff", ["a", "b"], psycopg2.extras.Json({"k": [1, None]})))
show("insert", cur.fetchall())
psycopg2.extras.execute_values(cur, "insert into t (name) values %s", [(f"n{i}",) for i in range(500)])
show("many", cur.rowcount)
conn.commit()
cur.execute("select * from t where name = any(%s) order by id", (["史官", "n3"],))
show("types", [[bytes(v) if isinstance(v, memoryview) else v for v in row] for row in cur])
named = conn.cursor("named", withhold=True)
named.itersize = 50
named.execute("select id from t order by id")
show("named", sum(r[0] for r in named))
conn.commit()
named.close()
out = io.StringIO()
cur.copy_expert("copy (select id, name from t order by id limit 3) to stdout csv header", out)
show("copy out", out.getvalue())
cur.copy_expert("copy t (name) from stdin", io.StringIO("x\n\\N\n"))
show("copy in", cur.rowcount)
try:
    cur.execute("select nothing from t")
except psycopg2.Error as e:
    show("error", (e.pgcode, e.pgerror))
conn.rollback()
conn.set_session(isolation_level="SERIALIZABLE", readonly=True)
cur.execute("show transaction_isolation")
show("isolation", cur.fetchall())
conn.rollback()
conn.set_session(readonly=False, autocommit=True)
cur.execute("listen smoke")
cur.execute("notify smoke, 'payload'")
conn.poll()
show("notify", [(n.channel, n.payload) for n in conn.notifies])
conn.autocommit = False
o = conn.lobject(0, "wb")
o.write(b"large " * 10000)
oid = o.oid
o.close()
show("large object", len(conn.lobject(oid, "rb").read()))
conn.rollback()
conn.autocommit = True
cur.execute("do $$ begin raise notice 'from do'; end $$")
show("notices", conn.notices)
cur.callproc("upper", ["call"])
show("callproc", cur.fetchall())
print("end: reached")
