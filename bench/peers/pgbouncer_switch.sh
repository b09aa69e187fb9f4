#!/bin/sh
# A change of servers as an operator scripts it for PgBouncer: a psql for each step, as few of them as will do, and all
# that can be made ready beforehand is. The new server follows the old one by the subscription "follow".
#
# In the environment: CONSOLE, OLD and NEW are connection strings (PgBouncer's console, the two servers), DATABASE is
# what PgBouncer calls the database, CONFIGURATION is its file, NEXT_CONFIGURATION the one that is to replace it, and PSQL
# the psql.
set -eu

sql() { "${PSQL:-psql}" --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname "$@"; }

# Whatever fails behind the PAUSE, clients do not wait for ever.
trap 'sql "$CONSOLE" --command="RESUME $DATABASE"' EXIT
sql "$CONSOLE" --command="PAUSE $DATABASE"

# The old server waits until the new one has everything, and then says how its sequences stand.
{
    sql "$OLD" --command="SET statement_timeout = '5s'" --command="DO \$\$
        DECLARE
            everything CONSTANT pg_lsn := pg_current_wal_lsn();
        BEGIN
            WHILE NOT EXISTS (
                SELECT FROM pg_stat_replication WHERE application_name = 'follow' AND replay_lsn >= everything
            ) LOOP
                PERFORM pg_sleep(0.001);
            END LOOP;
        END \$\$" --command="
        SELECT format('SELECT setval(%L, %s);', format('%I.%I', schemaname, sequencename), last_value)
        FROM pg_sequences WHERE last_value IS NOT NULL" || echo 'the old server has not said everything;'
} | sql "$NEW" >/dev/null

mv "$NEXT_CONFIGURATION" "$CONFIGURATION"
sql "$CONSOLE" --command=RELOAD --command="RESUME $DATABASE"
trap - EXIT
