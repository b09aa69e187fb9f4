// `verify` compares every row of every type at one moment and names what differs; `switch --verify` refuses then.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

constexpr const char* kSchema = R"(
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE TYPE point3 AS (x int, y float8, z text);
CREATE DOMAIN short AS varchar(10);
CREATE TABLE types (
  id bigint, part int, PRIMARY KEY (id, part),
  f4 real, f8 double precision, n numeric, t timestamp, tz timestamptz, d date, i interval, b bytea, j jsonb, js json,
  a int[], ta text[], m mood, u uuid, bit varbit, r int4range, c point3, s short, net inet, money money, x text);
INSERT INTO types SELECT g, g % 7, g / 3.0, 1.0 / g, (g::numeric / 7), '2020-01-01'::timestamp + g * interval '1 us',
  '2020-01-01'::timestamptz + g * interval '1 ms', '2000-01-01'::date + g % 10000, make_interval(secs => g),
  decode(md5(g::text), 'hex'), jsonb_build_object('g', g), '{"b" : 1,  "a":2}', ARRAY[g, NULL, g + 1],
  ARRAY['', NULL, 'x,"y'], CASE WHEN g % 2 = 0 THEN 'low' ELSE 'high' END::mood, md5(g::text)::uuid, g::bit(20)::varbit,
  int4range(g, g + 5), ROW(g, g / 7.0, 'z')::point3, 's' || g % 1000, '10.0.0.1', g::numeric::money,
  CASE g % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'text' END
FROM generate_series(1, 100000) g;
UPDATE types SET f4 = 'NaN', f8 = '-0' WHERE id = 10;
UPDATE types SET f8 = 'NaN', n = 'NaN' WHERE id = 11;
UPDATE types SET f8 = '-Infinity', n = 1.10, t = 'infinity', tz = '-infinity', d = 'infinity' WHERE id = 12;
UPDATE types SET a = '[5:7]={1,2,3}', f8 = 0 WHERE id = 13;
CREATE TABLE texts (name text PRIMARY KEY, value text);
INSERT INTO texts SELECT chr(97 + g % 26) || (g * 7919 % 100000) || 'é', repeat('v', 20) FROM generate_series(1, 50000) g;
CREATE TABLE heap (a int, b text);
ALTER TABLE heap REPLICA IDENTITY FULL;
INSERT INTO heap SELECT g % 10, 'same' FROM generate_series(1, 1000) g;
CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (100) TO (200);
INSERT INTO parts SELECT g, 'v' FROM generate_series(0, 199) g;
CREATE TABLE nothing (id int PRIMARY KEY);
CREATE SEQUENCE tickets;
SELECT nextval('tickets'))";

class Verify : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        pair_ = std::make_unique<Pair>(PairOptions{.schema = kSchema});
        pair_->sync();
    }
    static void TearDownTestSuite() { pair_.reset(); }

    /// Written on the standby as nobody should: neither replicated nor seen by triggers.
    static void tamper(const std::string& sql) {
        pair_->standby().execute("BEGIN READ WRITE; SET LOCAL session_replication_role = replica; " + sql + "; COMMIT",
                                 "app");
    }
    struct Report {
        int status = 0;
        boost::json::object json;
        std::string said;  ///< while it worked
        /// "object | row | sentence" of each difference, sorted.
        std::vector<std::string> differences;
    };
    static Report verify() {
        const bench::Exit exit = pair_->turnout().run({"verify", "--json"});
        Report report;
        report.status = exit.status;
        report.said = exit.err;
        boost::json::error_code error;
        const boost::json::value parsed = boost::json::parse(exit.out, error);
        if (error || !parsed.is_object()) throw std::runtime_error(exit.err + exit.out);
        report.json = parsed.as_object();
        for (const auto& one : report.json.at("differences").as_array()) {
            const auto& difference = one.as_object();
            report.differences.push_back(std::string(difference.at("object").as_string()) + " | " +
                                         std::string(difference.at("row").as_string()) + " | " +
                                         std::string(difference.at("sentence").as_string()));
        }
        std::sort(report.differences.begin(), report.differences.end());
        return report;
    }
    static std::unique_ptr<Pair> pair_;
};
std::unique_ptr<Pair> Verify::pair_;

TEST_F(Verify, EveryTypeIsEqualAfterACopyAndEveryRowIsLookedAt) {
    const Report report = verify();
    EXPECT_EQ(report.status, 0);
    EXPECT_EQ(report.json.at("outcome").as_string(), "equal");
    EXPECT_TRUE(report.differences.empty()) << report.differences.front();
    EXPECT_EQ(report.json.at("rows").to_number<int>(), 100000 + 50000 + 1000 + 200);
    EXPECT_GE(report.json.at("chunks").to_number<int>(), 5 + 1 + 1 + 1 + 1) << "the large table is cut";
    EXPECT_EQ(report.json.at("sequences").to_number<int>(), 1);
    EXPECT_GT(report.json.at("pause_us").to_number<int>(), 0);
    EXPECT_NE(report.said.find("VACUUM is held back on both sides, for 12 hours at most"), std::string::npos)
        << report.said;
}

TEST_F(Verify, OneBitInOneRowOfManyIsNamedByItsKeyAndColumn) {
    tamper("UPDATE types SET b = set_bit(b, 3, 1 - get_bit(b, 3)) WHERE id = 77777");
    const Report report = verify();
    EXPECT_EQ(report.status, 1);
    EXPECT_EQ(report.differences,
              std::vector<std::string>{"public.types | id = '77777', part = '0' | the row differs in b"});
    tamper("UPDATE types SET b = set_bit(b, 3, 1 - get_bit(b, 3)) WHERE id = 77777");
    EXPECT_EQ(verify().status, 0);
}

TEST_F(Verify, ValuesThatAreEqualButNotTheSameAreDifferent) {
    const std::vector<std::pair<std::string, std::string>> changes{{"f8 = 0", "f8 = '-0'"},
                                                                   {"n = 1.10", "n = 1.1"},
                                                                   {"js = '{\"b\":1}'", "js = '{\"b\": 1}'"},
                                                                   {"x = ''", "x = NULL"},
                                                                   {"a = '{1}'", "a = '[0:0]={1}'"},
                                                                   {"i = '1 day'", "i = '24 hours'"},
                                                                   {"f8 = 0.1", "f8 = 0.10000000000000002"}};
    for (const auto& [here, there] : changes) {
        const std::string column = here.substr(0, here.find(' '));
        pair_->active().execute("UPDATE types SET " + here + " WHERE id = 20", "app");
        eventually(
            [&, wanted = here.substr(here.find('=') + 2)] {
                return pair_->standby().value("SELECT " + column + "::text FROM types WHERE id = 20", "app") ==
                       pair_->active().value("SELECT " + column + "::text FROM types WHERE id = 20", "app");
            },
            "the row on the standby");
        tamper("UPDATE types SET " + there + " WHERE id = 20");
        const Report report = verify();
        EXPECT_EQ(report.differences,
                  std::vector<std::string>{"public.types | id = '20', part = '6' | the row differs in " + column})
            << here << " and " << there;
        tamper("UPDATE types SET " + here + " WHERE id = 20");
    }
    EXPECT_EQ(verify().status, 0);
}

TEST_F(Verify, MissingAndAdditionalRowsAreNamedWhateverTheKey) {
    tamper(
        "DELETE FROM texts WHERE name = (SELECT min(name COLLATE \"C\") FROM texts); "
        "INSERT INTO texts VALUES ('zzz''s', 'additional'); DELETE FROM parts WHERE id = 150; "
        "DELETE FROM heap WHERE ctid = (SELECT min(ctid) FROM heap); INSERT INTO nothing VALUES (1)");
    const std::string first = pair_->active().value("SELECT min(name COLLATE \"C\") FROM texts", "app");
    const Report report = verify();
    const std::vector<std::string> expected{"public.heap |  | 1000 rows on blue, 999 on green",
                                            "public.heap | a row without a key | the row is missing on green",
                                            "public.nothing |  | 0 rows on blue, 1 on green",
                                            "public.nothing | id = '1' | the row stands on green only",
                                            "public.parts |  | 200 rows on blue, 199 on green",
                                            "public.parts | id = '150' | the row is missing on green",
                                            "public.texts | name = '" + first + "' | the row is missing on green",
                                            "public.texts | name = 'zzz''s' | the row stands on green only"};
    EXPECT_EQ(report.differences, expected);
    tamper("INSERT INTO texts VALUES ('" + first +
           "', repeat('v', 20)); DELETE FROM texts WHERE value = 'additional'; "
           "INSERT INTO parts VALUES (150, 'v'); INSERT INTO heap VALUES (1, 'same'); DELETE FROM nothing");
    EXPECT_EQ(verify().status, 0);
}

TEST_F(Verify, ASequenceThatRanAheadOnTheStandbyIsFound) {
    tamper("SELECT setval('tickets', 100)");
    const Report report = verify();
    ASSERT_EQ(report.differences.size(), 1U);
    EXPECT_NE(report.differences.front().find("stands at 100 on green and at 1 on blue"), std::string::npos)
        << report.differences.front();
    tamper("SELECT setval('tickets', 1)");
    EXPECT_EQ(verify().status, 0);
}

TEST_F(Verify, ASwitchWithVerifyIsRefusedWhereSomethingDiffersAndDoneWhereNothingDoes) {
    tamper("UPDATE texts SET value = 'tampered' WHERE name = (SELECT min(name) FROM texts)");
    const bench::Exit refused = pair_->turnout().run({"switch", "--verify"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find("public.texts"), std::string::npos) << refused.err;
    EXPECT_NE(refused.err.find("SWITCH is refused: the data of both sides differs"), std::string::npos) << refused.err;
    EXPECT_EQ(pair_->turnout().status().at("active").as_string(), "blue");
    tamper("UPDATE texts SET value = repeat('v', 20) WHERE value = 'tampered'");
    pair_->turnout().report({"switch", "--verify"});
    EXPECT_EQ(pair_->turnout().status().at("active").as_string(), "green");
    EXPECT_EQ(verify().status, 0) << "the other way round, too";
    pair_->turnout().report({"rollback", "--verify"});
}

}  // namespace
}  // namespace turnout::integration
