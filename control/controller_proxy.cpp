// Verbs that concern the proxy alone, PgBouncer's among them.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/system/system_error.hpp>
#include <charconv>
#include <stdexcept>
#include <utility>

#include "control/awaited.hpp"
#include "control/controller.hpp"
#include "control/log.hpp"
#include "control/pg_error.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

Answer done(std::string_view outcome, std::string text) {
    Answer answer;
    answer.json = boost::json::object{{"outcome", outcome}};
    answer.text = std::move(text) + "\n";
    return answer;
}

}  // namespace

asio::awaitable<Answer> Controller::concerning_the_proxy(const Command& command) {
    if (const auto wrong = wrong_database(command)) co_return *wrong;
    switch (command.verb) {
        case Verb::pause: co_return co_await pause();
        case Verb::resume: co_return resume();
        case Verb::reload: co_return reload();
        case Verb::set: co_return set(command);
        case Verb::disable: co_return disable(command.operand, true);
        case Verb::enable: co_return disable(command.operand, false);
        case Verb::kill_client: co_return co_await kill_client(command.operand);
        case Verb::shutdown: co_return co_await shut_down(command);
        case Verb::reconnect: co_return done("reconnected", "a server connection ends with its session");
        case Verb::wait_close: co_return done("closed", "no server connection waits to be closed");
        default: co_return Answer{};
    }
}

/// Databases are switched together, so they pause together, too.
std::optional<Answer> Controller::wrong_database(const Command& command) const {
    const Operand operand = describe(command.verb).operand;
    if (operand != Operand::database && operand != Operand::database_or_all) return std::nullopt;
    if (command.operand.empty()) return std::nullopt;
    const auto& databases = config_.switching.databases;
    if (std::find(databases.begin(), databases.end(), command.operand) == databases.end())
        return refusal("3D000", fmt::format("no such database: {}", command.operand), "SHOW DATABASES names them.");
    if ((command.verb == Verb::pause || command.verb == Verb::resume) && databases.size() > 1)
        return refusal("0A000", fmt::format("{} of one database among several is not possible", tag(command.verb)),
                       fmt::format("{} without a name does it for all of them.", tag(command.verb)));
    return std::nullopt;
}

asio::awaitable<Answer> Controller::pause() {
    if (const auto refused = refuse_beside_running(Verb::pause)) co_return *refused;
    if (!served_) co_return nobody_is_served();
    if (paused_) co_return refusal(sqlstate::refused, "the proxy is paused already", "turnout resume ends it.");
    paused_ = true;
    struct Nothing {};
    try {
        co_await called_back<Nothing>(
            [this](std::function<void(Nothing)> then) { data_plane_->pause([then = std::move(then)] { then({}); }); });
    } catch (const boost::system::system_error&) {
        paused_ = false;
        data_plane_->resume();
        throw;
    }
    co_return done("paused", "paused: nobody begins a transaction until turnout resume");
}

Answer Controller::resume() {
    if (!paused_) return refusal(sqlstate::refused, "the proxy is not paused", "turnout pause pauses it.");
    paused_ = false;
    data_plane_->resume();
    return done("resumed", "resumed");
}

// ------------------------------------------------------------------------------------------------------ configuration

/// Nothing has changed if it returns what is wrong.
std::optional<std::string> Controller::take_configuration(const Config& fresh) {
    Verifiers verifiers = load_auth_file(fresh.auth.auth_file);
    set_up_log(fresh.log);
    DataPlaneSettings settings = fresh.data_plane;
    std::erase_if(settings.databases, [this](const std::string& database) { return disabled_.contains(database); });
    if (auto wrong = data_plane_->reload(settings)) {
        set_up_log(config_.log);
        return wrong;
    }
    directory_.replace(std::move(verifiers));
    config_ = fresh;
    return std::nullopt;
}

Answer Controller::reload() {
    std::vector<std::string> unchanged;
    std::optional<std::string> wrong;
    try {
        wrong = take_configuration(reloaded(config_, load_config(config_.file), unchanged));
    } catch (const std::runtime_error& refused) {  // ConfigRefused, AuthFileError, the log's file
        wrong = refused.what();
    }
    metrics_.config_load_failed(wrong.has_value());
    if (wrong) {
        spdlog::error("the configuration is not taken over, all stays as it was: {}", *wrong);
        return refusal("F0000", "the configuration is not taken over",
                       "All stays as it was; correct it, then turnout reload.", *wrong);
    }
    std::string text = "reloaded " + config_.file;
    for (const std::string& key : unchanged) text += "\n" + key + " changes with a restart only";
    Answer answer = done("reloaded", text);
    answer.json.as_object()["needs_restart"] = boost::json::array(unchanged.begin(), unchanged.end());
    if (!unchanged.empty()) answer.message = fmt::format("{} changed keys need a restart", unchanged.size());
    return answer;
}

Answer Controller::set(const Command& command) {
    // Drivers set extra_float_digits and the like when they connect. Turnout's keys have a section before a dot.
    if (command.operand.find('.') == std::string::npos) return {};
    try {
        const Config fresh = changed(config_, command.operand, command.value);
        if (const auto wrong = take_configuration(fresh))
            return refusal("F0000", fmt::format("{} is not changed: {}", command.operand, *wrong),
                           "Correct the value; all stays as it was.");
    } catch (const std::runtime_error& wrong) {
        return refusal(sqlstate::invalid_value, wrong.what());
    }
    return done("set", fmt::format("{} is {} until the next reload or restart", command.operand, command.value));
}

// ----------------------------------------------------------------------------------------------------------- sessions

Answer Controller::disable(const std::string& database, bool disabled) {
    const std::set<std::string> before = disabled_;
    if (disabled)
        disabled_.insert(database);
    else
        disabled_.erase(database);
    if (const auto wrong = take_configuration(config_)) {
        disabled_ = before;
        return refusal("F0000", *wrong);
    }
    return done(disabled ? "disabled" : "enabled",
                disabled ? fmt::format("nobody can log in to {} until turnout enable {}", database, database)
                         : fmt::format("{} lets clients in", database));
}

asio::awaitable<Answer> Controller::kill_client(const std::string& id) {
    std::uint64_t wanted = 0;
    std::from_chars(id.data(), id.data() + id.size(), wanted);
    const std::vector<SessionView> views = co_await sessions();
    const auto session =
        std::find_if(views.begin(), views.end(), [wanted](const SessionView& view) { return view.id == wanted; });
    if (session == views.end())
        co_return refusal("42704", fmt::format("there is no session {}", id), "SHOW SESSIONS names them.");
    if (session->server_pid == 0)
        co_return refusal(sqlstate::refused, fmt::format("session {} is still logging in", id), "Try again.");
    // The end of its server connection is the end of a session; the client gets the server's own words.
    const auto connection =
        co_await cluster_.connect_by(Clock::now() + Milliseconds(5000), session->side, cluster_.journal_database());
    const PgResult ended =
        co_await connection->query("SELECT pg_catalog.pg_terminate_backend($1)", std::int64_t{session->server_pid});
    if (!ended.as<bool>(0, 0))
        co_return refusal("42704", fmt::format("session {} has ended already", id),
                          "SHOW SESSIONS names those there are.");
    co_return done("killed", fmt::format("session {} ({} in {}) is ended", id, session->user, session->database));
}

/// Nobody is let in meanwhile; cancelled, it lets clients in again.
asio::awaitable<Answer> Controller::wait_for_clients() {
    const auto& databases = config_.switching.databases;
    const std::set<std::string> before = disabled_;
    disabled_.insert(databases.begin(), databases.end());
    if (const auto wrong = take_configuration(config_)) co_return refusal("F0000", *wrong);
    bool cancelled = false;
    asio::steady_timer again(executor_);
    try {
        for (auto left = co_await sessions(); !left.empty() && !stopping_; left = co_await sessions()) {
            again.expires_after(Milliseconds(100));
            co_await again.async_wait(asio::use_awaitable);
        }
    } catch (const boost::system::system_error&) {
        cancelled = true;
    }
    if (!cancelled) co_return Answer{};
    disabled_ = before;
    (void)take_configuration(config_);
    co_return refusal(sqlstate::cancelled, "SHUTDOWN was cancelled; clients are let in again");
}

asio::awaitable<Answer> Controller::shut_down(const Command& command) {
    if (command.options.wait_for_clients) {
        Answer waited = co_await wait_for_clients();
        if (waited.failed()) co_return waited;
    }
    const bool waits = command.options.wait_for_servers || command.options.wait_for_clients;
    stop(waits ? Stop::gracefully : Stop::at_once);
    co_return done("stopping", "stopping");
}

}  // namespace turnout::control
