// Asks the admin socket by the extended protocol only: every query is prepared. Prints what it saw as JSON.
'use strict';
const {Client} = require('pg');

(async () => {
  const client = new Client({host: process.argv[2], port: 6432, user: 'me', database: 'pgbouncer'});
  await client.connect();
  const ask = (name, text) => client.query({name, text, rowMode: 'array'});
  const sides = await ask('sides', 'SHOW SIDES');
  const databases = await client.query({name: 'databases', text: 'SHOW DATABASES'});
  await ask('sides', 'SHOW SIDES');
  let error = '';
  try {
    await ask('wrong', 'SHOW NONSENSE');
  } catch (refused) {
    error = refused.code;
  }
  await client.query({name: 'stats', text: 'SHOW STATS_TOTALS'});
  await client.end();
  const active = sides.rows.find(row => row[1] === 'active')[0];
  console.log(JSON.stringify({active, database: databases.rows[0].database, error}));
})().catch(error => {
  console.error(error);
  process.exit(1);
});
