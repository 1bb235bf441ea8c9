import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;

/** What applications do with the JDBC driver; each line is compared between two servers. */
public class Queries {
    static String rows(ResultSet r) throws SQLException {
        StringBuilder b = new StringBuilder();
        int n = r.getMetaData().getColumnCount();
        for (int i = 1; i <= n; i++) b.append(r.getMetaData().getColumnName(i)).append('/').append(r.getMetaData().getColumnTypeName(i)).append(' ');
        while (r.next()) {
            b.append('|');
            for (int i = 1; i <= n; i++) b.append(i == 1 ? "" : ",").append(r.getString(i));
        }
        return b.toString();
    }

    static void show(String name, Object value) { System.out.println(name + ": " + String.valueOf(value).replace("\n", "\\n")); }

    interface Task { Object run() throws Exception; }

    static void attempt(String name, Task task) {
        try { show(name, task.run()); }
        catch (SQLException e) { show(name, e.getSQLState() + " " + e.getMessage()); }
        catch (Exception e) { show(name, e); }
    }

    public static void main(String[] args) throws Exception {
        Connection c = DriverManager.getConnection(args[0], args[1], args[2]);
        Statement s = c.createStatement();
        s.execute("drop table if exists t");
        s.execute("create table t (id serial primary key, name text, born date, at timestamp, amount numeric, flag boolean, data bytea, tags text[])");
        attempt("insert", () -> {
            PreparedStatement p = c.prepareStatement("insert into t (name, born, at, amount, flag, data, tags) values (?, ?, ?, ?, ?, ?, ?)", Statement.RETURN_GENERATED_KEYS);
            p.setString(1, "史官"); p.setDate(2, java.sql.Date.valueOf("2026-01-31")); p.setTimestamp(3, Timestamp.valueOf("2026-01-31 10:11:12.5"));
            p.setBigDecimal(4, new java.math.BigDecimal("12.50")); p.setBoolean(5, true); p.setBytes(6, new byte[]{0, -1}); p.setArray(7, c.createArrayOf("text", new String[]{"a", null}));
            return p.executeUpdate() + " " + p.getGeneratedKeys().next();
        });
        attempt("batch", () -> {
            PreparedStatement p = c.prepareStatement("insert into t (name, amount) values (?, ?)");
            for (int i = 0; i < 200; i++) { p.setString(1, "n" + i); p.setInt(2, i); p.addBatch(); }
            return Arrays.stream(p.executeBatch()).sum();
        });
        attempt("often", () -> { // beyond prepareThreshold: named statements, binary results
            PreparedStatement p = c.prepareStatement("select id, name, amount, born from t where id = ?");
            StringBuilder b = new StringBuilder();
            for (int i = 1; i <= 12; i++) { p.setInt(1, i); try (ResultSet r = p.executeQuery()) { b.append(rows(r)); } }
            return b;
        });
        attempt("several", () -> {
            boolean more = s.execute("select 1 as a; update t set name = name where id < 4; select 2 as b");
            StringBuilder b = new StringBuilder();
            for (int i = 0; i < 3; i++) { b.append(more ? rows(s.getResultSet()) : "" + s.getUpdateCount()).append(';'); more = s.getMoreResults(); }
            return b;
        });
        attempt("fetch size", () -> {
            c.setAutoCommit(false);
            PreparedStatement p = c.prepareStatement("select id from t order by id");
            p.setFetchSize(17);
            long sum = 0;
            try (ResultSet r = p.executeQuery()) { while (r.next()) sum += r.getLong(1); }
            c.commit(); c.setAutoCommit(true);
            return sum;
        });
        attempt("undefined column", () -> rows(s.executeQuery("select nothing from t")));
        attempt("division", () -> { PreparedStatement p = c.prepareStatement("select 1 / ?"); p.setInt(1, 0); return rows(p.executeQuery()); });
        attempt("savepoints", () -> {
            c.setAutoCommit(false);
            Savepoint a = c.setSavepoint("a");
            try { s.executeQuery("select 1/0"); } catch (SQLException e) { c.rollback(a); }
            String got = rows(s.executeQuery("select count(*) from t"));
            c.rollback(); c.setAutoCommit(true);
            return got;
        });
        attempt("copy", () -> {
            var copy = ((PGConnection) c).getCopyAPI();
            long in = copy.copyIn("copy t (name) from stdin", new StringReader("x\ny\n"));
            StringWriter w = new StringWriter();
            long out = copy.copyOut("copy (select name from t order by id desc limit 2) to stdout", w);
            return in + " " + out + " " + w;
        });
        attempt("copy that fails", () -> ((PGConnection) c).getCopyAPI().copyIn("copy t (id) from stdin", new StringReader("x\n")));
        attempt("large object", () -> {
            c.setAutoCommit(false);
            var api = ((PGConnection) c).getLargeObjectAPI();
            long oid = api.createLO();
            var o = api.open(oid, org.postgresql.largeobject.LargeObjectManager.READWRITE);
            o.write(new byte[100000]); o.seek(50000);
            int n = o.read(100000).length;
            o.close(); c.rollback(); c.setAutoCommit(true);
            return n;
        });
        attempt("metadata", () -> rows(c.getMetaData().getColumns(null, "public", "t", "%")).length());
        attempt("tables", () -> rows(c.getMetaData().getTables(null, "public", "%", null)));
        attempt("keys", () -> rows(c.getMetaData().getPrimaryKeys(null, "public", "t")));
        attempt("call", () -> { CallableStatement p = c.prepareCall("{ ? = call upper(?) }"); p.registerOutParameter(1, Types.VARCHAR); p.setString(2, "x"); p.execute(); return p.getString(1); });
        attempt("cursor", () -> { ResultSet r = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE).executeQuery("select id, name from t order by id limit 3"); r.absolute(2); r.updateString(2, "updated"); r.updateRow(); return r.getString(2); });
        attempt("listen", () -> { s.execute("listen jdbc"); s.execute("notify jdbc, 'x'"); var n = ((PGConnection) c).getNotifications(1000); return n.length + n[0].getParameter(); });
        attempt("timeout", () -> { Statement slow = c.createStatement(); slow.setQueryTimeout(1); return rows(slow.executeQuery("select pg_sleep(30)")); });
        attempt("schema", () -> { c.setSchema("pg_catalog"); return c.getSchema(); });
        c.close();
        System.out.println("end: reached");
    }
}
