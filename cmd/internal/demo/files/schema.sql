-- The tables of the demo city. Filled by database.go, granted by grants.sql.

CREATE SCHEMA civil;
CREATE TABLE civil.citizens (
    id_number  text PRIMARY KEY,
    name       text NOT NULL,
    phone      text,
    address    text,
    birth_date date NOT NULL
);
CREATE TABLE civil.households (
    household_id integer PRIMARY KEY,
    id_number    text NOT NULL REFERENCES civil.citizens, -- of its head
    size         integer NOT NULL,
    district     text NOT NULL
);
CREATE INDEX ON civil.households (id_number);
CREATE VIEW civil.citizen_names AS SELECT id_number, name FROM civil.citizens;

CREATE SCHEMA housing;
CREATE TABLE housing.fund_accounts (
    account_no text PRIMARY KEY,
    id_number  text NOT NULL REFERENCES civil.citizens,
    employer   text NOT NULL,
    balance    numeric(12,2) NOT NULL
);
CREATE INDEX ON housing.fund_accounts (id_number);

CREATE SCHEMA welfare;
CREATE TABLE welfare.payments (
    payment_id bigint PRIMARY KEY,
    id_number  text NOT NULL REFERENCES civil.citizens,
    amount     numeric(12,2) NOT NULL,
    reason     text NOT NULL,
    paid_on    date NOT NULL
);
CREATE INDEX ON welfare.payments (id_number);

-- What `pgbench -i -s 1` makes.
CREATE TABLE public.pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
CREATE TABLE public.pgbench_tellers (tid int NOT NULL, bid int, tbalance int, filler char(84)) WITH (fillfactor=100);
CREATE TABLE public.pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84)) WITH (fillfactor=100);
CREATE TABLE public.pgbench_branches (bid int NOT NULL, bbalance int, filler char(88)) WITH (fillfactor=100);
INSERT INTO public.pgbench_branches (bid, bbalance) VALUES (1, 0);
INSERT INTO public.pgbench_tellers (tid, bid, tbalance) SELECT n, 1, 0 FROM generate_series(1, 10) AS n;
INSERT INTO public.pgbench_accounts (aid, bid, abalance, filler) SELECT n, 1, 0, '' FROM generate_series(1, 100000) AS n;
ALTER TABLE public.pgbench_branches ADD PRIMARY KEY (bid);
ALTER TABLE public.pgbench_tellers ADD PRIMARY KEY (tid);
ALTER TABLE public.pgbench_accounts ADD PRIMARY KEY (aid);
