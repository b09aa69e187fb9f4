// Clients over a driver that is not libpq, each with a twin that does the same on a single server: both must see the same.
// They work as frameworks do: become a tenant (by SET, by set_config, with Bind parameters, inside a function), then read
// and write under row-level security through the driver's own cache of prepared statements, in transactions that commit,
// roll back or fail. Until SIGINT; prints one JSON object: how many steps, and what differed.
//
//     node driver_twins.js pg|postgres <port> <database> <twin's port> <twin's database> <user> <password> <seed>
'use strict';
const [driver, port, database, twinPort, twinDatabase, user, password, seed] = process.argv.slice(2);
const result = { steps: 0, looks: 0, differences: [] };
let stopping = false;
process.on('SIGINT', () => { stopping = true; });

// mulberry32: the same seed, the same steps
function dice(state) {
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % sides;
  };
}

async function over_pg(place) {
  const { Client } = require('pg');
  const client = new Client({ host: '127.0.0.1', user, password, ...place });
  client.on('error', (error) => result.differences.push(`connection: ${error.code}: ${error.message}`));
  await client.connect();
  const names = new Map();
  return {
    run: async (text, values) => {
      if (!values) return (await client.query(text)).rows;
      if (!names.has(text)) names.set(text, `cached_${names.size}`);
      return (await client.query({ name: names.get(text), text, values })).rows;
    },
    end: () => client.end(),
  };
}

async function over_postgres(place) {
  const postgres = require('postgres');
  const sql = postgres({ host: '127.0.0.1', user, password, ...place, max: 1, onnotice: () => {} });
  const one = await sql.reserve();
  return {
    run: async (text, values) => [...await (values ? one.unsafe(text, values, { prepare: true })
                                                   : one.unsafe(text).simple())],
    end: async () => { await one.release(); await sql.end({ timeout: 1 }); },
  };
}

const kWays = [
  (id) => [`SET app.tenant_id = '${id}'`],
  (id) => [`SELECT set_config('app.tenant_id', '${id}', false) AS s`],
  (id) => ['SELECT set_config($1, $2, false) AS s', ['app.tenant_id', id]],
  (id) => ['SELECT log_in_as($1) AS s', [id]],
];
const kLook = ['SELECT DISTINCT tenant FROM documents', []];
const kCount = ['SELECT tenant, count(*)::int AS n FROM documents WHERE id > $1 GROUP BY tenant', ['0']];

function step(roll, worker, number) {
  switch (roll(13)) {
    case 0: return ['BEGIN'];
    case 1: case 2: return ['COMMIT'];
    case 3: return ['SELECT 1 / $1::int AS n', [String(roll(2))]];
    case 4: return ['SET work_mem = \'' + (64 + roll(9)) + 'kB\''];
    case 5: return ['SELECT current_setting(\'work_mem\') AS w, current_setting(\'app.tenant_id\', true) AS t', []];
    case 6: return ['INSERT INTO notes VALUES ($1, $2, current_setting(\'app.tenant_id\'), $3) RETURNING number, feeling',
                    [String(worker), String(number), roll(2) ? 'sad' : 'happy']];
    case 7: return ['SELECT number, feeling FROM notes WHERE worker = $1 AND feeling = $2 ORDER BY number DESC LIMIT 3',
                    [String(worker), roll(2) ? 'sad' : 'happy']];
    case 8: return ['SET LOCAL app.tenant_id = \'' + roll(4) + '\''];
    case 9: return kCount;
    default: return kLook;
  }
}

async function said(client, [text, values]) {
  try {
    return JSON.stringify(await client.run(text, values));
  } catch (error) {
    return `error ${error.code}`;
  }
}

async function work(worker) {
  const roll = dice(Number(seed) + worker);
  const open = driver === 'pg' ? over_pg : over_postgres;
  const client = await open({ port: Number(port), database });
  const twin = await open({ port: Number(twinPort), database: twinDatabase });
  let last = [], left = 0;  // left: of the transaction, which a switch waits for
  for (let number = 1; !stopping && result.differences.length === 0; ++number) {
    const drawn = number % 20 === 1 ? kWays[roll(4)](String(roll(4))) : step(roll, worker, number);
    if (drawn[0] === 'BEGIN') left = 1 + roll(4);
    const what = left > 0 && --left === 0 ? [roll(2) ? 'COMMIT' : 'ROLLBACK'] : drawn;
    last = [...last.slice(-30), what];
    const [here, there] = await Promise.all([said(client, what), said(twin, what)]);
    ++result.steps;
    if (what === kLook) ++result.looks;
    if (here !== there) {
      result.differences.push(`${driver}, seed ${seed}, worker ${worker}: ${here}, and the twin ${there}, after `
                              + JSON.stringify(last));
    }
    if (number === 1) process.stderr.write('working\n');
    if (left === 0) await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
  await client.end();
  await twin.end();
}

// The rows of the two drivers' clients are told apart.
Promise.all((driver === 'pg' ? [1, 2, 3] : [11, 12, 13]).map(work))
  .catch((error) => result.differences.push(`${error.code}: ${error.message}`))
  .finally(() => { console.log(JSON.stringify(result)); process.exit(0); });
