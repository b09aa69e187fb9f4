// What may be said again: which batches are one command, and which commands leave nothing when they are cancelled.
#include "protocol/batch.hpp"

#include <gtest/gtest.h>

#include "protocol/frontend_messages.hpp"

namespace turnout::protocol {
namespace {

using namespace std::string_literals;

std::string query(std::string_view text) {
    std::string out;
    append(out, Query{text});
    return out;
}

/// Parse, Bind, Describe, Execute, Sync, as libpq says them.
std::string extended(std::string_view text, std::string_view name = "", std::int32_t rows = 0) {
    std::string out;
    append(out, Parse{name, text, {}});
    append(out, Bind{"", name, {}, {}, {}});
    append(out, Describe{Target::portal, ""});
    append(out, Execute{"", rows});
    append_sync(out);
    return out;
}

TEST(Batch, KeepsMessagesUpToItsLimitAndForgetsThemAll) {
    Batch batch;
    batch.add("one");
    batch.add("two");
    EXPECT_EQ(batch.bytes(), "onetwo");
    batch.add(std::string(Batch::limit, 'x'));
    EXPECT_EQ(batch.bytes(), "");
    batch.clear();
    batch.add("three");
    EXPECT_EQ(batch.bytes(), "three");
    batch.lose();
    EXPECT_EQ(batch.bytes(), "");
}

TEST(Batch, OneCommandIsReadInEveryForm) {
    const StatementBook none;
    EXPECT_EQ(read_one_command(query("select 1;"), none).text, "select 1;");
    EXPECT_EQ(read_one_command(extended("INSERT INTO t VALUES ($1)"), none).first_word, "insert");

    StatementBook book;
    std::string parse_message;
    append(parse_message, Parse{"s", "SELECT 2", {}});
    book.on_frontend(FrontendType::parse, std::string_view(parse_message).substr(header_size), true, 1);
    book.on_reply({.to = ReplyTo::parse, .last = true, .position = 1}, BackendType::parse_complete, {}, true);
    std::string execution;
    append(execution, Bind{"", "s", {}, {}, {}});
    append(execution, Execute{});
    append_sync(execution);
    EXPECT_EQ(read_one_command(execution, book).text, "SELECT 2");
    EXPECT_EQ(read_one_command(execution, none).text, "") << "nobody knows that statement";
}

TEST(Batch, EverythingElseIsNotOneCommand) {
    const StatementBook none;
    const std::string sync = [] {
        std::string out;
        append_sync(out);
        return out;
    }();
    const std::string unfinished = extended("SELECT 1").substr(0, extended("SELECT 1").size() - sync.size());
    for (const std::string& bytes :
         {""s, query("SELECT 1; SELECT 2"), query("SELECT 1") + query("SELECT 2"), extended("SELECT 1", "named"),
          extended("SELECT 1", "", 10), unfinished, unfinished + extended("SELECT 2"), extended("SELECT 1") + sync,
          sync, query("SELECT 1").substr(0, 8)}) {
        EXPECT_EQ(read_one_command(bytes, none).text, "") << bytes;
    }
}

TEST(Batch, OnlyCommandsThatTheServerUndoesWholeLeaveNothing) {
    const StatementBook none;
    const auto leaves_nothing = [&](std::string_view text) {
        return leaves_nothing_when_cancelled(read_one_command(query(text), none));
    };
    for (const char* text : {"SELECT 1", "insert into t values (1)", "UPDATE t SET n = 1", "DELETE FROM t",
                             "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", "VALUES (1)", "TABLE t",
                             "/* a comment */ WITH a AS (SELECT 1) SELECT * FROM a"}) {
        EXPECT_TRUE(leaves_nothing(text)) << text;
    }
    for (const char* text :
         {"CALL p()", "DO $$ BEGIN COMMIT; END $$", "CREATE INDEX CONCURRENTLY ON t (n)", "VACUUM", "EXECUTE p",
          "COPY t FROM STDIN", "CREATE DATABASE d", "BEGIN", "COMMIT", "EXPLAIN ANALYZE SELECT 1", "", "(SELECT 1)"}) {
        EXPECT_FALSE(leaves_nothing(text)) << text;
    }
}

/// The keys and `shared`, as text; "-" if it is something else.
std::string lock_of(const OneCommand& command) {
    const std::optional<LockCall> call = lock_it_waits_for(command);
    if (!call) return "-";
    std::string text = call->shared ? "shared" : "exclusive";
    for (const std::int64_t key : call->keys) text += " " + std::to_string(key);
    return text;
}

TEST(Batch, AStatementThatOnlyWaitsForALockIsKnownByItsForm) {
    const auto lock = [](std::string_view text) { return lock_of({std::string(text), "select", {}}); };
    EXPECT_EQ(lock("SELECT pg_advisory_lock(42)"), "exclusive 42");
    EXPECT_EQ(lock("select pg_catalog.pg_advisory_lock_shared ( 1, -2 );"), "shared 1 -2");
    EXPECT_EQ(lock("SELECT pg_advisory_lock(-9223372036854775808::bigint)"), "exclusive -9223372036854775808");
    for (const char* text :
         {"SELECT pg_advisory_lock(g) FROM generate_series(1, 8) g", "SELECT pg_advisory_lock(1), pg_advisory_lock(2)",
          "SELECT pg_advisory_lock(f(1))", "SELECT pg_try_advisory_lock(1)", "SELECT pg_advisory_xact_lock(1)",
          "SELECT other.pg_advisory_lock(1)", "SELECT pg_advisory_lock((SELECT 1))", "UPDATE t SET n = 1",
          "SELECT pg_advisory_lock(3 - 1)", "SELECT pg_advisory_lock(1e3)", "SELECT pg_advisory_lock(1, 2, 3)",
          "SELECT pg_advisory_lock(1, 5000000000)", "SELECT pg_advisory_lock($1)", "SELECT pg_advisory_lock()",
          "SELECT pg_advisory_lock(1", "SELECT pg_advisory_lock(1:int)", "SELECT \"pg_advisory_lock\"(1)", ""}) {
        EXPECT_EQ(lock(text), "-") << text;
    }
}

TEST(Batch, TheKeysOfALockMayBeParametersInEitherFormat) {
    const auto lock = [](std::string_view text, std::vector<std::int16_t> formats,
                         std::vector<std::string_view> values) {
        std::string bytes;
        append(bytes, Parse{"", text, {}});
        Bind bind;
        for (const std::int16_t format : formats) bind.parameter_formats.push_back(format);
        for (const std::string_view value : values) bind.parameters.emplace_back(value);
        append(bytes, bind);
        append(bytes, Execute{});
        append_sync(bytes);
        return lock_of(read_one_command(bytes, StatementBook()));
    };
    const std::string_view minus_two("\xff\xff\xff\xff\xff\xff\xff\xfe", 8), seven("\0\0\0\7", 4);
    EXPECT_EQ(lock("SELECT pg_advisory_lock($1)", {}, {"42"}), "exclusive 42");
    EXPECT_EQ(lock("SELECT pg_advisory_lock($2::int, $1::int)", {0}, {"-1", "2"}), "exclusive 2 -1");
    EXPECT_EQ(lock("SELECT pg_advisory_lock($1)", {1}, {minus_two}), "exclusive -2");
    EXPECT_EQ(lock("SELECT pg_advisory_lock_shared($1, $2)", {1, 0}, {seven, "8"}), "shared 7 8");
    EXPECT_EQ(lock("SELECT pg_advisory_lock($1)", {}, {"a name"}), "-");
    EXPECT_EQ(lock("SELECT pg_advisory_lock($1)", {1}, {"123"}), "-") << "three bytes are no integer";
    EXPECT_EQ(lock("SELECT pg_advisory_lock($2)", {}, {"42"}), "-");
}

}  // namespace
}  // namespace turnout::protocol
