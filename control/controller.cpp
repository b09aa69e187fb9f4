#include "control/controller.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/system/system_error.hpp>
#include <stdexcept>
#include <utility>

#include "control/awaited.hpp"
#include "control/log.hpp"
#include "control/pg_error.hpp"
#include "control/report.hpp"
#include "control/show.hpp"
#include "control/sync.hpp"
#include "control/verify.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

ClusterSettings cluster_settings(const Config& config) {
    ClusterSettings settings;
    for (const Side side : {Side::blue, Side::green}) {
        settings.sides[index(side)].url = config.sides[index(side)].url;
        settings.sides[index(side)].replication_url = config.sides[index(side)].replication_url;
    }
    settings.databases = config.switching.databases;
    settings.journal_database = config.switching.journal_database;
    settings.pg_bin = config.switching.pg_bin;
    return settings;
}

/// Verbs that look only, or concern the proxy alone, run beside others.
bool is_exclusive(Verb verb) {
    switch (verb) {
        case Verb::sync:
        case Verb::verify:
        case Verb::rehearse:
        case Verb::switch_over:
        case Verb::rollback:
        case Verb::finish:
        case Verb::abort:
        case Verb::force_active: return true;
        case Verb::disable:
        case Verb::enable:
        case Verb::reconnect:
        case Verb::wait_close:
        case Verb::kill_client:
        case Verb::check:
        case Verb::pause:
        case Verb::resume:
        case Verb::reload:
        case Verb::shutdown:
        case Verb::show:
        case Verb::set: break;
    }
    return false;
}

}  // namespace

/// While it lives, its verb is the one that runs.
class Controller::Exclusive {
  public:
    Exclusive(Controller& controller, Verb verb) : controller_(controller) {
        controller_.running_ = Running{verb, Clock::now()};
        spdlog::info("{} begins", tag(verb));
    }
    ~Exclusive() {
        controller_.running_.reset();
        controller_.news_.cancel();
    }
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

  private:
    Controller& controller_;
};

Controller::Controller(asio::any_io_executor executor, ControllerSettings settings, Metrics& metrics,
                       const MakeDataPlane& make_data_plane)
    : executor_(executor),
      config_(std::move(settings.config)),
      version_(std::move(settings.version)),
      take_over_(settings.take_over),
      metrics_(metrics),
      cluster_(executor, cluster_settings(config_)),
      roles_(cluster_, config_.auth.auth_query),
      directory_(roles_, load_auth_file(config_.auth.auth_file)),
      data_plane_(make_data_plane(executor, directory_)),
      state_(config_.state_file),
      single_flight_(cluster_),
      switcher_(std::make_unique<Switcher>(cluster_, *data_plane_, state_, std::move(settings.step_watch))),
      nobody_{false, "turnout is starting and finds out which side is active", "Try again in a moment."},
      reports_(report_directory(config_)),
      hook_teller_(executor),
      feed_(settings.feed),
      news_(executor, asio::steady_timer::time_point::max()) {}

Controller::~Controller() = default;

asio::awaitable<Answer> Controller::execute(Command command, Progress progress) {
    Answer answer;
    try {
        answer = co_await dispatch(command, progress);
    } catch (...) {
        answer = failure(command);
    }
    if (command.verb != Verb::show && command.verb != Verb::set) {
        add_next_steps(answer, next_steps(phase(), paused_));
        if (answer.failed())
            spdlog::warn("{} ends: {} ({})", tag(command.verb), answer.message, answer.sqlstate);
        else
            spdlog::info("{} ends: exit status {}", tag(command.verb), static_cast<int>(answer.exit_status));
    }
    co_return answer;
}

/// What the exception that is being handled answers to the verb.
Answer Controller::failure(const Command& command) const {
    try {
        throw;
    } catch (const PgError& error) {
        return server_failure(error);
    } catch (const SyncRefused& error) {
        return refusal(sqlstate::refused, error.what());
    } catch (const VerifyRefused& error) {
        return refusal(sqlstate::given_up, error.what());
    } catch (const boost::system::system_error& error) {
        return error.code() == asio::error::operation_aborted ? cancelled(command)
                                                              : refusal(sqlstate::internal, error.code().message());
    } catch (const std::exception& error) {
        return refusal(sqlstate::internal, error.what(),
                       "That is an error in turnout itself, or of the machine: its log may tell more.");
    }
}

asio::awaitable<Answer> Controller::dispatch(const Command& command, const Progress& progress) {
    if (command.options.dry_run) co_return co_await dry_run(command);
    if (is_exclusive(command.verb)) co_return co_await watched(command, progress);
    switch (command.verb) {
        case Verb::show: co_return co_await show(command);
        case Verb::check: co_return co_await check();
        default: co_return co_await concerning_the_proxy(command);
    }
}

std::optional<Answer> Controller::refuse_beside_running(Verb verb) const {
    if (stopping_) return refusal("57P01", "turnout is shutting down", "Try again when it has been started again.");
    if (!running_) return std::nullopt;
    // A switch whose outcome nobody can find out is ended by a person's decision only.
    if (verb == Verb::force_active && switcher_->undecided()) return std::nullopt;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - running_->since).count();
    return refusal(sqlstate::running,
                   fmt::format("{} is refused: {} is running, for {} s", tag(verb), tag(running_->verb), seconds),
                   "Wait until it ends (turnout show status), or cancel it where it was started.");
}

asio::awaitable<Answer> Controller::exclusively(const Command& command, const Progress& progress) {
    if (const auto refused = refuse_beside_running(command.verb)) co_return *refused;
    if (running_) co_return co_await force_active(command.side, progress);  // decides what runs undecided
    const Exclusive exclusive(*this, command.verb);
    // The verb is cancelled by its client, whose cancellation comes to this coroutine, or by stop().
    const asio::cancellation_state by_client = co_await asio::this_coro::cancellation_state;
    by_client.slot().assign([this](asio::cancellation_type type) { cancel_running_.emit(type); });
    progress_ = fmt::format("{}: working", dashed(tag(command.verb)));
    struct Over {
        std::shared_ptr<bool> is = std::make_shared<bool>(false);
        ~Over() { *is = true; }
    };
    const Over over;
    asio::co_spawn(executor_, tell_how_things_are(over.is, progress), asio::detached);
    const Progress noted = [this, &progress](std::string line) {
        progress_ = line;
        progress(std::move(line));
    };
    Answer answer;
    try {
        answer = co_await asio::co_spawn(executor_, carry_out(command, noted),
                                         asio::bind_cancellation_slot(cancel_running_.slot(), asio::use_awaitable));
    } catch (...) {
        answer = failure(command);
    }
    tell_hook_of_end(command, answer);
    co_return answer;
}

asio::awaitable<Answer> Controller::carry_out(const Command& command, const Progress& progress) {
    co_await quiet_background();
    if (command.verb == Verb::force_active) co_return co_await force_active(command.side, progress);
    if (!served_) co_return nobody_is_served();
    if (paused_ && command.verb != Verb::finish)
        co_return refusal(sqlstate::refused, fmt::format("{} is refused: the proxy is paused", tag(command.verb)),
                          "turnout resume lets the clients go on.");
    switch (command.verb) {
        case Verb::verify: co_return co_await verify(command, progress);
        case Verb::sync:
        case Verb::finish:
        case Verb::abort: co_return co_await between_hooks(command, progress);
        default: co_return co_await switch_over(command, progress);
    }
}

/// A switch asks its hook later, when nothing else stands in its way.
asio::awaitable<Answer> Controller::between_hooks(const Command& command, const Progress& progress) {
    const Side active = served_->side;
    const std::optional<Answer> held = co_await held_back(command, active);
    if (held) co_return *held;
    if (!served_) co_return nobody_is_served();
    switch (command.verb) {
        case Verb::sync: co_return co_await sync(command, progress);
        case Verb::finish: co_return co_await finish();
        default: co_return co_await abort();
    }
}

Answer Controller::nobody_is_served() const {
    Answer answer = refusal(sqlstate::refused, nobody_.reason, nobody_.hint, "Nobody is served now.");
    if (nobody_.needs_person) {
        answer.sqlstate = sqlstate::needs_person;
        answer.exit_status = ExitStatus::needs_person;
    }
    return answer;
}

Answer Controller::cancelled(const Command& command) const {
    return refusal(sqlstate::cancelled,
                   fmt::format("{} was cancelled; {}", tag(command.verb),
                               served_ ? fmt::format("the clients are served by {}", name(served_->side))
                                       : std::string("nobody is served")));
}

}  // namespace turnout::control
