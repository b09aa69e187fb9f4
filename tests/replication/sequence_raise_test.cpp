// Sequences of a side that is made active by force are set beyond what its rows hold, and never back.
#include "control/sequence_raise.hpp"

#include <gmock/gmock.h>

#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

using testing::ElementsAre;

class SequenceRaiseTest : public ServersTest {
  protected:
    RaisedSequences raise() {
        const PgConnection::Ptr connection = connect(Side::blue);
        return await(raise_sequences(*connection));
    }
    std::string next(const std::string& sequence) { return value(Side::blue, "SELECT nextval('" + sequence + "')"); }
};

TEST_F(SequenceRaiseTest, GoesBeyondTheRowsAndNeverBack) {
    execute(Side::blue, R"(
        CREATE TABLE behind (id bigserial PRIMARY KEY, note text);
        INSERT INTO behind VALUES (70, 'as replicated');
        CREATE TABLE "Odd" ("Key" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
        INSERT INTO "Odd" OVERRIDING SYSTEM VALUE VALUES (9);
        CREATE TABLE beyond (id serial PRIMARY KEY);
        INSERT INTO beyond VALUES (5);
        SELECT setval('beyond_id_seq', 500);
        CREATE SEQUENCE shared;
        CREATE TABLE one (id int DEFAULT nextval('shared'));
        CREATE TABLE two (id int DEFAULT nextval('shared'));
        INSERT INTO one VALUES (30);
        INSERT INTO two VALUES (40);
        CREATE SEQUENCE downward INCREMENT -1 MINVALUE -1000 MAXVALUE 0 START 0;
        CREATE TABLE falling (id int DEFAULT nextval('downward'));
        INSERT INTO falling VALUES (-3), (-8);
        CREATE TABLE empty (id serial PRIMARY KEY);
        CREATE SEQUENCE by_hand;
    )");
    const RaisedSequences report = raise();
    EXPECT_THAT(report.unknown, ElementsAre("public.by_hand"));
    EXPECT_THAT(report.raised,
                ElementsAre("public.\"Odd_Key_seq\"", "public.behind_id_seq", "public.downward", "public.shared"));
    EXPECT_EQ(next("behind_id_seq"), "71");
    EXPECT_EQ(next("\"Odd_Key_seq\""), "10");
    EXPECT_EQ(next("beyond_id_seq"), "501");
    EXPECT_EQ(next("shared"), "41");
    EXPECT_EQ(next("downward"), "-9");
    EXPECT_EQ(next("empty_id_seq"), "1");
    EXPECT_EQ(next("by_hand"), "1");
    EXPECT_TRUE(raise().raised.empty()) << "the second time there is nothing to do";
}

}  // namespace
}  // namespace turnout::control::test
