// What an attempt sets on the standby before the gate closes is set anew behind it, by what the sequence is then.
#include "control/switch_servers.hpp"
#include "tests/switching/rig.hpp"

namespace turnout::control::test {
namespace {

using namespace std::chrono_literals;

class SequencesOfAnAttempt : public SwitchingTest {
  protected:
    SequencesOfAnAttempt() {
        for (const Side side : {Side::blue, Side::green})
            server(side).execute("BEGIN READ WRITE; CREATE SEQUENCE numbers; COMMIT", "app");
        set(10);
    }

    void set(int value) {
        server(Side::blue).execute("SELECT setval('numbers', " + std::to_string(value) + ")", "app");
    }
    std::string on_standby() { return server(Side::green).value("SELECT last_value FROM numbers", "app"); }

    /// As a switch does it: once more while nobody waits, and then behind the gate. `meanwhile` is called in between.
    asio::awaitable<void> carry(std::function<void()> before, std::function<void()> meanwhile) {
        DoubtfulBackends doubtful;
        SwitchServers servers(process_->cluster, Side::blue, doubtful, {});
        const AttemptId attempt{.generation = 2, .attempt = 1};
        const auto deadline = Clock::now() + 20s;
        co_await servers.warm_up(true);
        co_await servers.write_intent(attempt);
        const bool registered = co_await servers.register_attempt(attempt);
        EXPECT_TRUE(registered);
        before();
        co_await servers.stay_warm(attempt, deadline);
        meanwhile();
        co_await servers.stay_warm(attempt, deadline);
        meanwhile();
        co_await servers.carry_sequences(0, true);
        co_await servers.disable_forward();
    }
};

TEST_F(SequencesOfAnAttempt, one_that_goes_on_between_the_last_look_and_the_gate_is_carried) {
    int value = 500;
    process_->thread.await(carry([&] { set(value); }, [&] { set(++value); }));
    EXPECT_EQ(on_standby(), "502");
}

/// To the very value that it had when the attempt began: nothing has changed since, but on the standby.
TEST_F(SequencesOfAnAttempt, one_that_is_set_back_there_is_set_back_on_the_standby) {
    process_->thread.await(carry([&] { set(500); }, [&] { set(10); }));
    EXPECT_EQ(on_standby(), "10");
}

}  // namespace
}  // namespace turnout::control::test
