#!/usr/bin/env bash
# A version change as somebody does it who has the README and `turnout --help` and nothing else: from two running servers
# to a finished version change, there, back, and there again, while an application works. What is typed and what comes is
# the transcript, on standard output. Fails where a command does not end as the README says, where the application hears
# an error, or where a row is missing.
#
# Two more transcripts go to DIRECTORY: the console by psql (console_psql.txt) and by a driver that knows the extended
# protocol only (console_driver.txt).
#
#   newcomer.sh TURNOUT BLUE_BIN GREEN_BIN DIRECTORY     the program, and the directories of initdb of two majors
set -euo pipefail

turnout=$(readlink -f "$1") blue_bin=$2 green_bin=$3 transcripts=$(readlink -f "$4")
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
work=$(mktemp -d /tmp/turnout-newcomer-XXXXXX)
chmod 755 "$work"
as_server=()
[ "$(id -u)" = 0 ] && as_server=(runuser -u "${TURNOUT_PG_USER:-postgres}" --)
proxy='' application=''

cleanup() {
    rm -f "$work/working"
    [ -n "$proxy" ] && kill "$proxy" 2>/dev/null && wait "$proxy" 2>/dev/null
    for side in blue green; do
        "${as_server[@]}" "$(bin_of $side)/pg_ctl" -D "$work/$side/data" -m immediate stop >/dev/null 2>&1
    done
    rm -rf "$work"
    true
}
trap cleanup EXIT

bin_of() { [ "$1" = blue ] && echo "$blue_bin" || echo "$green_bin"; }
free_port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'; }

# The premise: two servers that run.
make_server() {
    local side=$1 port=$2 bin
    bin=$(bin_of "$side")
    mkdir "$work/$side"
    echo secret > "$work/$side/password"
    [ ${#as_server[@]} = 0 ] || chown -R "${TURNOUT_PG_USER:-postgres}" "$work/$side"
    "${as_server[@]}" "$bin/initdb" -D "$work/$side/data" -U postgres -A scram-sha-256 --pwfile="$work/$side/password" -E UTF8 \
        --locale=C >/dev/null
    "${as_server[@]}" "$bin/pg_ctl" -D "$work/$side/data" -l "$work/$side/log" -w -o \
        "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c wal_level=logical -c fsync=off" start >/dev/null
}

# run STATUS command...: what is typed, and what comes.
run() {
    local wanted=$1 status=0
    shift
    local words=() word
    for word in "${@//$work/.}"; do
        case $word in *[^-A-Za-z0-9_./=:,]*) word=${word@Q} ;; esac
        words+=("$word")
    done
    printf '\n$ %s\n' "${words[*]}"
    PATH=$(dirname "$turnout"):$PATH TURNOUT_ADMIN=$work/run "$@" 2>&1 | sed "s#$work#.#g" || status=${PIPESTATUS[0]}
    [ "$status" = "$wanted" ] || { echo "newcomer: '$*' ended with $status, not $wanted" >&2; exit 1; }
}
set -o pipefail

# Everything that the console shows, and some of what it does, in both databases, as psql prints it.
console_by_psql() {
    local database topic
    for database in turnout pgbouncer; do
        printf '# %s in the database %s\n' "$(psql --version)" "$database"
        {
            echo 'SHOW HELP;'
            psql -qXAt -h "$work/run" -p 6432 "$database" -c 'SHOW HELP' | grep -o '^SHOW [A-Z_]*' | sed 's/$/;/'
            for topic in "SWITCH MAX_PAUSE '1s' DEADLINE '60s' PINNED wait;" "ROLLBACK MAX_PAUSE '1s';" 'PAUSE;' \
                'SHOW STATE;' 'RESUME;' "SET switch.max_pause = '77ms';" 'RELOAD;' 'DISABLE app;' 'ENABLE app;' \
                'RECONNECT app;' 'SHOW NONSENSE;' 'FINISH;' 'SWITCH MAX_PAUS 3;'; do
                [ "$database" = pgbouncer ] || echo "$topic"
            done
        } | psql -Xa -v VERBOSITY=verbose -P expanded=auto -P columns=120 -P pager=off -P footer=off \
            -h "$work/run" -p 6432 "$database" 2>&1
    done
}
console_by_driver() {
    PYTHONPATH=${TURNOUT_ASYNCPG:-}${PYTHONPATH:+:$PYTHONPATH} python3 -B "$here/console_driver.py" "$work/run" 2>&1
}

blue=$(free_port) green=$(free_port) port=$(free_port) metrics=$(free_port)
make_server blue "$blue"
make_server green "$green"
export PGPASSWORD=secret PGCONNECT_TIMEOUT=10
psql -qX -h 127.0.0.1 -p "$blue" -U postgres postgres <<'SQL'
CREATE ROLE app LOGIN PASSWORD 'secret';
CREATE DATABASE app OWNER app;
SQL
psql -qX -h 127.0.0.1 -p "$blue" -U app app <<'SQL'
CREATE TABLE visit (id bigserial PRIMARY KEY, at timestamptz DEFAULT now());
CREATE TABLE log (line text);
SQL

echo "# Two servers run: blue on port $blue, green on port $green. turnout.toml, as the README has it:"
mkdir "$work/run"
cat > "$work/turnout.toml" <<TOML
[proxy]
listen = ["127.0.0.1:$port"]
state = "$work/state"
[side.blue]
url = "host=127.0.0.1 port=$blue user=postgres password=secret"
[side.green]
url = "host=127.0.0.1 port=$green user=postgres password=secret"
[switch]
databases = ["app"]
[admin]
socket = "$work/run"
[metrics]
listen = "127.0.0.1:$metrics"
TOML
chmod 600 "$work/turnout.toml"
sed "s#$work#.#g; s#password=secret#password=...#" "$work/turnout.toml"

run 0 turnout serve --config "$work/turnout.toml" --check-config
printf '\n$ turnout serve --config ./turnout.toml &\n'
"$turnout" serve --config "$work/turnout.toml" 2> "$work/turnout.log" &
proxy=$!
until [ -S "$work/run/.s.PGSQL.6432" ]; do kill -0 "$proxy"; done

echo
echo "# The application connects to turnout, with the name and password it has, and works from now on without a pause."
until psql -qX -h 127.0.0.1 -p "$port" -U app app -c 'SELECT 1' >/dev/null 2>&1; do kill -0 "$proxy"; done
touch "$work/working"
while [ -e "$work/working" ]; do echo 'INSERT INTO visit DEFAULT VALUES RETURNING id;'; sleep 0.01; done |
    psql -qXAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U app app > "$work/acknowledged" 2> "$work/heard" &
application=$!

run 1 turnout check
echo
echo "# One thing fails, and its remedy stands beside it:"
run 0 psql -h 127.0.0.1 -p "$port" -U app app -c 'ALTER TABLE public.log REPLICA IDENTITY FULL'
run 0 turnout sync
run 0 turnout check
echo
echo "# Whoever has psql, or a driver, has the console: SHOW HELP lists what it knows. (Transcripts of their own.)"
console_by_psql | sed "s#$work#.#g" > "$transcripts/console_psql.txt"
console_by_driver | sed "s#$work#.#g" > "$transcripts/console_driver.txt"
run 0 turnout switch --dry-run
run 0 turnout switch --yes
run 0 psql -X -A -t -h 127.0.0.1 -p "$port" -U app app -c "SELECT split_part(version(), ' ', 2)"
run 0 turnout verify
run 0 turnout rollback --yes
run 0 psql -X -A -t -h 127.0.0.1 -p "$port" -U app app -c "SELECT split_part(version(), ' ', 2)"
run 0 turnout switch --yes
run 0 turnout finish --yes
run 0 turnout show status
run 0 turnout show history

rm "$work/working"
wait "$application" || { cat "$work/heard" >&2; echo "newcomer: the application heard an error" >&2; exit 1; }
application=
acknowledged=$(wc -l < "$work/acknowledged")
there=$(psql -qXAt -h 127.0.0.1 -p "$green" -U app app -c 'SELECT count(*) FROM visit')
[ "$acknowledged" = "$there" ] || { echo "newcomer: $acknowledged rows were acknowledged, $there are there" >&2; exit 1; }
echo
echo "# The application heard no error in all this; all $there rows that were acknowledged to it are on green."
