#include "control/sync_adopt.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>
#include <vector>

#include "control/names.hpp"
#include "control/replication.hpp"
#include "control/stream_setup.hpp"
#include "control/sync.hpp"

namespace turnout::control {

namespace {

constexpr Milliseconds kPatience{60'000};
constexpr Milliseconds kLook{50};

constexpr const char* kTheirs =
    "SELECT subname, coalesce(subslotname, ''), subenabled, oid FROM pg_subscription WHERE subdbid = (SELECT oid FROM "
    "pg_database WHERE datname = current_database()) AND subname !~ '^turnout_to_' ORDER BY 1";

/// Of the publications ($1) those that leave something out; one that does not exist does, too.
constexpr const char* kIncomplete =
    "SELECT wanted FROM unnest($1::text[]) wanted LEFT JOIN pg_publication p ON p.pubname = wanted "
    "WHERE p.oid IS NULL OR NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate)";
constexpr const char* kInPart =
    "SELECT r.prrelid::regclass::text FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid "
    "WHERE p.pubname = ANY ($1::text[]) AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)";

std::vector<std::string> column(const PgResult& rows) {
    std::vector<std::string> texts;
    for (int i = 0; i < rows.rows(); ++i) texts.push_back(rows.as<std::string>(i, 0));
    return texts;
}

[[noreturn]] void refuse(const std::string& subscription, std::string_view why) {
    throw SyncRefused(fmt::format("subscription {} cannot be adopted: {}", subscription, why));
}

/// What it does not bring would be missing without a word.
asio::awaitable<void> require_whole(PgConnection& target, PgConnection& source, const std::string& name) {
    const PgResult list = co_await target.query(
        "SELECT unnest(subpublications) FROM pg_subscription WHERE subname = $1 AND subdbid = (SELECT oid FROM "
        "pg_database WHERE datname = current_database())",
        name);
    const std::vector<std::string> publications = column(list);
    const std::vector<std::string> incomplete = column(co_await source.query(kIncomplete, publications));
    if (!incomplete.empty()) {
        refuse(name, fmt::format("its publication {} does not exist on {}, or leaves out operations", incomplete[0],
                                 turnout::name(source.side())));
    }
    if (source.server_major() >= 15) {
        const std::vector<std::string> in_part = column(co_await source.query(kInPart, publications));
        if (!in_part.empty()) refuse(name, fmt::format("table {} is published in part only", in_part[0]));
    }
    const std::vector<std::string> subscribed = column(co_await target.query(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = "
        "r.srsubid JOIN pg_class c ON c.oid = r.srrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE s.subname "
        "= $1 AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND r.srsubstate = 'r'",
        name));
    const std::set<std::string> brought(subscribed.begin(), subscribed.end());
    for (const std::string& table : co_await carried_tables(source)) {
        if (brought.contains(table)) continue;
        refuse(name, fmt::format("it does not bring table {}, or has not copied it yet (a partitioned table must be "
                                 "published as a whole: publish_via_partition_root)",
                                 table));
    }
}

/// The old slot has to pass the moment when turnout's publications were made: what is decoded before it does not know
/// them.
asio::awaitable<void> await_position(PgConnection& source, std::string slot) {
    const PgResult made = co_await source.query("SELECT pg_current_wal_insert_lsn()");
    const std::string position = made.as<std::string>(0, 0);
    asio::steady_timer timer(co_await asio::this_coro::executor);
    const auto deadline = Clock::now() + kPatience;
    for (;;) {
        // A commit gives the walsender something to talk about.
        co_await source.query("SELECT pg_logical_emit_message(true, 'turnout', 'adopt')");
        const PgResult passed = co_await source.query(
            "SELECT confirmed_flush_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2", position, slot);
        if (!passed.empty() && passed.as<bool>(0, 0)) co_return;
        if (Clock::now() >= deadline) {
            throw SyncRefused(
                fmt::format("the slot {} does not move on: see the log of the standby for what its "
                            "subscription meets",
                            slot));
        }
        timer.expires_after(kLook);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

}  // namespace

asio::awaitable<std::string> find_adoptable(PgConnection& target, PgConnection& source) {
    const PgResult theirs = co_await target.query(kTheirs);
    const auto side = turnout::name(target.side());
    if (theirs.empty()) {
        const std::optional<Stream> own = co_await find_stream(target);
        if (own) co_return std::string();
        throw SyncRefused(fmt::format("{} on {} has no subscription to adopt: sync without --adopt copies it",
                                      target.database(), side));
    }
    const std::string name = theirs.as<std::string>(0, 0);
    if (theirs.rows() > 1) {
        refuse(name, fmt::format("{} on {} has {} subscriptions, and one must bring everything", target.database(),
                                 side, theirs.rows()));
    }
    if (!theirs.as<bool>(0, 2)) refuse(name, "it is disabled; ALTER SUBSCRIPTION … ENABLE, and let it catch up");
    if (target.server_major() >= 15) {
        const PgResult two_phase = co_await target.query(
            "SELECT FROM pg_subscription WHERE oid = $1 AND subtwophasestate <> 'd'", theirs.as<std::uint32_t>(0, 3));
        if (!two_phase.empty()) refuse(name, "it is two_phase, which the way back is not");
    }
    const PgResult slot = co_await source.query(
        "SELECT FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database() AND plugin = "
        "'pgoutput'",
        theirs.as<std::string>(0, 1));
    if (slot.empty()) {
        refuse(name, fmt::format("its slot is not in {} on {}: it follows another server", source.database(),
                                 turnout::name(source.side())));
    }
    co_await require_whole(target, source, name);
    co_return name;
}

asio::awaitable<void> adopt(const Cluster& cluster, PgConnection& target, PgConnection& source,
                            std::string subscription) {
    const PgResult oids = co_await source.query("SELECT oid FROM pg_database WHERE datname = current_database()");
    const std::string own_slot = names::slot(target.side(), oids.as<std::uint32_t>(0, 0));
    const std::string own_name = names::subscription(target.side());
    const PgResult theirs = co_await target.query(kTheirs);
    const std::string slot = theirs.as<std::string>(0, 1);
    const std::string quoted = PgConnection::identifier(subscription);
    const auto deadline = Clock::now() + kPatience;

    co_await await_position(source, slot);
    co_await target.query(fmt::format("ALTER SUBSCRIPTION {} DISABLE", quoted));
    std::exception_ptr failure;
    try {
        co_await wait_until_inactive(source, slot, deadline);
        co_await source.query("SELECT pg_copy_logical_replication_slot($1, $2)", slot, own_slot);
        const std::string conninfo = cluster.replication_conninfo(source.side(), source.database()).text();
        std::string options = fmt::format("slot_name = '{}'", own_slot);
        const bool both_16 = target.server_major() >= 16 && source.server_major() >= 16;
        if (both_16) options += ", origin = none";
        if (target.server_major() >= 16) options += ", run_as_owner = true";
        // One message, one transaction: it is theirs before, and ours after it.
        co_await target.query(
            fmt::format("ALTER SUBSCRIPTION {0} SET ({1}); ALTER SUBSCRIPTION {0} CONNECTION {2}; "
                        "ALTER SUBSCRIPTION {0} RENAME TO {3}",
                        quoted, options, PgConnection::literal(conninfo), own_name));
    } catch (const PgError&) {
        failure = std::current_exception();
    }
    if (failure) {
        co_await target.query(fmt::format("ALTER SUBSCRIPTION {} ENABLE", quoted));
        std::rethrow_exception(failure);
    }
    co_await target.query(fmt::format("ALTER SUBSCRIPTION {} ENABLE", own_name));
    // While it runs: the tables that it knows stay known, and with them what is under way.
    co_await target.query_by(deadline, fmt::format("ALTER SUBSCRIPTION {} SET PUBLICATION {}, {} WITH (refresh = true, "
                                                   "copy_data = false)",
                                                   own_name, names::kTablesPublication, names::kMarkerPublication));
    // The walsender that still runs does not know them: with a new one nothing of the marker is passed over.
    co_await target.query(fmt::format("ALTER SUBSCRIPTION {} DISABLE", own_name));
    co_await wait_until_inactive(source, own_slot, deadline);
    co_await target.query(fmt::format("ALTER SUBSCRIPTION {} ENABLE", own_name));
    co_await drop_slot(source, slot, 0, deadline);
}

}  // namespace turnout::control
