// Random sessions do random things through the proxy while it switches back and forth; twins do the same on a single
// server that nobody switches. Every reply is the same, and so is all that the sessions have in the end.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <thread>

#include "chatter.hpp"
#include "plane.hpp"
#include "protocol/frontend_messages.hpp"

namespace turnout::test {
namespace {

using control::DrainReport;

/// One session through the proxy, and its twin.
struct Actor {
    std::unique_ptr<RawClient> proxied;
    std::unique_ptr<RawClient> twin;
    std::vector<std::string> history;
};

/// The lines that only one of two transcripts has.
std::string differences(const std::string& expected, const std::string& got) {
    std::map<std::string, int> surplus;
    std::vector<std::string> order;
    for (const bool single : {true, false}) {
        std::istringstream lines(single ? expected : got);
        for (std::string line; std::getline(lines, line); order.push_back(line)) surplus[line] += single ? 1 : -1;
    }
    std::string text;
    for (const std::string& line : order) {
        int& count = surplus[line];
        if (count > 0) text += "\n single server:     " + line;
        if (count < 0) text += "\n through the proxy: " + line;
        count = 0;
    }
    return text.empty() ? "\n the order" : text;
}

class Twins : public testing::TestWithParam<bool> {
  protected:
    static void SetUpTestSuite() {
        const auto make = [](const char* name) {
            auto cluster =
                std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .name = name, .fsync = false});
            cluster->execute(kChatterSchema);
            return cluster;
        };
        auto green = std::async(std::launch::async, make, "green");
        auto single = std::async(std::launch::async, make, "single");
        blue_ = make("blue");
        green_ = green.get();
        single_ = single.get();
    }
    static void TearDownTestSuite() {
        single_.reset();
        green_.reset();
        blue_.reset();
    }

    /// Advisory locks of an earlier life's sessions must be gone.
    static void wait_until_alone(const support::Cluster& cluster) {
        constexpr const char* kOthers =
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        while (cluster.value(kOthers) != "0") std::this_thread::yield();
    }

    void begin(std::uint64_t seed) {
        actors_.clear();
        plane_.reset();
        for (const auto* cluster : {blue_.get(), green_.get(), single_.get()}) wait_until_alone(*cluster);
        chatter_.emplace(seed, GetParam());
        plane_ = std::make_unique<Plane>(*blue_, *green_);
        for (const char* user : {"postgres", "postgres", "carol", "carol"}) {
            actors_.push_back(
                {plane_->client(user), std::make_unique<RawClient>(single_->port(), user, "postgres"), {}});
        }
    }

    void compare(Actor& actor, const Step& step) {
        const std::string expected = actor.twin->transcript(step.ready);
        const std::string got = actor.proxied->transcript(step.ready);
        if (got == expected) return;
        std::string history;
        for (const std::string& said : actor.history) history += "\n    " + said;
        FAIL() << "the twins disagree" << history << differences(expected, got);
    }

    void play(Actor& actor, const Step& step) {
        actor.history.push_back(step.said);
        actor.twin->send(step.bytes);
        actor.proxied->send(step.bytes);
        ASSERT_NO_FATAL_FAILURE(compare(actor, step));
    }

    Actor& anyone() { return actors_[chatter_->pick(static_cast<unsigned>(actors_.size()))]; }

    void play_blocks(unsigned count) {
        for (; count > 0; --count) {
            Actor& actor = anyone();
            for (const Step& step : chatter_->block()) ASSERT_NO_FATAL_FAILURE(play(actor, step));
        }
    }

    void note(const std::string& what) {
        for (Actor& actor : actors_) actor.history.push_back("  -- " + what);
    }

    control::ArmRequest arm_request() const {
        control::ArmRequest request;
        request.hidden_state = GetParam();
        if (GetParam()) request.setting_names = {"app.tenant_id"};
        return request;
    }

    /// A switch with conversations between its steps, or one that is given up.
    void change() {
        note("arm");
        if (chatter_->pick(8) != 0) plane_->arm(arm_request());
        ASSERT_NO_FATAL_FAILURE(play_blocks(chatter_->pick(6)));
        const DrainReport drained = plane_->close().get();
        for (const control::SessionView& view : drained.holding_up) ADD_FAILURE() << view.reason;
        ASSERT_EQ(drained.outcome, DrainReport::Outcome::drained);
        note("gate closed");
        const bool goes = chatter_->pick(5) != 0;
        Actor* held = chatter_->pick(2) == 0 ? nullptr : &anyone();
        Block block = chatter_->block();
        if (held != nullptr) {
            held->history.push_back("(held)");
            held->proxied->send(block.front().bytes);
        }
        if (goes) {
            ASSERT_TRUE(plane_->claim());
            plane_->open_to_other();
            note(fmt::format("open to {}", name(plane_->active())));
        } else {
            plane_->give_up();
            note("given up");
        }
        if (held != nullptr) {
            held->history.push_back(block.front().said);
            held->twin->send(block.front().bytes);
            ASSERT_NO_FATAL_FAILURE(compare(*held, block.front()));
            block.erase(block.begin());
            for (const Step& step : block) ASSERT_NO_FATAL_FAILURE(play(*held, step));
        }
        if (!goes) {
            if (chatter_->pick(2) == 0) (*plane_)->disarm();
            return;
        }
        ASSERT_NO_FATAL_FAILURE(play_blocks(chatter_->pick(4)));
        const control::MoveReport moved = plane_->finish_moves();
        EXPECT_EQ(moved.failed, 0U);
        note("moved");
    }

    void compare_ends() {
        for (const std::string& reset : {std::string("SELECT 'before'"), std::string("RESET ALL")}) {
            for (Actor& actor : actors_) {
                Step step{{}, 1, reset};
                append(step.bytes, protocol::Query{reset});
                ASSERT_NO_FATAL_FAILURE(play(actor, step));
                for (const std::string& question : chatter_inventory()) {
                    Step look{{}, 1, question};
                    append(look.bytes, protocol::Query{question});
                    ASSERT_NO_FATAL_FAILURE(play(actor, look));
                }
            }
        }
        for (Actor& actor : actors_) EXPECT_EQ(actor.proxied->notifications(), actor.twin->notifications());
    }

    static std::unique_ptr<support::Cluster> blue_, green_, single_;
    std::optional<Chatter> chatter_;
    std::unique_ptr<Plane> plane_;
    std::vector<Actor> actors_;
};

std::unique_ptr<support::Cluster> Twins::blue_;
std::unique_ptr<support::Cluster> Twins::green_;
std::unique_ptr<support::Cluster> Twins::single_;

/// With functions that change session state behind a plain SELECT, and without: then texts and tags have to suffice.
INSTANTIATE_TEST_SUITE_P(Functions, Twins, testing::Bool(),
                         [](const auto& it) { return it.param ? "AreCalled" : "AreNot"; });

TEST_P(Twins, SayTheSameThroughManySwitches) {
    const char* given = std::getenv("TURNOUT_SEED");
    constexpr unsigned kLives = 3, kSwitches = 16;
    const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    for (std::uint64_t seed = first; seed < first + (given != nullptr ? 1 : kLives); ++seed) {
        SCOPED_TRACE(fmt::format("replay with TURNOUT_SEED={}", seed));
        std::cout << "TURNOUT_SEED=" << seed << std::endl;
        begin(seed);
        for (unsigned n = 0; n < kSwitches; ++n) {
            ASSERT_NO_FATAL_FAILURE(play_blocks(chatter_->pick(8)));
            ASSERT_NO_FATAL_FAILURE(change());
        }
        ASSERT_NO_FATAL_FAILURE(compare_ends());
    }
}

}  // namespace
}  // namespace turnout::test
