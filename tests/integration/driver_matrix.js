// One login and one query after another over a driver that is not libpq. Prints a line for each: `ok`, or the SQLSTATE and
// the message.
//
//     node driver_matrix.js pg|postgres (<host or socket directory> <port> <user> <password> <certificate> <key>)...
//
// Over TLS with a certificate and its key, or with "tls" in place of the certificate; "" is none.
'use strict';
const fs = require('fs');

async function over_pg({ host, port, user, password, ssl }) {
  const { Client } = require('pg');
  const client = new Client({ host, port: Number(port), user, password, database: 'app', ssl });
  client.on('error', () => {});
  await client.connect();
  const rows = (await client.query('SELECT current_user AS name, $1::int AS number', [7])).rows;
  await client.end();
  return rows[0];
}

async function over_postgres({ host, port, user, password, ssl }) {
  const postgres = require('postgres');
  const place = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port: Number(port) };
  const sql = postgres({ ...place, user, password, database: 'app', ssl, max: 1, onnotice: () => {} });
  try {
    return (await sql`SELECT current_user AS name, ${7}::int AS number`)[0];
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function main() {
  const [driver, ...words] = process.argv.slice(2);
  while (words.length > 0) {
    const [host, port, user, password, certificate, key] = words.splice(0, 6);
    const pair = key ? { cert: fs.readFileSync(certificate), key: fs.readFileSync(key) } : {};
    const ssl = certificate ? { rejectUnauthorized: false, ...pair } : false;
    try {
      const row = await (driver === 'pg' ? over_pg : over_postgres)({ host, port, user, password, ssl });
      console.log(row.name === user && row.number === 7 ? 'ok' : JSON.stringify(row));
    } catch (error) {
      console.log(`${error.code} ${error.message}`);
    }
  }
}

main().finally(() => process.exit(0));
