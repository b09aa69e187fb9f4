// The table of checks, and those of them that one SQL statement answers.
#include "control/preflight_checks.hpp"

namespace turnout::control::checks {

namespace {

using Where = Query::Where;

/// Tables and other relations of users, over `c` and `n`.
#define TURNOUT_USERS "n.nspname NOT IN ('information_schema', 'turnout') AND n.nspname !~ '^pg_'"
#define TURNOUT_RELATION "format('%I.%I', n.nspname, c.relname)"
#define TURNOUT_FROM_CLASS "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "

constexpr Query kRecovery{Where::servers, Severity::refuse, 0,
                          "SELECT 'in recovery', 'SELECT pg_promote(), or name the primary in its url' WHERE "
                          "pg_is_in_recovery()",
                          "the server is a physical standby: it cannot be written"};

constexpr Query kRights{
    Where::servers, Severity::refuse, 0,
    "SELECT current_user::text, format('ALTER ROLE %I SUPERUSER', current_user) FROM pg_roles WHERE "
    "rolname = current_user AND NOT rolsuper",
    "control's role is no superuser, and so cannot make subscriptions nor read verifiers"};

constexpr Query kWalLevel{Where::servers, Severity::refuse, 0,
                          "SELECT current_setting('wal_level'), 'ALTER SYSTEM SET wal_level = logical, and restart' "
                          "WHERE current_setting('wal_level') <> 'logical'",
                          "wal_level is not logical"};

constexpr Query kSlotLimits{
    Where::servers, Severity::warn, 13,
    "SELECT name || ' = ' || current_setting(name), format('ALTER SYSTEM SET %s = %s; SELECT pg_reload_conf()', name, "
    "CASE name WHEN 'max_slot_wal_keep_size' THEN '-1' ELSE '0' END) FROM pg_settings WHERE (name = "
    "'max_slot_wal_keep_size' AND setting <> '-1') OR (name = 'idle_replication_slot_timeout' AND setting <> '0')",
    "a limit that can kill the slot of the way back"};

constexpr Query kSlotHealth{Where::servers, Severity::refuse, 13,
                            "SELECT slot_name::text, 'turnout abort, then turnout sync' FROM pg_replication_slots "
                            "WHERE slot_name ~ '^turnout_' "
                            "AND wal_status IN ('unreserved', 'lost')",
                            "slots have lost WAL that they need, or are about to"};

constexpr Query kPrepared{Where::active, Severity::refuse, 0,
                          "SELECT gid, format('in %I: COMMIT PREPARED %L or ROLLBACK PREPARED %L', database, gid, gid) "
                          "FROM pg_prepared_xacts "
                          "WHERE database = ANY ($1::text[])",
                          "prepared transactions exist on this side only, and could not be ended on the other"};

constexpr Query kForeignSlots{
    Where::active, Severity::warn, 0,
    "SELECT slot_name::text, NULL FROM pg_replication_slots WHERE slot_type = 'logical' AND slot_name !~ '^turnout_' "
    "AND "
    "slot_name !~ '^pg_[0-9]+_sync_' AND database = ANY ($1::text[])",
    "logical slots of others stay on this side: their consumers see nothing that is written after a switch"};

constexpr Query kPhysical{
    Where::active, Severity::warn, 0,
    "SELECT application_name || coalesce(' at ' || client_addr, ''), NULL FROM pg_stat_replication "
    "r WHERE application_name !~ '^turnout_' AND NOT EXISTS (SELECT FROM pg_replication_slots s "
    "WHERE s.active_pid = r.pid AND s.slot_type = 'logical')",
    "physical standbys stay with this side and will serve old data after a switch"};

constexpr Query kSubscriptions{
    Where::databases, Severity::warn, 0,
    "SELECT subname::text, NULL FROM pg_subscription WHERE subname !~ '^turnout_to_' AND subdbid = (SELECT oid FROM "
    "pg_database WHERE datname = current_database())",
    "subscriptions of others do not follow a switch"};

constexpr Query kSkip{Where::databases, Severity::refuse, 15,
                      "SELECT subname::text, format('ALTER SUBSCRIPTION %I SKIP (lsn = NONE)', subname) FROM "
                      "pg_subscription WHERE subname "
                      "~ '^turnout_' AND subskiplsn <> '0/0' AND subdbid = (SELECT oid FROM pg_database WHERE datname "
                      "= current_database())",
                      "a subscription is told to skip a transaction, which would be lost"};

constexpr Query kSynchronizedSlots{
    Where::servers, Severity::warn, 17,
    "SELECT current_setting('synchronized_standby_slots'), 'ALTER SYSTEM RESET synchronized_standby_slots; SELECT "
    "pg_reload_conf()' WHERE current_setting('synchronized_standby_slots') <> ''",
    "synchronized_standby_slots makes the streams wait for physical standbys"};

constexpr Query kRoleReadOnly{
    Where::active, Severity::warn, 0,
    "SELECT format('%s%s', r.rolname, ' in ' || d.datname), CASE WHEN d.datname IS NULL THEN format('ALTER ROLE %I "
    "RESET "
    "default_transaction_read_only', r.rolname) ELSE format('ALTER ROLE %I IN DATABASE %I RESET "
    "default_transaction_read_only', r.rolname, d.datname) END FROM pg_db_role_setting s CROSS JOIN "
    "unnest(s.setconfig) c "
    "JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase WHERE c ~ "
    "'^default_transaction_read_only=(off|false|no|0)' AND (d.datname IS NULL OR d.datname = ANY ($1::text[]))",
    "roles with default_transaction_read_only = off of their own pass the fence without noticing it"};

constexpr Query kHba{
    Where::active, Severity::warn, 0,
    "SELECT format('line %s: %s %s %s %s %s', line_number, type, array_to_string(database, ','), "
    "array_to_string(user_name, ','), coalesce(address, ''), auth_method), 'let only the proxy''s address in by "
    "pg_hba.conf, and SELECT pg_reload_conf()' FROM pg_hba_file_rules WHERE error IS NULL AND auth_method <> 'reject' "
    "AND "
    "type <> 'local' AND NOT 'replication' = ANY (database) AND ('all' = ANY (database) OR database && $1::text[]) AND "
    "(address IN ('all', 'samenet', 'samehost') OR netmask NOT IN ('255.255.255.255', "
    "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'))",
    "pg_hba.conf lets whole networks reach the databases without the proxy: the fence is soft"};

constexpr Query kPgCron{Where::databases, Severity::warn, 0,
                        "SELECT extname::text, 'SELECT cron.unschedule(jobid) FROM cron.job, or make them idle for the "
                        "switch' FROM pg_extension WHERE extname IN ('pg_cron', 'pg_partman', 'timescaledb')",
                        "background jobs write without the proxy, and fail at the fence"};

constexpr Query kLoginTriggers{
    Where::databases, Severity::refuse, 17,
    "SELECT evtname::text, format('ALTER EVENT TRIGGER %I DISABLE', evtname) FROM pg_event_trigger WHERE evtevent = "
    "'login' AND evtenabled <> 'D'",
    "login event triggers run, and may write, when sessions are made ready on the standby"};

constexpr Query kEventTriggers{
    Where::databases, Severity::warn, 0,
    "SELECT evtname::text, format('ALTER EVENT TRIGGER %I DISABLE', evtname) FROM pg_event_trigger e WHERE evtevent <> "
    "'login' AND evtenabled <> 'D' AND evtname !~ '^turnout_' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid "
    "= "
    "'pg_event_trigger'::regclass "
    "AND d.objid = e.oid AND d.deptype = 'e')",
    "event triggers also fire for what turnout itself makes and drops"};

constexpr Query kAlwaysTriggers{
    Where::databases, Severity::refuse, 0,
    "SELECT format('%I on ', g.tgname) || " TURNOUT_RELATION
    ", format('ALTER TABLE %I.%I ENABLE TRIGGER %I', n.nspname, c.relname, g.tgname) " TURNOUT_FROM_CLASS
    "JOIN pg_trigger g ON g.tgrelid = c.oid WHERE NOT g.tgisinternal AND g.tgenabled IN ('A', 'R') AND " TURNOUT_USERS,
    "triggers that are ENABLE ALWAYS or ENABLE REPLICA fire again where rows are applied, and fail at the fence"};

/// A leaf needs an identity of its own; a partitioned table above it has no rows.
constexpr Query kReplicaIdentity{Where::databases, Severity::refuse, 0,
                                 "SELECT " TURNOUT_RELATION
                                 ", format('ALTER TABLE %I.%I REPLICA IDENTITY FULL, or give it a primary key', "
                                 "n.nspname, c.relname) " TURNOUT_FROM_CLASS
                                 "WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND " TURNOUT_USERS
                                 " AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND "
                                 "e.objid = c.oid AND e.deptype = "
                                 "'e') AND CASE c.relreplident WHEN 'f' THEN false WHEN 'd' THEN NOT EXISTS (SELECT "
                                 "FROM pg_index i WHERE i.indrelid = "
                                 "c.oid AND i.indisprimary AND i.indisvalid) WHEN 'i' THEN NOT EXISTS (SELECT FROM "
                                 "pg_index i WHERE i.indrelid = c.oid "
                                 "AND i.indisreplident) ELSE true END",
                                 "tables without a replica identity: UPDATE and DELETE fail once they are published"};

/// A row that is known by all of its columns is looked for by equality, as B-tree or hash know it; arrays, composites
/// and domains have it from what they are made of.
constexpr Query kRowEquality{
    Where::databases, Severity::warn, 0,
    "SELECT " TURNOUT_RELATION
    " || format(' (%s)', string_agg(DISTINCT format_type(p.type, NULL), ', ')), format('ALTER TABLE %I.%I ADD PRIMARY "
    "KEY (…), or REPLICA IDENTITY USING INDEX …', n.nspname, c.relname) " TURNOUT_FROM_CLASS
    "CROSS JOIN LATERAL (WITH RECURSIVE part (type) AS (SELECT atttypid FROM pg_attribute WHERE attrelid = c.oid AND "
    "attnum > 0 AND NOT attisdropped UNION SELECT inner_type FROM part JOIN pg_type t ON t.oid = part.type CROSS JOIN "
    "LATERAL (SELECT t.typbasetype WHERE t.typtype = 'd' UNION ALL SELECT t.typelem WHERE t.typcategory = 'A' AND "
    "t.typelem <> 0 UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid "
    "AND a.attnum > 0 AND NOT a.attisdropped) AS made_of (inner_type)) SELECT type FROM part) p JOIN pg_type t ON "
    "t.oid = p.type WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.relreplident = 'f' AND " TURNOUT_USERS
    " AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid) AND "
    "t.typtype = 'b' AND t.typcategory <> 'A' AND NOT EXISTS (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = "
    "o.opcmethod WHERE m.amname IN ('btree', 'hash') AND o.opcdefault AND (o.opcintype = t.oid OR EXISTS (SELECT FROM "
    "pg_cast k WHERE k.castsource = t.oid AND k.casttarget = o.opcintype AND k.castmethod = 'b' AND k.castcontext = "
    "'i'))) GROUP BY n.nspname, c.relname",
    "rows are known by all of their columns, and not all of those can be compared: UPDATE and DELETE would stop the "
    "stream"};

constexpr Query kUnlogged{Where::sources, Severity::refuse, 0,
                          "SELECT " TURNOUT_RELATION
                          ", format('ALTER TABLE %I.%I SET LOGGED', n.nspname, c.relname) " TURNOUT_FROM_CLASS
                          "WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'u' AND " TURNOUT_USERS,
                          "unlogged tables are not replicated: their rows would stay behind"};

constexpr Query kLargeObjects{
    Where::sources, Severity::refuse, 0,
    "SELECT 'large object ' || oid, 'move them into bytea columns, or SELECT lo_unlink(oid) FROM "
    "pg_largeobject_metadata if nobody needs them' FROM pg_largeobject_metadata",
    "large objects are not replicated"};

constexpr Query kMatviews{
    Where::sources, Severity::warn, 0,
    "SELECT " TURNOUT_RELATION
    ", format('REFRESH MATERIALIZED VIEW %I.%I, after the switch', n.nspname, c.relname) " TURNOUT_FROM_CLASS
    "WHERE c.relkind = 'm' AND " TURNOUT_USERS,
    "materialized views are as of the copy on the other side"};

constexpr Query kForeignKeys{
    Where::databases, Severity::warn, 0,
    "SELECT format('%I on ', k.conname) || k.conrelid::regclass, format('ALTER TABLE %s SET LOGGED', "
    "k.confrelid::regclass) "
    "FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid JOIN "
    "pg_namespace n "
    "ON n.oid = c.relnamespace WHERE k.contype = 'f' AND c.relpersistence = 'p' AND (r.relpersistence <> 'p' OR EXISTS "
    "(SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = r.oid AND e.deptype = 'e')) "
    "AND " TURNOUT_USERS,
    "foreign keys point to tables that are not carried: a replicated TRUNCATE can fail"};

constexpr Query kStatistics{Where::databases, Severity::warn, 0,
                            "SELECT " TURNOUT_RELATION ", 'ANALYZE' " TURNOUT_FROM_CLASS
                            "WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND pg_relation_size(c.oid) > 1000000 "
                            "AND NOT EXISTS (SELECT FROM "
                            "pg_statistic s WHERE s.starelid = c.oid) AND " TURNOUT_USERS,
                            "tables have no statistics: queries would be planned blindly"};

constexpr Query kForeignPartitions{
    Where::sources, Severity::refuse, 0,
    "SELECT " TURNOUT_RELATION
    ", format('ALTER TABLE %s DETACH PARTITION %I.%I', i.inhparent::regclass, n.nspname, "
    "c.relname) " TURNOUT_FROM_CLASS
    "JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.relkind = 'f' AND c.relispartition AND " TURNOUT_USERS,
    "foreign tables are partitions of tables that are to be copied"};

/// What sync makes carries every operation of whole tables, and nothing that the other side computes itself (18 can);
/// somebody may have altered it since.
constexpr Query kPublications{
    Where::databases, Severity::refuse, 0,
    "SELECT pubname::text, format('ALTER PUBLICATION %I SET (publish = ''insert, update, delete, truncate'', "
    "publish_via_partition_root = true%s)', pubname, CASE WHEN to_jsonb(p) ? 'pubgencols' THEN ', "
    "publish_generated_columns = none' END) FROM pg_publication p WHERE pubname = 'turnout_tables' AND NOT (pubinsert "
    "AND pubupdate AND pubdelete AND pubtruncate AND pubviaroot AND NOT puballtables AND coalesce(to_jsonb(p) ->> "
    "'pubgencols', 'n') = 'n')",
    "the publication leaves out operations, or carries what is generated: writes would be lost, or stop the stream"};

constexpr Query kPublicationParts{
    Where::databases, Severity::refuse, 15,
    "SELECT pr.prrelid::regclass::text, format('ALTER PUBLICATION %I SET TABLE …, without WHERE and without a column "
    "list; or turnout abort, then turnout sync', p.pubname) FROM pg_publication_rel pr JOIN pg_publication p ON p.oid "
    "= pr.prpubid WHERE p.pubname = 'turnout_tables' AND (pr.prqual IS NOT NULL OR pr.prattrs IS NOT NULL)",
    "tables are published in part only: a row filter or a column list was added"};

#undef TURNOUT_USERS
#undef TURNOUT_RELATION
#undef TURNOUT_FROM_CLASS

}  // namespace

const std::vector<Check>& table() {
    static const std::vector<Check> all{
        {"identity", true, true, nullptr, identity},
        {"version", true, true, nullptr, versions},
        {"recovery", true, true, &kRecovery, nullptr},
        {"rights", true, true, &kRights, nullptr},
        {"wal_level", true, true, &kWalLevel, nullptr},
        {"replication_room", true, true, nullptr, room_for_replication},
        {"connection_room", false, true, nullptr, room_for_sessions},
        {"pinned_sessions", false, true, nullptr, pinned_sessions},
        {"pg_dump", true, false, nullptr, dump_program},
        {"slot_limits", true, true, &kSlotLimits, nullptr},
        {"slot_health", true, true, &kSlotHealth, nullptr},
        {"synchronous_standby_names", true, true, nullptr, synchronous_standbys},
        {"synchronized_standby_slots", true, true, &kSynchronizedSlots, nullptr},
        {"prepared_transactions", false, true, &kPrepared, nullptr},
        {"long_transactions", true, true, nullptr, long_transactions},
        {"other_slots", true, true, &kForeignSlots, nullptr},
        {"physical_standbys", true, true, &kPhysical, nullptr},
        {"other_subscriptions", true, true, &kSubscriptions, nullptr},
        {"skipped_transactions", true, true, &kSkip, nullptr},
        {"roles", false, true, nullptr, roles},
        {"settings", false, true, nullptr, settings},
        {"database_limits", false, true, nullptr, database_limits},
        {"role_read_only", true, true, &kRoleReadOnly, nullptr},
        {"pg_hba", true, true, &kHba, nullptr},
        {"bypassing", false, true, nullptr, bypassing},
        {"background_jobs", true, true, &kPgCron, nullptr},
        {"extensions", true, true, nullptr, extensions},
        {"extension_versions", false, true, nullptr, extension_versions},
        {"replica_identity", true, true, &kReplicaIdentity, nullptr},
        {"row_equality", true, true, &kRowEquality, nullptr},
        {"unlogged_tables", true, true, &kUnlogged, nullptr},
        {"large_objects", true, true, &kLargeObjects, nullptr},
        {"materialized_views", true, true, &kMatviews, nullptr},
        {"foreign_keys", true, true, &kForeignKeys, nullptr},
        {"foreign_partitions", true, true, &kForeignPartitions, nullptr},
        {"always_triggers", true, true, &kAlwaysTriggers, nullptr},
        {"login_triggers", true, true, &kLoginTriggers, nullptr},
        {"event_triggers", true, true, &kEventTriggers, nullptr},
        {"statistics", false, true, &kStatistics, nullptr},
        {"schema", false, true, nullptr, schema},
        {"details", false, true, nullptr, details},
        {"publications", false, true, &kPublications, nullptr},
        {"published_parts", false, true, &kPublicationParts, nullptr},
        {"streams", false, true, nullptr, streams},
        {"markers", false, true, nullptr, markers},
        {"gaps", false, true, nullptr, gaps},
        {"way_back", false, true, nullptr, way_back},
        {"tables_carried", false, true, nullptr, carried},
        {"type_oids", false, true, nullptr, type_oids},
        {"hidden_state", true, true, nullptr, hidden_state},
    };
    return all;
}

}  // namespace turnout::control::checks
