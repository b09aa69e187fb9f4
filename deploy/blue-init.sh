#!/bin/sh
# Run once by the postgres image, on an empty data directory: the application's role and database. On green, `turnout
# sync` makes them alike.
set -eu
psql --set ON_ERROR_STOP=1 --set password="${TURNOUT_APP_PASSWORD:-app}" --username postgres <<'SQL'
CREATE ROLE app LOGIN PASSWORD :'password';
CREATE DATABASE app OWNER app;
SQL
