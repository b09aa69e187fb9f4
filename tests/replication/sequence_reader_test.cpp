// Sequences are read over one connection or several, by what has changed since, and held so that nobody restarts them.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "control/sequences.hpp"
#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

using testing::IsEmpty;

class SequenceReaderTest : public ServersTest {
  protected:
    SequenceReaderTest() {
        execute(Side::blue,
                "CREATE SEQUENCE untouched START 42; CREATE SEQUENCE downward INCREMENT -1 MAXVALUE 0 MINVALUE -100 "
                "START 0; CREATE SEQUENCE \"Again\"");
        execute(Side::blue, "SELECT nextval('downward'), nextval('\"Again\"')");
        execute(Side::blue, "ALTER SEQUENCE \"Again\" RESTART WITH 500");
    }
};

/// Of each kind there are more than there are connections, so that every share has some of each.
TEST_F(SequenceReaderTest, SharesThoseOfEveryKindAmongSeveralConnections) {
    execute(Side::blue,
            "DO $$BEGIN FOR i IN 1..10 LOOP "
            "EXECUTE format('CREATE SEQUENCE called%s', i); PERFORM nextval('called' || i); "
            "EXECUTE format('CREATE SEQUENCE fresh%s', i); "
            "EXECUTE format('CREATE SEQUENCE down%s INCREMENT -1 CYCLE', i); PERFORM nextval('down' || i); "
            "END LOOP; END$$");
    const std::vector<PgConnection::Ptr> blue = [this] {
        std::vector<PgConnection::Ptr> connections;
        for (int i = 0; i < 3; ++i) connections.push_back(connect(Side::blue));
        return connections;
    }();
    SequenceReader reader(*blue[0], {blue[1].get(), blue[2].get()});
    const SequenceValues first = await(reader.prepare());
    EXPECT_EQ(first.at("public.called7"), (SequenceValue{1, true}));
    EXPECT_EQ(first.at("public.fresh7"), (SequenceValue{1, false}));
    EXPECT_THAT(await(reader.changes()), IsEmpty());

    SequenceValues wanted;
    for (int i = 1; i <= 10; ++i) {
        const std::string n = std::to_string(i);
        switch (i % 5) {
            case 0: continue;  // left alone
            case 1:
                execute(Side::blue,
                        "SELECT nextval('called" + n + "'), nextval('fresh" + n + "'), nextval('down" + n + "')");
                wanted["public.called" + n] = {2, true};
                wanted["public.fresh" + n] = {1, true};
                wanted["public.down" + n] = {-2, true};
                break;
            case 2:
                execute(Side::blue,
                        "ALTER SEQUENCE called" + n + " RESTART; ALTER SEQUENCE fresh" + n + " RESTART WITH 9");
                execute(Side::blue, "SELECT setval('down" + n + "', -9223372036854775807)");
                wanted["public.called" + n] = {1, false};
                wanted["public.fresh" + n] = {9, false};
                wanted["public.down" + n] = {-9223372036854775807, true};
                break;
            case 3:
                execute(Side::blue, "SELECT setval('called" + n + "', 1, false), setval('fresh" + n + "', 2, false)");
                wanted["public.called" + n] = {1, false};
                wanted["public.fresh" + n] = {2, false};
                break;
            default:
                execute(Side::blue,
                        "SELECT setval('called" + n + "', 9223372036854775807), setval('fresh" + n + "', 1)");
                wanted["public.called" + n] = {9223372036854775807, true};
                wanted["public.fresh" + n] = {1, true};
        }
    }
    EXPECT_EQ(await(reader.changes()), wanted);
    EXPECT_EQ(await(reader.changes()), wanted) << "asking changes nothing";
    const SequenceValues now = await(reader.prepare());
    EXPECT_EQ(changed(first, now), wanted);
    EXPECT_THAT(await(reader.changes()), IsEmpty());
}

/// What is held can be used, and asked for; it cannot be restarted. What somebody else restarts is not held.
TEST_F(SequenceReaderTest, HoldsThemSoThatTheyCannotBeRestarted) {
    const PgConnection::Ptr one = connect(Side::blue);
    const PgConnection::Ptr two = connect(Side::blue);
    const PgConnection::Ptr client = connect(Side::blue);
    query(*client, "SET lock_timeout = '50ms'");
    SequenceReader reader(*one, {two.get()});
    await(reader.prepare());
    query(*client, "BEGIN");
    query(*client, "ALTER SEQUENCE public.untouched RESTART WITH 50");
    EXPECT_FALSE(await(reader.hold()));
    EXPECT_FALSE(one->in_transaction() || two->in_transaction());
    query(*client, "COMMIT");
    EXPECT_EQ(await(reader.changes()), (SequenceValues{{"public.untouched", {50, false}}}));

    await(reader.prepare());
    ASSERT_TRUE(await(reader.hold()));
    for (const char* sequence : {"public.untouched", "public.downward", "public.\"Again\""}) {
        EXPECT_THROW(query(*client, std::string("ALTER SEQUENCE ") + sequence + " RESTART"), PgError) << sequence;
    }
    EXPECT_THAT(await(reader.changes()), IsEmpty());
    query(*client,
          "SELECT nextval('public.untouched'), setval('public.downward', -7, false), setval('public.\"Again\"', 501, "
          "false)");
    EXPECT_EQ(await(reader.changes()), (SequenceValues{{"public.untouched", {50, true}},
                                                       {"public.downward", {-7, false}},
                                                       {"public.\"Again\"", {501, false}}}));
}

}  // namespace
}  // namespace turnout::control::test
