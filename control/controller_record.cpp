// A switch's record, and the report that is made of it.
#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "control/config.hpp"
#include "control/controller.hpp"
#include "control/report.hpp"
#include "control/switch_record.hpp"
#include "control/switch_words.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

/// Between two looks at the counters while a switch runs: atomic loads, no question to sessions or servers.
constexpr Milliseconds kBetweenSamples{25};
/// A switch that waits for a good moment for long is not written down in full.
constexpr std::size_t kMostSamples = 8000;
constexpr Milliseconds kBetweenLines{1000};

/// The phases in which a switch waits for somebody.
bool waits(std::string_view phase) {
    return phase == "arm" || phase == "outwait" || phase == "bypassing" || phase == "moment" || phase == "back_off";
}

/// "64 sessions, 3 in transaction (the oldest: session 12: ...), 1 pinned (session 5: ...)".
std::string waiting_line(const std::vector<SessionView>& views) {
    const SessionView* oldest = nullptr;
    const SessionView* pinned = nullptr;
    std::size_t busy = 0;
    std::size_t stuck = 0;
    for (const SessionView& view : views) {
        if (view.movable == Movable::boundary && ++busy > 0)
            if (oldest == nullptr || view.transaction > oldest->transaction) oldest = &view;
        if (view.movable == Movable::pinned && ++stuck > 0) pinned = &view;
    }
    std::string line = fmt::format("{} sessions, {} in transaction", views.size(), busy);
    if (oldest != nullptr) line += fmt::format(" (the oldest: {})", words::session(*oldest));
    line += fmt::format(", {} pinned", stuck);
    if (pinned != nullptr) line += fmt::format(" (session {}: {})", pinned->id, pinned->reason);
    return line;
}

}  // namespace

void Controller::begin_record(const Command& command, const PreflightReport& preflight, const Progress& progress) {
    record_ = std::make_shared<SwitchRecord>();
    record_->verb = dashed(tag(command.verb));
    record_->version = version_;
    record_->began = std::chrono::system_clock::now();
    record_->samples.assign(recent_.samples().begin(), recent_.samples().end());
    record_->preflight = check_answer(preflight, PreflightStage::before_switch).json.at("findings").as_array();
    record_->configuration = config_rows(config_);
    asio::co_spawn(executor_, sample_switch(record_), asio::detached);
    asio::co_spawn(executor_, tell_what_is_waited_for(record_, progress), asio::detached);
}

asio::awaitable<void> Controller::sample_switch(std::shared_ptr<SwitchRecord> record) {
    asio::steady_timer again(executor_);
    boost::system::error_code woken;
    while (!record->over && !stopping_) {
        if (record->samples.size() < kMostSamples) record->samples.push_back({Clock::now(), data_plane_->counters()});
        again.expires_after(kBetweenSamples);
        co_await again.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
}

/// A line a second while the switch looks for a good moment; never near the window.
asio::awaitable<void> Controller::tell_what_is_waited_for(std::shared_ptr<SwitchRecord> record, Progress progress) {
    asio::steady_timer again(executor_);
    boost::system::error_code woken;
    for (;;) {
        again.expires_after(kBetweenLines);
        co_await again.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        if (record->over || stopping_) co_return;
        if (record->marks.empty() || !waits(record->marks.back().phase)) continue;
        const std::vector<SessionView> views = co_await sessions();
        if (record->over) co_return;
        progress(fmt::format("{}: {}: {}", record->verb, record->marks.back().phase, waiting_line(views)));
    }
}

void Controller::keep_record(const Command&, const SwitchReport& report) {
    record_->samples.push_back({Clock::now(), data_plane_->counters()});
    record_->over = true;
    reports_.add(record_json(*record_, report));
    record_.reset();
}

}  // namespace turnout::control
