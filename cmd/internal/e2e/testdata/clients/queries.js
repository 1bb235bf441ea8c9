// What node-postgres gets, printed so that two servers can be compared.
const { Client } = require('pg');

async function main() {
  const client = new Client({ connectionString: process.argv[2] });
  client.on('notice', (n) => console.log('notice', n.severity, n.code, n.message));
  await client.connect();
  const show = async (what, query) => {
    try {
      for (const r of [await client.query(query)].flat()) {
        console.log(what, r.command, r.rowCount, JSON.stringify(r.fields), JSON.stringify(r.rows));
      }
    } catch (e) {
      console.log(what, e.severity, e.code, e.message, e.position);
    }
  };
  await show('simple', 'select 1 as one, null as nothing');
  await show('several', 'select 1; select 2; drop table if exists pgbench_never_was');
  await show('types', 'select * from pgbench_types order by id');
  await show('params', { text: 'select aid, bid from pgbench_accounts where aid = any($1) order by aid', values: [[1, 2, 3]] });
  await show('binary', { text: 'select id, i8, f8, ok, ts, t, b from pgbench_types order by id', binary: true });
  await show('array', { text: 'select * from pgbench_types order by id', rowMode: 'array' });
  for (const aid of [1, 2, 3]) {
    await show('named', { name: 'one', text: 'select abalance from pgbench_accounts where aid = $1', values: [aid] });
  }
  await Promise.all([1, 2, 3, 4].map((n) => show('queued ' + n, { text: 'select $1::int + 1 as n', values: [n] })));
  await show('bad', 'select 1/0');
  await show('bad params', { text: 'select $1::int', values: ['x'] });
  await show('syntax', 'selekt 1');
  await show('begin', 'begin');
  await show('insert', { text: 'insert into pgbench_copy values ($1, $2, $3) returning *', values: [310, '史官', '1.50'] });
  await show('fails', 'select 1/0');
  await show('aborted', 'select 1');
  await show('rollback', 'rollback');
  await show('empty', '');
  await show('many', 'select aid, filler from pgbench_accounts where aid <= 3000 order by aid');
  await client.end();
}

main().catch((e) => { console.error(e); process.exit(1); });
