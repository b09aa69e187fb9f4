// One login over npm's driver `pg`, which tells the SQLSTATE of a refusal. Prints `ok`, or the SQLSTATE and the message.
//
//     node driver_login.js <port> <user> <password> <database>
'use strict';
const { Client } = require('pg');

const [port, user, password, database] = process.argv.slice(2);
const client = new Client({ host: '127.0.0.1', port: Number(port), user, password, database });
client.on('error', () => {});
client.connect()
  .then(() => client.query('SELECT 1'))
  .then(() => { console.log('ok'); return client.end(); })
  .catch((error) => { console.log(`${error.code} ${error.message} ${error.hint || ''}`); process.exit(0); });
