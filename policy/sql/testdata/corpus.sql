-- One statement a line; every one is prepared on a real server and analysed, and both must agree (differential_test.go).
-- path: public
select 1
select 1 as one, 'x' as two, null as three, true, 1.5, b'101', current_date, current_user, localtimestamp
select * from civil.citizens
select id_number from civil.citizens
select id_number, name from civil.citizens where id_number = '110101199003070010'
select c.id_number, c.name as n from civil.citizens c
select c.* from civil.citizens as c (a, b, d)
select a, b, d, address from civil.citizens as c (a, b, d)
select citizens.name from civil.citizens
select civil.citizens.name from civil.citizens
select postgres.civil.citizens.name from civil.citizens
select phone::text, phone::varchar, name::text, name::varchar, phone::varchar(20), phone::varchar(5), phone from civil.citizens
select balance::numeric(12,2), balance::numeric(10,2), balance::numeric from housing.fund_accounts
select upper(name), lower(name) || 'x', length(name) from civil.citizens
select name || phone from civil.citizens where phone like '139%'
select count(*) from civil.citizens
select count(name), count(distinct phone), max(birth_date), min(name) from civil.citizens
select birth_date, count(*) from civil.citizens group by birth_date having count(*) > 1 order by count(*) desc
select extract(year from birth_date) as y, count(*) from civil.citizens group by y order by y
select birth_date as name, name as birth_date from civil.citizens order by name
select name from civil.citizens order by birth_date desc nulls last limit 10 offset 5
select name, phone from civil.citizens order by 2, 1
select distinct name from civil.citizens
select distinct on (birth_date) birth_date, name from civil.citizens order by birth_date, phone
select c from civil.citizens c
select c.* from civil.citizens c
select (c).name, (c).* from civil.citizens c
select name(c) from civil.citizens c
select row_to_json(c), to_jsonb(c.*), c::text from civil.citizens c
select row(c.*), row(c.name, 1) from civil.citizens c
select count(c), count(c.*) from civil.citizens c
select ctid, xmin, tableoid, id_number from civil.citizens
select c.ctid from civil.citizens c where c.ctid = '(0,1)'
select tableoid::regclass from civil.citizens
select name from civil.citizens where birth_date between '1990-01-01' and '1999-12-31'
select name from civil.citizens where id_number in ('a', 'b') or id_number = any ('{c,d}') or id_number = any (array['e', name])
select name from civil.citizens where id_number not in ('a') and not (phone = '1')
select name from civil.citizens where id_number is null or address is not null or (birth_date > now()) is true
select name from civil.citizens where (id_number, name) = ('a', 'b')
select name from civil.citizens where (id_number, name) in (('a', 'b'), ('c', 'd'))
select name from civil.citizens where name is distinct from 'x' and phone is not distinct from 'y'
select case when phone = '1' then name else address end as who, case name when 'x' then 1 end, coalesce(phone, name), nullif(name, 'x'), greatest(name, phone) from civil.citizens
select array[name, address], (array[name, address])[1], array(select district from civil.households) from civil.citizens
select name collate "C" from civil.citizens order by name collate "C"
select name from only civil.citizens
table civil.citizens
select name from civil.citizens tablesample bernoulli (10) repeatable (1)
select name from civil.citizens for update
select name from civil.citizens for share of citizens skip locked
-- joins
select c.name, h.size from civil.citizens c join civil.households h on h.id_number = c.id_number
select c.name, h.size from civil.citizens c join civil.households h using (id_number)
select id_number, name, size from civil.citizens join civil.households using (id_number)
select * from civil.citizens join civil.households using (id_number)
select * from civil.citizens c natural join civil.households h
select * from civil.citizens left join civil.households using (id_number)
select * from civil.citizens right join civil.households using (id_number)
select * from civil.citizens full join civil.households using (id_number)
select id_number from civil.citizens join welfare.payments using (id_number)
select id_number from welfare.payments join civil.citizens using (id_number)
select id_number from welfare.payments left join civil.citizens using (id_number)
select id_number from welfare.payments right join civil.citizens using (id_number)
select * from civil.citizens c, welfare.payments p where c.id_number = p.id_number and p.amount > 100
select j.name, j.size from (civil.citizens c join civil.households h using (id_number)) as j
select j.* from (civil.citizens c join civil.households h using (id_number)) as j (x)
select u.id_number, c.id_number from civil.citizens c join civil.households h using (id_number) as u
select c.name from civil.citizens c cross join civil.households h where h.size > 3
select a.name, b.name from civil.citizens a join civil.citizens b on a.phone = b.phone and a.id_number <> b.id_number
select a.name from (civil.citizens a join civil.households b using (id_number)) join welfare.payments p using (id_number)
select p.amount, j.* from welfare.payments p left join (civil.citizens c left join civil.households h on h.id_number = c.id_number) j on true
-- subqueries
select s.id_number, s.up from (select id_number, upper(name) as up from civil.citizens) s
select s.x from (select id_number from civil.citizens) s (x)
select x from (select id_number as x, name from civil.citizens where phone like '1%') s where name > 'm'
select (select name from civil.citizens where id_number = h.id_number) as who, h.size from civil.households h
select name from civil.citizens c where exists (select 1 from civil.households h where h.id_number = c.id_number and h.size > 2)
select name from civil.citizens where id_number in (select id_number from civil.households where district = 'x')
select name from civil.citizens where id_number = any (select id_number from civil.households)
select name from civil.citizens where id_number <> all (select id_number from civil.households)
select name from civil.citizens where (id_number, name) in (select id_number, district from civil.households)
select name from civil.citizens where (id_number, name) = (select id_number, district from civil.households limit 1)
select c.name, l.size from civil.citizens c, lateral (select h.size from civil.households h where h.id_number = c.id_number) l
select c.name, l.* from civil.citizens c left join lateral (select h.size, h.district from civil.households h where h.id_number = c.id_number order by h.size limit 1) l on true
select s.c, (s.c).name from (select c from civil.citizens c) s
select (s.c).* from (select c from civil.citizens c) s
select s.* from (select * from (select * from civil.citizens) a) s
select s from (select id_number, name from civil.citizens) s
select * from (values (1, 'a'), (2, 'b')) v (n, t)
values (1, 'a'), (2, 'b')
values ((select name from civil.citizens limit 1))
select v.n, c.name from (values ('a'), ('b')) v (n) join civil.citizens c on c.id_number = v.n
select name from civil.citizens where id_number = (select max(id_number) from civil.citizens)
select * from civil.citizens c where c.birth_date = (select max(birth_date) from civil.citizens where name = c.name)
select (select count(c.id_number)) from civil.citizens c
-- WITH
with x as (select id_number, name from civil.citizens) select * from x
with x (a) as (select id_number, name from civil.citizens) select a, name from x
with x as (select 1 as n), y as (select n + 1 as m from x) select * from x, y
with x as materialized (select * from civil.citizens) select x.name, y.name from x join x y using (id_number)
with citizens as (select * from civil.households) select size from citizens
with recursive r (n) as (values (1) union all select n + 1 from r where n < 10) select n from r
with recursive r as (select household_id, id_number from civil.households where household_id = 1 union select h.household_id, h.id_number from civil.households h join r on h.household_id = r.household_id + 1) select * from r
with recursive r (a, b) as (select id_number, 'x'::text from civil.citizens union all select b, name from r join civil.citizens on true) select a, b from r
with recursive a as (select * from b), b as (select name from civil.citizens) select * from a
select * from (with x as (select name from civil.citizens) select * from x) s
with x as (select name from civil.citizens) select name from civil.citizens union all select name from x
-- set operations
select id_number from civil.citizens union select id_number from civil.households
select id_number, name from civil.citizens union all select id_number, district from civil.households order by 1
select id_number from civil.citizens except select id_number from civil.households
select id_number from civil.citizens intersect all select id_number from civil.households
(select name from civil.citizens order by phone limit 3) union all (select district from civil.households)
select name as n from civil.citizens union select district from civil.households order by n limit 5
select * from (select name from civil.citizens union all select district from civil.households) u where name = 'x'
select 1 union select 2.5 union all select 3
-- windows and aggregates
select name, row_number() over (partition by birth_date order by phone) from civil.citizens
select name, lag(phone) over w, sum(1) over w from civil.citizens window w as (order by id_number rows between 1 preceding and current row)
select sum(amount), avg(amount), sum(amount) / count(*) from welfare.payments
select sum(amount) filter (where reason = 'x') from welfare.payments
select string_agg(name, ',' order by phone) from civil.citizens
select percentile_cont(0.5) within group (order by amount) from welfare.payments
select mode() within group (order by reason) from welfare.payments
select array_agg(c) from civil.citizens c
select (array_agg(c))[1].name from civil.citizens c
select district, sum(size) from civil.households group by rollup (district)
select district, id_number, grouping(district) from civil.households group by grouping sets ((district, id_number), ())
select s.t from (select sum(amount) as t from welfare.payments group by id_number) s
select max(s.t) from (select sum(amount) as t from welfare.payments group by id_number) s
select id_number, total from (select id_number, sum(amount) as total from welfare.payments group by id_number) s where total > 5
-- views
select * from civil.citizen_names
select name from civil.citizen_names where id_number = 'x'
select n.id_number, n.name from civil.citizen_names n (id_number)
select * from civil.citizen_cards
select name, district from civil.citizen_cards where size > 3
select card from civil.citizen_cards
select name from civil.old_citizens
select * from civil.district_sizes
select v from civil.citizen_names v
select (v).name from civil.citizen_names v
select row_to_json(v) from civil.citizen_cards v
select * from civil.directory
select phone from civil.directory where name = 'x'
select v.name, p.amount from civil.citizen_names v join welfare.payments p using (id_number)
-- inheritance, partitions, composites
select * from app.people
select ssn from only app.people
select ssn, school from app.kids
select p.ssn, k.school from app.people p join app.kids k using (id)
select * from app.events where day = '2025-05-05'
select ssn from app.events_2025
select p, (p).a, (p).b, ps[1], ps[1].a, (ps[1]).b from app.composed
select (c.p).*, c.id from app.composed c
select a(p) from app.composed
select (c).p from app.composed c
select tags[1], tags[1:2], extra->>'k', extra->'a'->'b', extra #>> '{a,b}' from app.people
-- functions in FROM
select * from generate_series(1, 3)
select * from generate_series(1, 3) g
select g, g.g, g.* from generate_series(1, 3) g
select n from generate_series(1, 3) as g (n)
select * from generate_series(1, 3) with ordinality
select * from generate_series(1, 3) with ordinality as g (a, b)
select x.* from app.people p, unnest(p.tags) x
select t, o from app.people p, unnest(p.tags) with ordinality as u (t, o)
select * from unnest(array[1, 2], array['a', 'b']) as u (a, b)
select * from unnest(array[1, 2], array['a', 'b'])
select key, value from app.people, jsonb_each(extra)
select k.* from app.people, jsonb_each_text(extra) k
select * from jsonb_to_recordset('[{"a":1}]') as x (a int, b text)
select * from rows from (generate_series(1, 2), unnest(array['x'])) as r (a, b)
select * from regexp_matches('abc', 'b') m
select * from json_populate_record(null::app.pair, '{"a":"x"}')
select (jsonb_populate_record(null::app.pair, '{"a":"x"}')).a
select * from current_date
select * from pg_catalog.pg_get_keywords() limit 1
-- path: civil public
select name from citizens
select * from citizens natural join households
-- path: app civil
select * from citizens
select id_number, hobby from citizens where hobby = 'x'
select c.name from civil.citizens c join citizens k using (id_number)
-- path: public
-- statements that write
insert into civil.citizens (id_number, name) values ('x', 'y')
insert into civil.citizens (id_number, name) values ($1, $2) returning *
insert into civil.citizens as c values ('a', 'b', 'c') returning c.name, upper(phone)
insert into civil.citizens (id_number, name) values ('x', default), ('y', 'z')
insert into civil.citizens default values
insert into welfare.payments (id_number, reason) select id_number, name from civil.citizens where phone = '1' returning payment_id, id_number
insert into civil.citizens (id_number, name) values ('x', 'y') on conflict (id_number) do update set name = excluded.name, phone = citizens.phone where citizens.address is null returning id_number
insert into civil.citizens (id_number, name) values ('x', 'y') on conflict do nothing
insert into civil.citizen_names (id_number, name) values ('x', 'y') returning *
update civil.citizens set phone = '1' where id_number = $1
update civil.citizens c set phone = h.district from civil.households h where h.id_number = c.id_number returning c.*, h.size
update civil.citizens set (name, phone) = (select district, 'x' from civil.households limit 1) where name = 'y'
update civil.citizens set (name, phone) = ('a', 'b')
update civil.citizen_names set name = 'x' where id_number = 'y' returning name
update app.people set tags[1] = 'x', extra = extra || '{}' where id = 1 returning *
delete from civil.citizens where id_number = 'x' returning name
delete from civil.citizens c using civil.households h where h.id_number = c.id_number and h.size = 0 returning h.size, c.id_number
delete from only app.people where ssn = 'x'
with gone as (delete from civil.households where size = 0 returning *) select id_number, size from gone
with new as (insert into civil.households (household_id, id_number) values (1, 'x') returning household_id) update civil.citizens set phone = 'x' from new where id_number = new.household_id::text returning name
merge into civil.citizens t using civil.households s on t.id_number = s.id_number when matched and s.size > 1 then update set phone = s.district when not matched then insert (id_number, name) values (s.id_number, s.district)
-- parameters
select name from civil.citizens where id_number = $1 and birth_date > $2
select $1::int, $2::text
select name from civil.citizens where id_number = any ($1)
select name from civil.citizens where id_number = any ($1::text[]) limit $2
-- utility that returns rows
show search_path
explain select * from civil.citizens
