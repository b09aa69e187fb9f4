// The life of a version change.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <memory>
#include <utility>

#include "control/catalog.hpp"
#include "control/controller.hpp"
#include "control/dismantle.hpp"
#include "control/own_sessions.hpp"
#include "control/pg_error.hpp"
#include "control/recovery_driver.hpp"
#include "control/report.hpp"
#include "control/switch_words.hpp"
#include "control/sync.hpp"
#include "control/verify.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

/// "switched, generation 2, window 1180 us, ...": for the log.
std::string summary(const SwitchReport& report) {
    std::string text = fmt::format("{}, generation {}", name(report.outcome), report.generation);
    if (report.window) text += fmt::format(", window {} us", report.window->count());
    text += fmt::format(", {} attempts, {} sessions held of {}", report.attempts, report.sessions.held,
                        report.sessions.total);
    for (const TimedPhase& phase : report.phases) text += fmt::format(", {} {} us", phase.name, phase.took.count());
    return text;
}

}  // namespace

// A lost lock may end serving while a verb waits for something: what it needs of served_ is copied first.

asio::awaitable<PreflightInput> Controller::preflight_input(PreflightStage stage) {
    PreflightInput input;
    input.active = served_->side;
    input.stage = stage;
    input.end_bypassing = config_.switching.bypassing == Bypassing::end;
    input.own_pids = [this, active = input.active] { return own_pids(*data_plane_, active); };
    for (const std::vector<SessionView> views = co_await sessions(); const SessionView& session : views) {
        ++input.sessions;
        if (session.movable == Movable::pinned) {
            input.pinned.push_back(words::session(session));
        } else {
            ++input.movable;
        }
    }
    co_return input;
}

asio::awaitable<Answer> Controller::check() {
    if (!served_) co_return nobody_is_served();
    const PreflightStage stage = streams_ready_ ? PreflightStage::before_switch : PreflightStage::before_sync;
    PreflightInput input = co_await preflight_input(stage);
    const PreflightReport report = co_await preflight(cluster_, std::move(input));
    co_return check_answer(report, stage);
}

asio::awaitable<Answer> Controller::sync(const Command& command, const Progress& progress) {
    const Side active = served_->side;
    SyncSink sink = [&progress](const SyncProgress& step) {
        const std::string line = progress_line(step);
        spdlog::info("sync: {}", line);
        progress(line);
    };
    const SyncReport report = co_await control::sync(cluster_, active, std::move(sink), command.options.adopt);
    streams_ready_ = forward_ready_ = streams_known_ = true;
    co_await read_again_who_is_served(active);
    co_return sync_answer(report);
}

asio::awaitable<Answer> Controller::verify(const Command& command, const Progress& progress) {
    VerifyRequest request;
    request.active = served_->side;
    request.max_pause = command.options.max_pause.value_or(config_.switching.max_pause);
    request.deadline = command.options.deadline.value_or(config_.switching.deadline);
    request.next_attempt = [this] { return switcher_->next_attempt(); };
    const Side active = request.active;
    const VerifyReport report = co_await control::verify(cluster_, *data_plane_, std::move(request), progress);
    spdlog::info("verify: {} rows in {} tables, {} differences", report.rows, report.tables, report.differences.size());
    co_return verify_answer(report, active);
}

/// `switch --verify`: the comparison is a gate. Nothing: both sides are equal.
asio::awaitable<std::optional<Answer>> Controller::verified_first(const Command& command, const Progress& progress) {
    const Answer compared = co_await verify(command, progress);
    if (compared.exit_status == ExitStatus::done) co_return std::nullopt;
    Answer refused =
        refusal(sqlstate::refused, fmt::format("{} is refused: the data of both sides differs", tag(command.verb)),
                "turnout verify names the rows; turnout abort and turnout sync copy anew.");
    refused.detail = compared.text;
    co_return refused;
}

// ------------------------------------------------------------------------------------------------------------- switch

std::optional<Answer> Controller::wrong_direction(Verb verb, const decision::Serve& served, bool no_way_back) const {
    const auto active = name(served.side);
    if (served.finished)
        return refusal(sqlstate::refused, fmt::format("the version change is finished: {} is alone", active),
                       "turnout sync begins another one.");
    if (verb == Verb::switch_over && served.moved)
        return refusal(sqlstate::refused, fmt::format("{} is active already", active),
                       "turnout rollback goes back, turnout finish ends the version change.");
    if (verb == Verb::rollback && !served.moved)
        return refusal(sqlstate::refused,
                       fmt::format("there is nothing to roll back: {} is active, as at the beginning", active),
                       "turnout switch makes the other side active.");
    if (streams_known_ && forward_ready_ && !streams_ready_ && !no_way_back)
        return refusal(
            sqlstate::refused,
            fmt::format("there is no way back: {} could not follow {} after it", active, name(other(served.side))),
            "Run turnout sync again, or go without it: --no-way-back.");
    if (streams_known_ && !forward_ready_)
        return refusal(
            sqlstate::refused,
            fmt::format("{} does not follow {}: there is no complete copy", name(other(served.side)), active),
            "Run turnout sync first.");
    return std::nullopt;
}

SwitchOptions Controller::switch_options(const Command& command, Side from) const {
    SwitchOptions options;
    options.kind = command.verb == Verb::rehearse   ? SwitchKind::rehearse
                   : command.verb == Verb::rollback ? SwitchKind::rollback
                                                    : SwitchKind::forward;
    options.from = from;
    const VerbOptions& given = command.options;
    options.max_pause = given.max_pause.value_or(config_.switching.max_pause);
    options.deadline = given.deadline.value_or(config_.switching.deadline);
    options.pinned = given.pinned.value_or(config_.switching.pinned);
    options.long_transactions = given.long_transactions.value_or(config_.switching.long_transactions);
    options.bypassing = given.end_bypassing ? Bypassing::end : config_.switching.bypassing;
    options.no_way_back = given.no_way_back;
    options.in_charge = [this, from] { return single_flight_.holds(from); };
    return options;
}

asio::awaitable<Answer> Controller::switch_over(const Command& command, const Progress& progress) {
    const decision::Serve before = *served_;
    const bool no_way_back = command.options.no_way_back;
    if (!streams_known_ || no_way_back) co_await look_at_streams(before);
    if (const auto refused = wrong_direction(command.verb, before, no_way_back)) co_return *refused;
    if (unsettled_) co_await settle_down(before);
    if (unsettled_) {
        Answer answer = refusal(sqlstate::refused,
                                fmt::format("{} is refused: the last switch has not settled yet", tag(command.verb)),
                                "Try again when turnout show status has nothing unsettled.");
        for (const std::string& left : left_) answer.detail += (answer.detail.empty() ? "" : "\n") + left;
        co_return answer;
    }
    if (!served_) co_return nobody_is_served();
    SwitchOptions options = switch_options(command, before.side);
    PreflightInput input = co_await preflight_input(PreflightStage::before_switch);
    input.rehearsal = options.kind == SwitchKind::rehearse;
    input.end_bypassing = options.bypassing == Bypassing::end && !input.rehearsal;
    input.no_way_back = options.no_way_back;
    options.schema_marks = co_await read_schema_marks(cluster_, before.side);
    const PreflightReport preflight_report = co_await preflight(cluster_, std::move(input));
    if (preflight_report.refused()) co_return preflight_refusal(tag(command.verb), preflight_report);
    if (command.options.verify) {
        std::optional<Answer> refused = co_await verified_first(command, progress);
        if (refused) co_return std::move(*refused);
    }
    const std::optional<Answer> held = co_await held_back(command, before.side);
    if (held) co_return *held;
    if (!served_) co_return nobody_is_served();
    options.hidden_state = preflight_report.hidden_state;
    options.setting_names = preflight_report.setting_names;
    lag_connection_.reset();  // its next question could come in the window, and so could the page's
    page_connections_ = {};
    begin_record(command, before.side, preflight_report, progress);
    const std::shared_ptr<SwitchRecord> record = record_;
    const auto over = [](SwitchRecord* ended) { ended->over = true; };
    const std::unique_ptr<SwitchRecord, decltype(over)> until_then(record.get(), over);

    SwitchProgress tell = [this, &command, &progress, from = before.side](std::string phase,
                                                                          const std::vector<TimedPhase>& window) {
        if (command.verb != Verb::rehearse) tell_hook_of_phase(command, from, phase, window);
        mark_record(phase);
        const std::string said = fmt::format("{}: {}", dashed(tag(command.verb)), phase);
        spdlog::info("{}", said);
        progress(said);
        switch_progress_ = std::move(phase);
    };
    // From here on nothing is awaited but the switch: a cancelled coroutine may not wait again.
    const SwitchReport report = co_await switcher_->run(std::move(options), std::move(tell));
    take_over(before, report);
    if (no_way_back) streams_known_ = false;  // the next look tells what is left of them
    keep_record(command, report);
    Answer answer = switch_answer(report);
    reports_.name_in(answer);
    co_return answer;
}

void Controller::take_over(const decision::Serve& before, const SwitchReport& report) {
    spdlog::info("{} to {}: {}", turnout::name(report.from), turnout::name(report.to), summary(report));
    observe(report);
    last_switch_ = report;
    for (const StrayNote& stray : report.strays)
        spdlog::warn("written where it did not count, and not merged: {}: {}", stray.database, stray.text);
    left_ = report.left_over;
    unsettled_ = !left_.empty();
    const bool moved = report.outcome == SwitchOutcome::switched || report.outcome == SwitchOutcome::rolled_back;
    if (moved) served_ = decision::Serve{report.to, report.generation, false, report.kind == SwitchKind::forward};
    if (report.outcome == SwitchOutcome::uncertain) {
        // A person made the old side active; its streams are gone.
        served_ = before;
        served_->generation = report.generation;
        forget_streams();
    }
    if (served_ && !single_flight_.holds(served_->side))
        serve_nobody(
            {false, fmt::format("the connection to {} is lost", name(served_->side)), "Try again in a moment."});
}

void Controller::observe(const SwitchReport& report) {
    if (report.kind == SwitchKind::rehearse) return;
    SwitchObservation observation;
    observation.outcome = name(report.outcome);
    observation.window = report.window;
    for (const TimedPhase& phase : report.phases) observation.phases.emplace_back(phase.name, phase.took);
    observation.stalls = report.sessions.stalls;
    metrics_.observe(observation);
}

// ---------------------------------------------------------------------------------------------------------------- end

void Controller::forget_streams() {
    streams_ready_ = forward_ready_ = false;
    streams_known_ = true;
    unsettled_ = false;
    left_.clear();
    lag_.clear();
}

asio::awaitable<Answer> Controller::finish() {
    const decision::Serve before = *served_;
    if (before.finished) co_return *wrong_direction(Verb::finish, before);
    if (!before.moved)
        co_return refusal(sqlstate::refused,
                          fmt::format("{} is still active: there is nothing to finish", name(before.side)),
                          "turnout switch first; turnout abort dismantles everything instead.");
    const DismantleReport report = co_await control::finish(cluster_, before.side);
    if (served_) served_->finished = true;
    forget_streams();
    co_return dismantle_answer("finished", report);
}

asio::awaitable<Answer> Controller::abort() {
    const decision::Serve before = *served_;
    if (before.finished) co_return *wrong_direction(Verb::abort, before);
    if (before.moved)
        co_return refusal(
            sqlstate::refused,
            fmt::format("{} is active: aborting now would lose what was written there", name(before.side)),
            "turnout rollback first; turnout finish keeps the new side.");
    const DismantleReport report = co_await control::abort(cluster_, before.side);
    if (report.leftovers.empty()) {
        state_.forget();
        if (served_) served_->generation = 1;  // what the next sync, or the next start, begins with
    }
    forget_streams();
    co_return dismantle_answer("aborted", report);
}

asio::awaitable<void> Controller::read_again_who_is_served(Side active) {
    const JournalViews views = co_await read_journals(cluster_);
    const Decision decision = decide(views, state_.load());
    const auto* serve = std::get_if<decision::Serve>(&decision);
    if (served_ && serve != nullptr && serve->side == active) served_ = *serve;
}

// ------------------------------------------------------------------------------------------------------- force active

asio::awaitable<Answer> Controller::force_active(Side side, const Progress& progress) {
    const JournalViews views = co_await read_journals(cluster_);
    for (const std::string& loss : forced_losses(views, side)) progress(loss);
    const bool undecided = switcher_->undecided();
    const bool goes_on = served_ && served_->side == side;
    if (!undecided && !goes_on)
        serve_nobody({false, fmt::format("a person makes {} active", name(side)), "Try again in a moment."});
    const Forced forced = co_await control::force_active(cluster_, state_, side, goes_on);
    forget_streams();
    if (undecided) {
        if (served_ && served_->side == side) switcher_->decide_for_old_side(forced.generation);
    } else {
        const Recovered recovered = co_await recover(cluster_, state_);
        if (const auto* nobody = std::get_if<decision::Nobody>(&recovered)) {
            serve_nobody(*nobody);
            co_return nobody_is_served();
        }
        serve(std::get<decision::Serve>(recovered));
    }
    std::string text;
    for (const std::string& line : forced.done) text += line + "\n";
    co_return object_answer({{"outcome", "forced"},
                             {"active", name(side)},
                             {"generation", forced.generation},
                             {"done", boost::json::array(forced.done.begin(), forced.done.end())}},
                            std::move(text));
}

}  // namespace turnout::control
