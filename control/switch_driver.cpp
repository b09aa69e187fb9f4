#include "control/switch_driver.hpp"

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>
#include <stdexcept>

#include "control/recovery.hpp"
#include "control/switch_run.hpp"

namespace turnout::control {

namespace {

SwitchReport refusal(const SwitchOptions& options, std::string message, std::string hint) {
    SwitchReport report;
    report.outcome = SwitchOutcome::refused;
    report.kind = options.kind;
    report.from = options.from;
    report.to = other(options.from);
    report.message = std::move(message);
    report.hint = std::move(hint);
    return report;
}

SwitchRequest request_for(const SwitchOptions& options, const Cluster& cluster) {
    SwitchRequest request;
    request.kind = options.kind;
    request.from = options.from;
    request.databases = cluster.databases();
    request.max_pause = options.max_pause;
    request.deadline = options.deadline;
    request.pinned = options.pinned;
    request.long_transactions = options.long_transactions;
    request.bypassing = options.bypassing;
    request.patience = options.patience;
    return request;
}

}  // namespace

Switcher::Switcher(const Cluster& cluster, DataPlane& data_plane, StateFile& state, StepWatch watch)
    : cluster_(cluster), data_plane_(data_plane), state_(state), watch_(std::move(watch)) {}

Switcher::~Switcher() { disk_.join(); }

bool Switcher::undecided() const {
    return current_ != nullptr && current_->machine().phase() == SwitchPhase::clearing_up;
}

void Switcher::decide_for_old_side(std::int64_t generation) {
    if (current_ != nullptr) current_->feed(event::Override{generation});
}

/// Reads both journals for the numbers of this switch. A report: it cannot be begun.
asio::awaitable<std::optional<SwitchReport>> Switcher::number(const SwitchOptions& options, SwitchRequest& request) {
    try {
        const auto from = co_await Journal::open(cluster_, options.from);
        const auto to = co_await Journal::open(cluster_, other(options.from));
        JournalViews views;
        views[index(options.from)] = co_await from->read();
        views[index(other(options.from))] = co_await to->read();
        const JournalView& active = *views[index(options.from)];
        const JournalView& standby = *views[index(other(options.from))];
        for (const JournalView* view : {&active, &standby}) {
            if (const auto foreign = view->foreign()) co_return refusal(options, *foreign, "correct the configuration");
        }
        const JournalRow* row = active.active();
        if (row == nullptr || active.is_retired()) {
            co_return refusal(options, fmt::format("{} is not the active side", name(options.from)),
                              "see `turnout show status`");
        }
        const AttemptId id = control::next_attempt(active, standby);
        request.served = row->id.generation;
        request.generation = id.generation;
        last_attempt_ = std::max(last_attempt_, static_cast<std::uint64_t>(id.attempt) - 1);
        request.attempt = last_attempt_ + 1;
    } catch (const PgError& error) {
        co_return refusal(options, error.what(), "both servers must be reachable for a switch");
    }
    co_return std::nullopt;
}

asio::awaitable<SwitchReport> Switcher::run(SwitchOptions options, SwitchProgress progress) {
    if (current_ != nullptr) throw std::logic_error("a switch runs already");
    SwitchRequest request = request_for(options, cluster_);
    if (auto refused = co_await number(options, request)) co_return *refused;
    SwitchRun run(cluster_, data_plane_, state_, disk_, doubtful_, options, request, std::move(progress), watch_,
                  co_await asio::this_coro::executor);
    current_ = &run;
    SwitchReport report = co_await run.run();
    current_ = nullptr;
    last_attempt_ = std::max(last_attempt_, static_cast<std::uint64_t>(run.machine().attempt().attempt));
    co_return report;
}

}  // namespace turnout::control
