# The console by asyncpg, a driver that knows the extended protocol only and asks for rows in binary: every SHOW in both
# databases, verbs with their options, and what is refused. What is asked and what comes is the transcript, on standard
# output. Ends with 1 where something is refused that should not be, or is not that should.
#
#   console_driver.py DIRECTORY     of the admin socket of a turnout that is synced
import asyncio
import os
import sys

import asyncpg

VERBS = [
    "CHECK",
    "REHEARSE MAX_PAUSE '1s' DEADLINE '60s'",
    "SWITCH MAX_PAUSE '1s' DEADLINE '60s' PINNED wait LONG_TRANSACTIONS cancel",
    "VERIFY",
    "ROLLBACK MAX_PAUSE '1s'",
    "SET switch.max_pause = '77ms'",
    "RELOAD",
    "PAUSE app",
    "RESUME app",
    "DISABLE app",
    "ENABLE app",
    "RECONNECT app",
    "WAIT_CLOSE app",
    "SHOW STATUS AS JSON",
]
REFUSED = {
    "SHOW NONSENSE": "42601",
    "PAUSE nosuch": "3D000",
    "KILL_CLIENT 999999": "42704",
    "RESUME": "55000",
    "SET switch.max_pause = 'soon'": "22023",
    "FINISH": "55000",
}


def table(rows):
    """Upright, a record after the other, where it would be wide."""
    if not rows:
        return ["(0 rows)"]
    names = list(rows[0].keys())
    cells = [["" if value is None else str(value) for value in row.values()] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(names, *cells)]
    if sum(widths) + 3 * len(widths) <= 120:
        lines = [names, *cells]
        return [" | ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines]
    lines = []
    for number, row in enumerate(cells, 1):
        lines.append(f"-[ RECORD {number} ]")
        lines += [f"{name.ljust(max(map(len, names)))} | {text}".rstrip() for name, text in zip(names, row)]
    return lines


async def ask(connection, command):
    notices = []

    def note(_, message):
        notices.append(f"{message.severity_en or message.severity}:  {message.message}")

    connection.add_log_listener(note)
    print(f"\n=> {command};")
    try:
        prepared = await connection.prepare(command)
        rows = await prepared.fetch()
        print("\n".join(notices + table(rows) if prepared.get_attributes() else notices + [prepared.get_statusmsg()]))
        return rows
    except asyncpg.PostgresError as error:
        lines = [f"ERROR:  {error.sqlstate}: {error.message}", f"DETAIL:  {error.detail}", f"HINT:  {error.hint}"]
        print("\n".join(notices + [line for line in lines if not line.endswith(":  None")]))
        return error.sqlstate
    finally:
        connection.remove_log_listener(note)


async def main():
    failed = []
    for database in "turnout", "pgbouncer":
        connection = await asyncpg.connect(host=sys.argv[1], port=6432, user="me", database=database)
        print(f"\n# asyncpg {asyncpg.__version__} in the database {database}; {connection.get_settings().server_version}")
        topics = [row["command"] for row in await ask(connection, "SHOW HELP") if row["command"].startswith("SHOW ")]
        asked = topics + (VERBS if database == "turnout" else [])
        for command in asked:
            if isinstance(await ask(connection, command), str):
                failed.append(command)
        for command, sqlstate in REFUSED.items():
            if await ask(connection, command) != sqlstate:
                failed.append(command)
        await connection.close()
    for command in failed:
        print(f"console: not as expected: {command}", file=sys.stderr)
    sys.exit(1 if failed else 0)


os.environ.pop("PGPASSWORD", None)
asyncio.run(main())
