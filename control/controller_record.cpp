// A switch's record, and the report that is made of it.
#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "control/config.hpp"
#include "control/controller.hpp"
#include "control/log.hpp"
#include "control/lsn.hpp"
#include "control/pg_error.hpp"
#include "control/report.hpp"
#include "control/situation.hpp"
#include "control/switch_record.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

/// Between two looks at the counters while a switch runs: atomic loads, no question to sessions or servers.
constexpr Milliseconds kBetweenSamples{25};
/// A switch that waits for a good moment for long is not written down in full.
constexpr std::size_t kMostSamples = 8000;
constexpr Milliseconds kBetweenLines{1000};
constexpr Milliseconds kBetweenPositions{250};
constexpr Milliseconds kPatience{1000};

/// The phases in which a switch waits for somebody.
bool waits(std::string_view phase) {
    return phase == "arm" || phase == "outwait" || phase == "bypassing" || phase == "moment" || phase == "back_off";
}

/// What the lines of the log are about.
LogContext log_context(const SwitchRecord& record) {
    LogContext context{record_id(record),
                       record.marks.empty() ? std::string() : record.marks.back().phase,
                       std::string(name(record.active)),
                       {}};
    for (auto it = record.positions.rbegin(); it != record.positions.rend() && context.position.empty(); ++it)
        if (const auto bytes = it->bytes[index(record.active)])
            context.position = Lsn(static_cast<std::uint64_t>(*bytes)).text();
    return context;
}

}  // namespace

void Controller::begin_record(const Command& command, Side active, const PreflightReport& preflight,
                              const Progress& progress) {
    record_ = std::make_shared<SwitchRecord>();
    record_->verb = dashed(tag(command.verb));
    record_->active = active;
    record_->version = version_;
    record_->began = std::chrono::system_clock::now();
    record_->samples.assign(recent_.samples().begin(), recent_.samples().end());
    record_->preflight = check_answer(preflight, PreflightStage::before_switch).json.at("findings").as_array();
    record_->configuration = config_rows(config_);
    asio::co_spawn(executor_, sample_switch(record_), asio::detached);
    asio::co_spawn(executor_, sample_positions(record_), asio::detached);
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

/// What both sides write, on connections of its own. A side that does not answer is left out.
asio::awaitable<void> Controller::sample_positions(std::shared_ptr<SwitchRecord> record) {
    asio::steady_timer again(executor_);
    boost::system::error_code woken;
    std::array<PgConnection::Ptr, 2> connections;
    while (!record->over && !stopping_ && record->positions.size() < kMostSamples) {
        WritePositions now{Clock::now(), {}};
        for (const Side side : {Side::blue, Side::green}) {
            if (record->over || at_window(*record)) continue;
            PgConnection::Ptr& connection = connections[index(side)];
            try {
                const Clock::time_point deadline = Clock::now() + kPatience;
                if (!connection || !connection->is_alive())
                    connection = co_await cluster_.connect_by(deadline, side, cluster_.journal_database());
                const PgResult position = co_await connection->query_by(
                    deadline, "SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::bigint");
                now.bytes[index(side)] = position.as<std::int64_t>(0, 0);
            } catch (const PgError&) {
                connection.reset();
            }
        }
        if (!record->over && (now.bytes[0] || now.bytes[1])) {
            record->positions.push_back(now);
            set_log_context(log_context(*record));
        }
        again.expires_after(kBetweenPositions);
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
        progress(fmt::format("{}: {}: {}", record->verb, record->marks.back().phase, sessions_line(views)));
    }
}

/// A line a second while a verb works: its own last one, and how things are. A switch tells this itself, away from its
/// window.
asio::awaitable<void> Controller::tell_how_things_are(std::shared_ptr<bool> over, Progress progress) {
    asio::steady_timer again(executor_);
    boost::system::error_code woken;
    std::vector<StreamLag> before;
    for (;;) {
        again.expires_after(kBetweenLines);
        co_await again.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        if (*over || stopping_) co_return;
        if (record_ || switcher_->running() || progress_.empty()) continue;
        const std::vector<SessionView> views = co_await sessions();
        if (*over || record_) continue;
        const std::string lag = lag_line(lag_, before);
        before = lag_;
        progress(fmt::format("{} | {}{}{}", progress_, lag, lag.empty() ? "" : " | ", sessions_line(views)));
    }
}

void Controller::mark_record(std::string phase) {
    if (!record_) return;
    record_->marks.push_back({Clock::now(), std::move(phase)});
    set_log_context(log_context(*record_));
}

void Controller::keep_record(const Command&, const SwitchReport& report) {
    record_->samples.push_back({Clock::now(), data_plane_->counters()});
    record_->over = true;
    reports_.add(record_json(*record_, report));
    record_.reset();
    set_log_context({});
}

}  // namespace turnout::control
