// After a switch: what counts as going worse than before.
#include "control/switch_watch.hpp"

#include <gtest/gtest.h>

namespace turnout::control {
namespace {

using namespace std::chrono_literals;

/// Both sides' totals, of which the green one's grow.
class Watched {
  public:
    explicit Watched(const WatchLimits& limits, const SideHealth& before = kBefore)
        : watch_(Side::green, before, limits) {
        look();
    }

    /// So much in a second, each query as long as the bucket of that number says; then a look.
    std::string second(std::uint64_t queries, std::uint64_t errors = 0, std::size_t bucket = 4) {
        totals_.query_buckets[index(Side::green)][bucket] += queries;
        totals_.query_errors[index(Side::green)] += errors;
        now_ += 1s;
        look();
        return watch_.crossed();
    }
    std::string seconds(int count, std::uint64_t queries, std::uint64_t errors = 0, std::size_t bucket = 4) {
        std::string why;
        for (int i = 0; i < count && why.empty(); ++i) why = second(queries, errors, bucket);
        return why;
    }
    void wait(std::uint64_t sessions) { totals_.sessions[2] = sessions; }
    void refuse_logins(std::uint64_t count) { totals_.logins_failed += count; }
    const SwitchWatch& watch() const { return watch_; }

    static constexpr SideHealth kBefore{
        .seconds = 60, .requests = 6000, .failed = 120, .queries = 6000, .p95_seconds = 0.002};

  private:
    void look() { watch_.look(now_, totals_); }

    SwitchWatch watch_;
    DataPlaneCounters totals_;
    Clock::time_point now_{1h};
};

constexpr WatchLimits kErrors{.errors = 1, .latency = {}};
constexpr WatchLimits kLatency{.errors = {}, .latency = 200};

/// The first bucket whose queries take longer than so many seconds.
std::size_t bucket_above(double seconds) {
    const auto& bounds = DataPlaneCounters::kQuerySecondsBounds;
    std::size_t bucket = 0;
    while (bounds[bucket] <= seconds) ++bucket;
    return bucket + 1;
}

TEST(SwitchWatch, reads_limits) {
    const auto both = parse_watch_limits("errors=0.5%,latency=200%");
    ASSERT_TRUE(both);
    EXPECT_EQ(both->errors, 0.5);
    EXPECT_EQ(both->latency, 200);
    EXPECT_FALSE(parse_watch_limits("latency=150%")->errors);
    for (const char* wrong : {"", "errors", "errors=", "errors=1", "errors=%", "errors=-1%", "errors=0%", "errors=1%,",
                              "errors=1%,errors=2%", "speed=1%", "errors=1x%", "errors=nan%"})
        EXPECT_FALSE(parse_watch_limits(wrong)) << wrong;
}

TEST(SwitchWatch, compares_the_share_of_failures_with_the_one_before) {
    EXPECT_EQ(Watched(kErrors).seconds(30, 100, 3), "") << "2 % before, and 1 more are allowed";
    const std::string why = Watched(kErrors).seconds(30, 100, 4);
    EXPECT_NE(why.find("4.00 %"), std::string::npos) << why;
    EXPECT_NE(why.find("2.00 % did before"), std::string::npos) << why;
    EXPECT_EQ(Watched(WatchLimits{}).seconds(30, 100, 100), "") << "no limit was given";
    EXPECT_EQ(Watched(kErrors).seconds(9, 10, 10), "") << "too few to tell";
    EXPECT_NE(Watched(kErrors).seconds(11, 10, 10), "");
}

TEST(SwitchWatch, counts_refused_logins_and_lost_connections_as_failures) {
    Watched logins(kErrors);
    EXPECT_EQ(logins.second(200, 0), "");
    logins.refuse_logins(20);
    EXPECT_NE(logins.second(0), "");
    EXPECT_EQ(Watched(kErrors).second(0, 99), "");
    const std::string why = Watched(kErrors).second(0, 100);
    EXPECT_NE(why.find("100.00 %"), std::string::npos) << why << ": no query was answered at all";
}

TEST(SwitchWatch, looks_at_the_last_minute_where_enough_happens) {
    Watched busy(kErrors);
    EXPECT_EQ(busy.seconds(600, 100), "");
    EXPECT_LE(busy.watch().after().seconds, 61);
    EXPECT_NE(busy.seconds(3, 100, 100), "") << "ten good minutes do not hide it";
    Watched quiet(kErrors);
    EXPECT_EQ(quiet.seconds(99, 1, 1), "");
    EXPECT_NE(quiet.second(1, 1), "") << "what is rare is watched for longer";
}

TEST(SwitchWatch, compares_the_time_of_queries_where_there_were_some_before) {
    const std::size_t slow = bucket_above(0.004);
    EXPECT_EQ(Watched(kLatency).seconds(30, 100, 0, slow - 2), "");
    const std::string why = Watched(kLatency).seconds(30, 100, 0, slow + 1);
    EXPECT_NE(why.find("took 2.000 ms before"), std::string::npos) << why;
    EXPECT_EQ(Watched(kLatency, SideHealth{}).seconds(30, 100, 0, slow + 1), "") << "nothing to compare it with";
    EXPECT_EQ(Watched(kErrors).seconds(30, 100, 0, slow + 1), "") << "no limit was given";
}

TEST(SwitchWatch, takes_silence_for_slowness) {
    Watched hung(kLatency);
    EXPECT_EQ(hung.seconds(3, 100), "");
    hung.wait(7);
    EXPECT_EQ(hung.seconds(4, 0), "");
    const std::string why = hung.second(0);
    EXPECT_NE(why.find("no query was answered for 5 s, and 7 sessions wait"), std::string::npos) << why;

    Watched idle(kLatency);
    EXPECT_EQ(idle.seconds(3, 100), "");
    EXPECT_EQ(idle.seconds(60, 0), "") << "nobody asks anything";

    Watched slow(kLatency, SideHealth{.seconds = 60, .requests = 120, .failed = 0, .queries = 120, .p95_seconds = 40});
    slow.wait(2);
    EXPECT_EQ(slow.seconds(79, 0), "") << "that was usual before";
    EXPECT_NE(slow.second(0), "");
}

}  // namespace
}  // namespace turnout::control
