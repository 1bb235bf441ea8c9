-- Tables that the tests of the protocol use beside pgbench's own.
SET ROLE it_centre_load_test;
CREATE TABLE pgbench_types (
    id int PRIMARY KEY, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, t text, vc varchar(20), c char(5), b bytea,
    ok bool, d date, tm time, tmz timetz, ts timestamp, tsz timestamptz, iv interval, u uuid, j json, jb jsonb, ip inet,
    net cidr, mac macaddr, ia int[], ta text[], p point, bx box, o oid, bits bit(4), vb varbit, m money, r int4range, v tsvector);
INSERT INTO pgbench_types VALUES
    (1, -7, 9000000000, 1.5, -2.25, 12345.6789, '史官 ''quoted'' "x"', 'varchar', 'ab', '\x00ff10', true, '2026-11-01', '12:34:56.789',
     '12:34:56+08', '2026-11-01 12:34:56.789', '2026-11-01 12:34:56.789+08', '1 year 2 days 03:04:05', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
     '{"a": [1, 2]}', '{"b": null}', '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '{1,NULL,3}', '{"x,y","z"}', '(1,2)', '(3,4),(1,2)',
     4242, B'1010', B'11', 12.34, '[1,10)', 'a b'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, 0, 0, 'NaN', 'Infinity', 0, '', '', '', '', false, 'infinity', '00:00', '00:00+00', '-infinity', 'infinity', '0', '00000000-0000-0000-0000-000000000000',
     'null', '[]', '::1', '::/0', '00:00:00:00:00:00', '{}', '{}', '(0,0)', '(0,0),(0,0)', 0, B'0000', B'', 0, 'empty', '');
CREATE TABLE pgbench_copy (id int PRIMARY KEY, name text, n numeric);
CREATE TABLE pgbench_parent (id int PRIMARY KEY);
CREATE TABLE pgbench_child (id int PRIMARY KEY, parent int REFERENCES pgbench_parent DEFERRABLE INITIALLY DEFERRED);
INSERT INTO pgbench_parent VALUES (1);
CREATE TABLE pgbench_done ();
RESET ROLE;
