// What applications do with node-postgres; each line is compared between two servers.
const { Client, Pool } = require('pg');

const show = (name, value) => console.log(`${name}: ${JSON.stringify(value)}`);
const failure = async (promise) => promise.then(() => 'no error', (e) => [e.code, e.message, e.position, e.severity]);

(async () => {
  const client = new Client();
  await client.connect();
  const notices = [];
  client.on('notice', (n) => notices.push(n.message));
  await client.query('create table t (id serial primary key, name text, born timestamptz, amount numeric, data bytea, doc jsonb)');
  const inserted = await client.query('insert into t (name, born, amount, data, doc) values ($1, $2, $3, $4, $5) returning *',
    ['史官', '2026-01-31T10:00:00Z', '12.50', Buffer.from([0, 255]), { k: [1, null] }]);
  show('insert', inserted.rows);
  for (let i = 0; i < 100; i++) await client.query({ name: 'named', text: 'insert into t (name) values ($1)', values: [`n${i}`] });
  show('named', (await client.query({ name: 'count', text: 'select count(*) from t' })).rows);
  show('rows as arrays', (await client.query({ text: 'select id, name from t order by id limit 3', rowMode: 'array' })).rows);
  show('several', (await client.query('select 1 as a; select 2 as b; update t set name = name where id < 3')).map((r) => [r.command, r.rowCount, r.rows]));
  show('error', await failure(client.query('select nothing from t')));
  show('error with parameters', await failure(client.query('select $1::int', ['x'])));
  await client.query('begin');
  show('in a block', await failure(client.query('select 1/0')));
  show('aborted', await failure(client.query('select 1')));
  await client.query('rollback');
  await client.query("do $$ begin raise notice 'from do'; end $$");
  show('notices', notices);
  await client.query('listen smoke');
  const heard = new Promise((resolve) => client.on('notification', (n) => resolve([n.channel, n.payload])));
  await client.query("notify smoke, 'payload'");
  show('notify', await heard);
  show('copy without a stream', await failure(client.query('copy t to stdout')));
  await client.end();
  const pool = new Pool({ max: 4 });
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => pool.query('select $1::int * 2 as n', [i])));
  show('pool', answers.reduce((sum, r) => sum + r.rows[0].n, 0));
  await pool.end();
  console.log('end: reached');
})().catch((e) => { console.log(e); process.exit(1); });
