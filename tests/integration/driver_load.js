// A load over npm's driver `pg`: a pool of connections that write in transactions and with named prepared statements, and
// read what they have written, until SIGINT. Prints one JSON object: what was acknowledged and what went wrong.
//
//     node driver_load.js <port> <user> <password> <database>
'use strict';
const { Client } = require('pg');

const [port, user, password, database] = process.argv.slice(2);
const settings = { host: '127.0.0.1', port: Number(port), user, password, database };
const result = { acknowledged: 0, errors: [] };
let stopping = false;
process.on('SIGINT', () => { stopping = true; });

async function round(client, worker, number) {
  await client.query('BEGIN');
  await client.query({ name: 'write', text: 'INSERT INTO things (worker, number, note) VALUES ($1, $2, $3)',
                       values: [worker, number, `note ${number}`] });
  await client.query('COMMIT');
  result.acknowledged += 1;
  const read = await client.query({ name: 'read', text: 'SELECT note FROM things WHERE worker = $1 AND number = $2',
                                    values: [worker, number] });
  if (read.rows.length !== 1 || read.rows[0].note !== `note ${number}`) {
    throw new Error(`worker ${worker} read ${JSON.stringify(read.rows)} for its own ${number}`);
  }
  const sum = await client.query('SELECT count(*)::int AS n FROM things WHERE worker = $1', [worker]);
  if (sum.rows[0].n !== number) throw new Error(`worker ${worker} counts ${sum.rows[0].n} rows, wrote ${number}`);
}

async function work(worker) {
  const client = new Client(settings);
  client.on('error', (error) => result.errors.push(`connection: ${error.code}: ${error.message}`));
  try {
    await client.connect();
    for (let number = 1; !stopping; ++number) {
      await round(client, worker, number);
      if (number === 1) process.stderr.write('writing\n');
    }
    await client.end();
  } catch (error) {
    result.errors.push(`${error.code}: ${error.message}`);
  }
}

Promise.all([1, 2, 3, 4].map(work)).then(() => console.log(JSON.stringify(result)));
