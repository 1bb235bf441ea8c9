-- The demo city's shape, with what makes name resolution hard added: views on views, inheritance, partitions, dropped
-- columns, composite types, functions and operators of users.
CREATE SCHEMA civil;
CREATE SCHEMA housing;
CREATE SCHEMA welfare;
CREATE SCHEMA app;

CREATE TABLE civil.citizens (id_number text PRIMARY KEY, name text NOT NULL, junk int, phone varchar(20), address text, birth_date date);
ALTER TABLE civil.citizens DROP COLUMN junk;
CREATE TABLE civil.households (household_id int PRIMARY KEY, id_number text REFERENCES civil.citizens, size int, district text);
CREATE VIEW civil.citizen_names AS SELECT id_number, name FROM civil.citizens;
CREATE VIEW civil.citizen_cards AS SELECT n.name, upper(n.id_number) AS card, h.district, h.size FROM civil.citizen_names n JOIN civil.households h USING (id_number);
CREATE VIEW civil.old_citizens AS SELECT id_number, name, birth_date FROM civil.citizens WHERE birth_date < '1950-01-01' AND phone LIKE '1%';
CREATE VIEW civil.district_sizes AS SELECT district, count(*) AS households, sum(size) AS people FROM civil.households GROUP BY district;
CREATE MATERIALIZED VIEW civil.directory AS SELECT name, phone FROM civil.citizens;
CREATE TABLE housing.fund_accounts (account_no text PRIMARY KEY, id_number text, employer text, balance numeric(12,2));
CREATE TABLE welfare.payments (payment_id bigserial PRIMARY KEY, id_number varchar(18), amount numeric(12,2), reason text, paid_on date);

CREATE TABLE public.pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE public.pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE public.pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE public.pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));

CREATE TABLE app.people (id bigint, ssn text, note text, tags text[], extra jsonb);
CREATE TABLE app.kids (school text) INHERITS (app.people);
CREATE TABLE app.events (day date, ssn text, what text) PARTITION BY RANGE (day);
CREATE TABLE app.events_2025 PARTITION OF app.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.citizens (id_number text, hobby text);
CREATE TYPE app.pair AS (a text, b int);
CREATE TABLE app.composed (id int, p app.pair, ps app.pair[]);
CREATE TABLE app.ruled (id int, v text);
CREATE RULE ruled_log AS ON INSERT TO app.ruled DO ALSO NOTIFY ruled;
CREATE FUNCTION app.peek(text) RETURNS text LANGUAGE sql AS 'SELECT name FROM civil.citizens WHERE id_number = $1';
CREATE FUNCTION app.lower(int) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE FUNCTION app.eq(text, int) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR app.= (LEFTARG = text, RIGHTARG = int, FUNCTION = app.eq);
CREATE FUNCTION app.definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
