#include "protocol/sql_words.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/protocol/named.hpp"

namespace turnout::test {
namespace {

using namespace protocol;

/// A text's tokens: `w:` word, `i:` identifier, `s:` string, `n:` number, `p:` parameter, then content; symbols as they
/// are.
std::string tokens(std::string_view text, bool conforming = true) {
    SqlLexer lexer{text, conforming};
    std::string out;
    for (SqlToken token = lexer.next(); token != SqlToken::end; token = lexer.next()) {
        if (!out.empty()) out += ' ';
        constexpr std::string_view kinds = "wisnp";
        if (token < SqlToken::symbol) out.append({kinds[static_cast<std::size_t>(token)], ':'});
        out += lexer.content();
    }
    return out;
}

struct Tokens {
    const char* name;
    const char* text;
    const char* expected;
};
void PrintTo(const Tokens& c, std::ostream* out) { *out << c.name; }
class Lexer : public testing::TestWithParam<Tokens> {};
TEST_P(Lexer, FindsTheTokens) { EXPECT_EQ(tokens(GetParam().text), GetParam().expected); }

const Tokens token_cases[] = {
    {"words", "SELECT a_1, Größe FROM t$x;", "w:SELECT w:a_1 , w:Größe w:FROM w:t$x ;"},
    {"line_comment", "a -- b 'c\n d--", "w:a w:d"},
    {"block_comment", "a /* 'x' */ b", "w:a w:b"},
    {"nested_comment", "a /* b /* c */ d */ e", "w:a w:e"},
    {"open_comment", "a /* b /* c */ d", "w:a"},
    {"string", "'it''s' b", "s:it''s w:b"},
    {"backslash_is_a_character", "'a\\' b", "s:a\\ w:b"},
    {"escape_string", "E'a\\'b' c", "s:a\\'b w:c"},
    {"lower_escape_string", "e'\\\\' c", "s:\\\\ w:c"},
    {"other_strings", "B'1' x'f' N'n' U&'\\0041' c", "s:1 s:f s:n s:\\0041 w:c"},
    {"open_string", "a 'b c", "w:a s:b c"},
    {"open_escape", "E'a\\", "s:a\\"},
    {"quoted_identifier", "\"a\"\"b\" \"select\" U&\"d\\0061t\"", "i:a\"\"b i:select i:d\\0061t"},
    {"dollar_string", "$$it's$$ a $tag$ $$ $tag$ b", "s:it's w:a s: $$  w:b"},
    {"dollar_in_a_word", "a$b$ c", "w:a$b$ w:c"},
    {"open_dollar_string", "$a$ b $b$", "s: b $b$"},
    {"dollar_alone", "$ a", "$ w:a"},
    {"parameter", "$1,$12", "p:1 , p:12"},
    {"number", "1.5e10 2", "n:1.5 w:e10 n:2"},
    {"comment_starts_an_operator", "1--2", "n:1"},
    {"semicolons", ";; a;", "; ; w:a ;"},
    {"nothing", "  \t\n -- x", ""},
};
INSTANTIATE_TEST_SUITE_P(Sql, Lexer, testing::ValuesIn(token_cases), name_of);

TEST(SqlLexer, BackslashesEscapeWithoutStandardConformingStrings) {
    EXPECT_EQ(tokens("'a\\'; SET x' b", false), "s:a\\'; SET x w:b");
}

TEST(SqlLexer, EndsAtEveryCut) {
    const std::string text = "SET a = E'x\\'' /* c /* d */ */ \"q\"\"\" $t$ b $t$ U&'x' $1 -- e\n;";
    for (std::size_t size = 0; size <= text.size(); ++size) {
        const std::vector<char> exact(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
        (void)tokens({exact.data(), exact.size()});
        (void)what_it_may_change({exact.data(), exact.size()});
    }
}

/// Flags by their names, in their order.
std::string flags(Change changes) {
    constexpr std::string_view flag_names[] = {
        "settings", "role", "prepare",   "among",    "deallocate", "listen", "lock", "temp",     "hold",  "opaque",
        "ddl",      "2pc",  "savepoint", "function", "code",       "chain",  "mode", "sequence", "unseen"};
    std::string out;
    for (std::size_t i = 0; i < std::size(flag_names); ++i) {
        if (!has(changes, static_cast<Change>(1U << i))) continue;
        if (!out.empty()) out += ' ';
        out += flag_names[i];
    }
    return out;
}

struct Text {
    const char* text;
    const char* flags;
    const char* names = "";
};
void PrintTo(const Text& c, std::ostream* out) { *out << c.text; }
class Texts : public testing::TestWithParam<Text> {};

std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : " ") + name;
    return out;
}

TEST_P(Texts, AreReadForWhatTheyMayChange) {
    const SqlReading reading = what_it_may_change(GetParam().text);
    EXPECT_EQ(flags(reading.changes), GetParam().flags);
    EXPECT_EQ(joined(reading.setting_names), GetParam().names);
}

const Text texts[] = {
    // what leaves nothing behind
    {"select 1", ""},
    {"update t set a = 1 where b = 'set x'", ""},
    {"insert into t values ('listen', 'temp')", ""},
    {"merge into t using s on true when matched then delete", ""},
    {"with x as (insert into t values (1) returning a) select * from x", ""},
    {"select temp, hold, chain, role from weather", ""},
    {"begin", ""},
    {"commit", ""},
    {"rollback to s", ""},
    {"truncate t", ""},
    {"copy t from stdin", ""},
    {"set constraints all deferred", ""},
    {"discard plans", ""},
    {"explain select 1", ""},
    // settings
    {"SET work_mem = '1MB'", "settings", "work_mem"},
    {"/* c */ set session app.Tenant_Id to '7'", "settings", "app.tenant_id"},
    {"set \"App\".\"x\" = 1", "settings", "app.x"},
    {"set a.b.c = 1", "settings", "a.b.c"},
    {"set local app.tenant = '7'", "", "app.tenant"},
    {"set local role x", ""},
    {"set local session authorization x", ""},
    {"set time zone 'UTC'", "settings", "timezone"},
    {"set names 'utf8'", "settings", "client_encoding"},
    {"set schema 'x'", "settings", "search_path"},
    {"set session characteristics as transaction read only", "settings"},
    {"set transaction isolation level serializable", "mode"},
    {"reset app.x", "settings", "app.x"},
    {"reset all", "settings"},
    {"select 1; set x.y = 1; select 2", "settings", "x.y"},
    {"select set_config('app.x', '1', false)", "settings", "app.x"},
    {"select pg_catalog.\"set_config\" ( 'App.X'::text, v, true) from s", "settings", "app.x"},
    {"select set_config($1, $2, false)", "settings"},
    {"select set_config('a' || 'b', '1', false)", "settings unseen"},
    {"select set_config(setting_name => 'a', new_value => 'b', is_local => false)", "settings unseen"},
    {"select set_config(E'app\\x2ex', '1', false)", "settings unseen"},
    {"select U&\"set\\005fconfig\"('a', '1', false)", "unseen"},
    {"select query_to_xml('select set_config(''a.b'', ''1'', false)', true, true, '')", "settings unseen"},
    {"select set_config('it''s', '1', false)", "settings", "it's"},
    {"set seed to 0.5", "settings opaque", "seed"},
    // role
    {"set role x", "settings role", "role"},
    {"set role = 'x'", "settings role", "role"},
    {"set session role none", "settings role", "role"},
    {"set session authorization x", "role"},
    {"set session session authorization x", "role"},
    {"reset role", "settings role", "role"},
    {"reset session authorization", "settings role"},
    {"select set_config('role', 'x', false)", "settings role", "role"},
    // statements
    {"prepare p as select 1", "prepare"},
    {"select 1; prepare p as select 1", "prepare among"},
    {"prepare p as select 1;", "prepare"},
    {"deallocate p", "deallocate"},
    {"deallocate all", "deallocate"},
    {"execute p(1)", "code"},
    {"explain analyze execute p", "code"},
    {"prepare transaction 'x'", "2pc"},
    {"commit prepared 'x'", "2pc"},
    {"rollback prepared 'x'", "2pc"},
    {"savepoint s", "savepoint"},
    {"commit and chain", "chain"},
    {"rollback and no chain", ""},
    // the rest of a session
    {"listen c", "listen"},
    {"UNLISTEN *", "listen"},
    {"notify c", ""},
    {"select pg_advisory_lock(1)", "lock"},
    {"select pg_try_advisory_xact_lock_shared(1, 2)", "lock"},
    {"select * from pg_temp.t", "temp"},
    {"select * from \"pg_temp_3\".t", "temp"},
    {"create temp table t (a int)", "temp ddl"},
    {"create local temporary table t (a int)", "temp ddl"},
    {"create or replace temp view v as select 1", "temp ddl function"},
    {"create temp sequence s", "temp ddl"},
    {"select 1 as a into temp t", "temp ddl"},
    {"select 1 as a into t", "ddl"},
    {"explain analyze create temp table t as select 1", "temp ddl"},
    {"discard temp", "temp"},
    {"discard sequences", "sequence"},
    {"discard all", "settings role deallocate listen lock temp hold sequence"},
    {"declare c cursor with hold for select 1", "hold"},
    {"declare c cursor for select 1", ""},
    {"close c", "hold"},
    {"select currval('s')", "opaque"},
    {"select lastval()", "opaque"},
    {"select setseed(0.1)", "opaque"},
    {"load 'x'", "opaque"},
    {"select dblink_connect('x')", "opaque"},
    {"select nextval('s')", "sequence"},
    {"select setval('s', 1)", "sequence"},
    {"call p()", "code"},
    // schema
    {"create table t (a int)", "ddl"},
    {"create table t (a int default f())", "ddl function"},
    {"alter table t add b int", "ddl"},
    {"drop table t", "ddl"},
    {"grant select on t to x", "ddl"},
    {"comment on table t is 'x'", "ddl"},
    {"create function f() returns int language sql as $$ select set_config('a.b', '1', false) $$",
     "settings ddl function", "a.b"},
    {"create trigger x before insert on t execute function f()", "ddl function code"},
    {"alter policy p on t using (true)", "ddl function"},
    // code in quotes
    {"do $$ begin perform 1; end $$", "code"},
    {"do $$ begin set app.x = 1; perform set_config('b.c', '', false); end $$", "settings code", "app.x b.c"},
    {"do $$ begin execute 'listen c'; end $$", "listen code"},
    {"do $$ begin execute '--' || chr(10) || 'set a.b = 1'; end $$", "settings code", "a.b"},
    {"do 'begin execute ''discard all''; end'", "settings role deallocate listen lock temp hold code sequence"},
    {"do $a$ begin execute $b$create temp table x()$b$; end $a$", "temp ddl code"},
    {"do language plpgsql $$ begin perform pg_advisory_lock(1); end $$", "lock code"},
    {"do E'begin execute ''l\\x69sten c''; end'", "code unseen"},
    // text that ends too soon
    {"select 'set x", ""},
    {"set", "settings", ""},
    {"set a.", "settings", "a"},
    {"select set_config(", "settings unseen"},
    {"", ""},
    {";;", ""},
};
INSTANTIATE_TEST_SUITE_P(Sql, Texts, testing::ValuesIn(texts));

TEST(SqlReading, CountsCommands) {
    EXPECT_EQ(what_it_may_change("").commands, 0U);
    EXPECT_EQ(what_it_may_change(" ; ;").commands, 0U);
    EXPECT_EQ(what_it_may_change("select 1").commands, 1U);
    EXPECT_EQ(what_it_may_change("select ';';").commands, 1U);
    EXPECT_EQ(what_it_may_change("a; b; /* ; */ c").commands, 3U);
    EXPECT_EQ(what_it_may_change("(select 1)").commands, 1U);
}

TEST(SqlReading, FirstWord) {
    EXPECT_EQ(what_it_may_change(" /* x */ SeLeCt 1").first_word, "select");
    EXPECT_EQ(what_it_may_change("").first_word, "");
    EXPECT_EQ(first_word("; -- x\n INSERT into t"), "insert");
    EXPECT_EQ(first_word("(select 1)"), "(");
    EXPECT_EQ(first_word(""), "");
}

TEST(SqlReading, NumbersOfParametersThatNameSettings) {
    const SqlReading reading = what_it_may_change("select set_config($3, $1, true), set_config($2::text, 'x', false)");
    EXPECT_EQ(reading.setting_parameters, (std::vector<std::uint16_t>{3, 2}));
}

TEST(SqlReading, ACutTextIsPartlyUnseen) {
    EXPECT_EQ(flags(what_it_may_change("select 1", {.whole = false}).changes), "unseen");
}

TEST(SqlReading, ObeysStandardConformingStrings) {
    const char* text = "select 'a\\'; set b.c = 1; --'";
    EXPECT_EQ(flags(what_it_may_change(text).changes), "settings");
    EXPECT_EQ(flags(what_it_may_change(text, {.standard_conforming_strings = false}).changes), "");
}

struct Tag {
    const char* tag;
    const char* flags;
};
void PrintTo(const Tag& c, std::ostream* out) { *out << c.tag; }
class Tags : public testing::TestWithParam<Tag> {};
TEST_P(Tags, TellWhatWasDone) { EXPECT_EQ(flags(what_tag_tells(GetParam().tag)), GetParam().flags); }
const Tag tag_cases[] = {
    {"SELECT 1", ""},
    {"INSERT 0 1", ""},
    {"SET", "settings role"},
    {"RESET", "settings role"},
    {"SET CONSTRAINTS", ""},
    {"DISCARD PLANS", ""},
    {"DISCARD TEMP", "temp"},
    {"DISCARD SEQUENCES", "sequence"},
    {"LISTEN", "listen"},
    {"UNLISTEN", "listen"},
    {"PREPARE", "prepare"},
    {"PREPARE TRANSACTION", "2pc"},
    {"COMMIT PREPARED", "2pc"},
    {"ROLLBACK PREPARED", "2pc"},
    {"COMMIT", ""},
    {"ROLLBACK", ""},
    {"DEALLOCATE", "deallocate"},
    {"DEALLOCATE ALL", "deallocate"},
    {"SAVEPOINT", "savepoint"},
    {"LOAD", "opaque"},
    {"DO", "code"},
    {"CALL", "code"},
    {"CREATE TABLE", "ddl"},
    {"CREATE FUNCTION", "ddl function"},
    {"CREATE PROCEDURE", "ddl function"},
    {"ALTER TABLE", "ddl"},
    {"DROP INDEX", "ddl"},
    {"GRANT ROLE", "ddl"},
    {"REFRESH MATERIALIZED VIEW", ""},
    {"SETTLE", ""},
    {"", ""},
    {"DISCARD ALL", "settings role deallocate listen lock temp hold sequence"},
};
INSTANTIATE_TEST_SUITE_P(Sql, Tags, testing::ValuesIn(tag_cases));

}  // namespace
}  // namespace turnout::test
