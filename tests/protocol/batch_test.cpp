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

TEST(Batch, AStatementThatOnlyWaitsForALockIsKnownByItsForm) {
    for (const char* text : {"SELECT pg_advisory_lock(42)", "select pg_catalog.pg_advisory_lock_shared ( 1, -2 );",
                             "SELECT pg_advisory_lock($1::bigint)", "SELECT pg_advisory_lock($1, $2)"}) {
        EXPECT_TRUE(only_waits_for_a_lock(text)) << text;
    }
    for (const char* text :
         {"SELECT pg_advisory_lock(g) FROM generate_series(1, 8) g", "SELECT pg_advisory_lock(1), pg_advisory_lock(2)",
          "SELECT pg_advisory_lock(f(1))", "SELECT pg_try_advisory_lock(1)", "SELECT pg_advisory_xact_lock(1)",
          "SELECT other.pg_advisory_lock(1)", "SELECT pg_advisory_lock((SELECT 1))", "UPDATE t SET n = 1",
          "SELECT pg_advisory_lock(1", ""}) {
        EXPECT_FALSE(only_waits_for_a_lock(text)) << text;
    }
}

}  // namespace
}  // namespace turnout::protocol
