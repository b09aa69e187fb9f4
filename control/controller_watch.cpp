// After a switch: the new side is watched for a time and, where limits are given and crossed, left again. Nothing is
// held up by it: the background settles, and other verbs may run.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "control/controller.hpp"
#include "control/switch_watch.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

constexpr Milliseconds kLook{1'000};

boost::json::object as_json(const SideHealth& health) {
    return {{"seconds", health.seconds},
            {"requests", health.requests},
            {"failed_percent", health.failed_percent()},
            {"queries", health.queries},
            {"p95_us", static_cast<std::int64_t>(health.p95_seconds * 1e6)}};
}

std::string line(const SideHealth& before, const SideHealth& after) {
    return fmt::format("{} requests, {:.2f} % failed ({:.2f} % before), p95 {:.3f} ms ({:.3f} ms before)",
                       after.requests, after.failed_percent(), before.failed_percent(), after.p95_seconds * 1e3,
                       before.p95_seconds * 1e3);
}

void add(Answer& answer, const boost::json::object& watch, const std::string& text) {
    if (auto* object = answer.json.if_object()) (*object)["watch"] = watch;
    answer.table.rows.push_back(Row{"watch", boost::json::serialize(watch)});
    answer.text += text + "\n";
}

}  // namespace

/// What a switch is watched by, of the command or else of the configuration; a watch of 0: it is not.
WatchSettings Controller::watch_settings(const Command& command) const {
    WatchSettings settings;
    if (command.verb != Verb::switch_over && command.verb != Verb::rollback) return settings;
    settings.time = command.options.watch.value_or(config_.switching.watch);
    settings.limits =
        command.options.rollback_if.value_or(parse_watch_limits(config_.switching.rollback_if).value_or(WatchLimits{}));
    return settings;
}

asio::awaitable<Answer> Controller::watched(const Command& command, const Progress& progress) {
    const WatchSettings settings = watch_settings(command);
    if (settings.time.count() == 0) {
        if (!command.options.rollback_if) co_return co_await exclusively(command, progress);
        Answer answer = refusal(sqlstate::invalid_value, "limits without a time say nothing: nobody watches",
                                "Tell how long to watch, too, such as --watch 10m.");
        answer.exit_status = ExitStatus::usage;
        co_return answer;
    }
    recent_.add(Clock::now(), data_plane_->counters());
    SideHealth before;
    if (served_) before = health(recent_.samples().front(), recent_.samples().back(), served_->side);
    Answer answer = co_await exclusively(command, progress);
    if (answer.failed() || !served_) co_return answer;
    const SwitchWatch watch(served_->side, before, settings.limits);
    co_return co_await watch_switch(command, settings.time, watch, std::move(answer), progress);
}

/// Ends when the time is over, when the limits are crossed, when somebody else decides, or when its client cancels: the
/// switch stands then.
asio::awaitable<Answer> Controller::watch_switch(Command command, Milliseconds time, SwitchWatch watch, Answer answer,
                                                 const Progress& progress) {
    const std::int64_t generation = served_->generation;
    const Clock::time_point began = Clock::now();
    std::string why;
    std::string stopped;
    asio::steady_timer timer(executor_);
    try {
        for (bool over = false; why.empty() && stopped.empty() && !over;) {
            watch.look(Clock::now(), data_plane_->counters());
            watching_ = fmt::format(
                "{} s of {} s: {}", std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - began).count(),
                std::chrono::duration_cast<std::chrono::seconds>(time).count(), line(watch.before(), watch.after()));
            progress("watch: " + watching_);
            why = watch.crossed();
            over = Clock::now() >= began + time;
            if (!why.empty() || over) break;
            timer.expires_at(std::min(began + time, Clock::now() + kLook));
            co_await timer.async_wait(asio::use_awaitable);
            stopped = no_longer_watched(generation);
        }
        // Who compares meanwhile makes way; whatever else runs decides by itself.
        while (!why.empty() && running_ && stopped.empty()) {
            if (running_->verb == Verb::verify) cancel_running_.emit(asio::cancellation_type::terminal);
            timer.expires_after(Milliseconds(10));
            co_await timer.async_wait(asio::use_awaitable);
            stopped = no_longer_watched(generation);
        }
    } catch (const boost::system::system_error&) {
        stopped = "its client ended it";
    }
    watching_.clear();
    const bool goes_back = !why.empty() && stopped.empty();
    boost::json::object watched{{"seconds", std::chrono::duration<double>(Clock::now() - began).count()},
                                {"before", as_json(watch.before())},
                                {"after", as_json(watch.after())},
                                {"rolled_back", false},
                                {"reason", goes_back ? why : stopped}};
    if (!goes_back) {
        add(answer, watched, "watched: " + (stopped.empty() ? "nothing crossed the limits" : stopped));
        co_return answer;
    }
    co_return co_await go_back(std::move(command), why, std::move(watched), progress);
}

/// Why watching has no sense any more; empty: it has.
std::string Controller::no_longer_watched(std::int64_t generation) const {
    if (stopping_) return "turnout is shutting down";
    if (!served_) return {};  // its server is away: it may come back
    if (served_->finished) return "the version change is finished";
    if (served_->generation != generation)
        return fmt::format("{} is active with generation {}", name(served_->side), served_->generation);
    return {};
}

asio::awaitable<Answer> Controller::go_back(Command command, std::string why, boost::json::object watched,
                                            const Progress& progress) {
    spdlog::warn("rolling back: {}", why);
    progress("rolling back: " + why);
    command.verb = command.verb == Verb::rollback ? Verb::switch_over : Verb::rollback;
    command.options.verify = false;
    Answer answer = co_await exclusively(command, progress);
    watched["rolled_back"] = !answer.failed();
    add(answer, watched, (answer.failed() ? "watched, and not rolled back: " : "watched, and rolled back: ") + why);
    answer.message = answer.failed() ? fmt::format("{}; it was to be rolled back because {}", answer.message, why)
                                     : "rolled back: " + why;
    if (answer.exit_status == ExitStatus::done) answer.exit_status = ExitStatus::refused;
    co_return answer;
}

}  // namespace turnout::control
