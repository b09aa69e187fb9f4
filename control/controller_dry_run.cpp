// SWITCH DRY_RUN: the steps that would be taken, with what they cost as far as that can be measured without taking
// them.
#include <fmt/format.h>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>

#include "control/controller.hpp"
#include "control/pg_error.hpp"
#include "control/report.hpp"
#include "control/switch_words.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

constexpr Milliseconds kPatience{5'000};
constexpr int kRoundTrips = 5;

struct Measured {
    std::array<Microseconds, 2> round_trip{};  ///< by index(Side), the fastest of a few
    Microseconds marker{0};                    ///< a commit on one side until it is seen on the other; the slowest
};

/// To a side and back.
asio::awaitable<Microseconds> round_trip(const Cluster& cluster, Side side) {
    const auto connection = co_await cluster.connect_by(Clock::now() + kPatience, side, cluster.journal_database());
    Microseconds fastest = Microseconds::max();
    for (int i = 0; i < kRoundTrips; ++i) {
        const Clock::time_point began = Clock::now();
        co_await connection->query("SELECT 1");
        fastest = std::min(fastest, std::chrono::duration_cast<Microseconds>(Clock::now() - began));
    }
    co_return fastest;
}

asio::awaitable<Measured> measure(const Cluster& cluster, Side from) {
    Measured measured;
    for (const Side side : {Side::blue, Side::green})
        measured.round_trip[index(side)] = co_await round_trip(cluster, side);
    for (const std::string& database : cluster.databases()) {
        const auto source = co_await cluster.connect_by(Clock::now() + kPatience, from, database);
        const auto subscriber = co_await cluster.connect_by(Clock::now() + kPatience, other(from), database);
        const Microseconds took = co_await probe(*source, *subscriber, Clock::now() + kPatience);
        measured.marker = std::max(measured.marker, took);
    }
    co_return measured;
}

struct Step {
    std::string name;
    std::string what;
    std::string estimate;  ///< empty: it cannot be told beforehand
};

std::vector<Step> steps(const Measured& measured, const SwitchOptions& options, const std::vector<SessionView>& views,
                        std::size_t databases) {
    const auto count = [&views](auto&& is) { return std::count_if(views.begin(), views.end(), is); };
    const auto pinned = count([](const SessionView& view) { return view.movable == Movable::pinned; });
    const auto busy = count([](const SessionView& view) { return view.movable == Movable::boundary; });
    Microseconds oldest{0};
    for (const SessionView& view : views) oldest = std::max(oldest, view.transaction);
    const auto from = turnout::name(options.from);
    const auto to = turnout::name(other(options.from));
    const Microseconds there = measured.round_trip[index(other(options.from))];
    const Microseconds here = measured.round_trip[index(options.from)];
    return {
        {"preflight", "look at everything that could stand in the way, once more", ""},
        {"park", fmt::format("disable the probing streams from {} to {}", to, from), ""},
        {"fence", fmt::format("{} becomes read-only for whoever comes without this proxy", from), ""},
        {"arm", fmt::format("log {} sessions in to {} and replay their state there", views.size(), to), ""},
        {"moment",
         fmt::format("wait for a small lag and for {} running transactions (the oldest: {})", busy,
                     words::span(oldest)),
         ""},
        {"intent", "write the attempt into both journals", words::span(2 * (here + there))},
        {"drain", fmt::format("close the gate; {} sessions are in a transaction now", busy), ""},
        {"barrier", fmt::format("one position of {} that {} must have applied", from, to), words::span(here)},
        {"catch_up", fmt::format("{} databases apply up to it; sequences are carried meanwhile", databases),
         words::span(measured.marker)},
        {"activate", fmt::format("claim, disable the forward streams, make {} active in its journal", to),
         words::span(2 * there)},
        {"open",
         fmt::format("every session goes on with {}; {} pinned ones: {}", to, pinned,
                     options.pinned == PinnedPolicy::end      ? "are ended"
                     : options.pinned == PinnedPolicy::refuse ? "make the switch refuse"
                                                              : "are waited for"),
         ""},
        {"settle", fmt::format("{} follows {}, so that there is a way back", from, to), ""},
    };
}

}  // namespace

asio::awaitable<Answer> Controller::dry_run(const Command& command) {
    if (!served_) co_return nobody_is_served();
    const decision::Serve before = *served_;
    if (!streams_known_) co_await look_at_streams(before);
    if (const auto refused = wrong_direction(command.verb, before, command.options.no_way_back)) co_return *refused;
    const SwitchOptions options = switch_options(command, before.side);
    PreflightInput input = co_await preflight_input(PreflightStage::before_switch);
    input.no_way_back = command.options.no_way_back;
    const PreflightReport report = co_await preflight(cluster_, std::move(input));
    const std::vector<SessionView> views = co_await sessions();
    const Measured measured = co_await measure(cluster_, before.side);
    const Microseconds window =
        measured.round_trip[index(before.side)] + measured.marker + 2 * measured.round_trip[index(other(before.side))];

    Answer answer;
    answer.table.columns = columns_of({.verb = command.verb, .options = {.dry_run = true}});
    boost::json::array list;
    for (Step& step : steps(measured, options, views, cluster_.databases().size())) {
        list.push_back({{"step", step.name}, {"what", step.what}, {"estimate", step.estimate}});
        answer.table.rows.push_back({std::move(step.name), std::move(step.what), std::move(step.estimate)});
    }
    const std::size_t refusals = report.refusals().size();
    answer.text = table_text(answer.table) +
                  fmt::format("the window would be near {}, at most {} ms an attempt; {}\n", words::span(window),
                              options.max_pause.count(),
                              refusals == 0 ? "nothing stands in the way"
                                            : fmt::format("{} findings would refuse it: turnout check", refusals));
    answer.json = boost::json::object{{"outcome", refusals == 0 ? "possible" : "refused"},
                                      {"window_us_estimate", window.count()},
                                      {"refusals", refusals},
                                      {"steps", std::move(list)}};
    if (refusals > 0) answer.exit_status = ExitStatus::refused;
    co_return answer;
}

}  // namespace turnout::control
