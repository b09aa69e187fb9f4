// A session's first part: startup packet, TLS, first backend.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/endian/conversion.hpp>

#include "protocol/authentication.hpp"
#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"
#include "protocol/startup.hpp"
#include "proxy/random.hpp"
#include "proxy/session.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {
namespace {

constexpr std::size_t kLongSecret = 32;

/// Whether the client itself says what default_transaction_read_only shall be; its word beats every other.
bool says_read_only(const Parameters& startup) {
    return std::any_of(startup.begin(), startup.end(), [](const auto& parameter) {
        return parameter.first == "default_transaction_read_only" ||
               (parameter.first == "options" &&
                parameter.second.find("default_transaction_read_only") != std::string::npos);
    });
}

}  // namespace

/// PostgreSQL's authentication_timeout: the login has so long from now on.
void Session::bound_login(control::Clock::duration left) {
    login_timer_.after(left, [this] {
        if (!logged_in()) login_timed_out();
    });
}

/// Before the startup packet nobody is told anything.
void Session::login_timed_out() {
    spdlog::info("login from {} not finished within login_timeout", address_);
    if (!user_.empty()) refuse("57014", "canceling authentication due to timeout");
    close();
}

void Session::refuse(std::string_view sqlstate, std::string_view message, std::string_view detail,
                     std::string_view hint) {
    worker_.counters().logins_failed.add();
    const std::string error = protocol::make_error(protocol::Severity::fatal, sqlstate, message, detail, hint);
    if (client_.open()) client_.write(error.data(), error.size());
}

Task<bool> Session::log_in() {
    bool ok = co_await read_startup();
    if (!ok) co_return false;
    Shared& shared = worker_.shared();
    if (shared.shutting_down.load()) {
        refuse("57P03", "turnout is shutting down", {}, "Connect again when it has been started again.");
        co_return false;
    }
    const bool console = wants_console();
    if (!console && !is_served()) co_return false;
    if (shared.clients.load() > runtime_->settings.max_client_connections) {
        refuse("53300", "sorry, too many clients already", {},
               "Raise max_client_connections in the [proxy] section of turnout.toml.");
        co_return false;
    }
    // Physical replication has no database.
    if (!console && replication_ != protocol::ReplicationKind::physical && !runtime_->lists(database_)) {
        refuse("3D000", fmt::format("database \"{}\" is not served by this proxy", database_), {},
               "Add it to databases in the [switch] section of turnout.toml, or connect to the server itself.");
        co_return false;
    }
    control::RoleAnswer answer = co_await look_up_anywhere();
    if (auto* unknown = std::get_if<control::RoleUnknown>(&answer)) {
        spdlog::warn("cannot look up user \"{}\" from {}: {}", user_, address_, unknown->message);
        refuse_unreachable(unknown->message);
        co_return false;
    }
    const control::RoleFacts role = std::move(std::get<control::RoleFacts>(answer));
    ok = co_await authenticate(role);
    if (!ok) co_return false;
    if (console) {
        const auto why = why_not_the_console(role);
        if (why) refuse_login("28000", fmt::format("user \"{}\" may not use the console", user_), *why);
        co_return !why;
    }
    if (!may_take_slot(role)) co_return false;
    ok = co_await open_first_backend();
    if (!ok) co_return false;
    co_return co_await greet();
}

/// The role as the active side has it. For the console, which is wanted most when nobody is served, the other side's
/// word does if that one cannot be asked.
Task<control::RoleAnswer> Session::look_up_anywhere() {
    const Side side = worker_.shared().gate.view().side;
    control::RoleAnswer answer = co_await look_up_role(side);
    if (std::holds_alternative<control::RoleUnknown>(answer) && wants_console())
        answer = co_await look_up_role(other(side));
    co_return answer;
}

/// False: nobody is, and the client has been told.
bool Session::is_served() {
    if (worker_.shared().served.load()) return true;
    const Refusal refusal = worker_.shared().refusal();
    refuse("57P03", refusal.message, {}, refusal.hint);
    return false;
}

/// As PostgreSQL keeps superuser_reserved_connections and reserved_connections. False: the client has been refused.
bool Session::may_take_slot(const control::RoleFacts& role) {
    if (role.superuser && replication_ == protocol::ReplicationKind::none) return true;
    const control::DataPlaneSettings& settings = runtime_->settings;
    const std::size_t taken = worker_.shared().clients.load();
    const auto refuse_reserved = [this](std::string_view for_whom) {
        refuse("53300", fmt::format("remaining connection slots are reserved for {}", for_whom), {},
               "Raise max_client_connections in the [proxy] section of turnout.toml.");
        return false;
    };
    if (taken + settings.superuser_reserved_connections > settings.max_client_connections)
        return refuse_reserved("roles with the SUPERUSER attribute");
    const bool member =
        std::find(role.member_of.begin(), role.member_of.end(), "pg_use_reserved_connections") != role.member_of.end();
    if (!member && taken + settings.superuser_reserved_connections + settings.reserved_connections >
                       settings.max_client_connections)
        return refuse_reserved("roles with privileges of the \"pg_use_reserved_connections\" role");
    return true;
}

// ---------------------------------------------------------------------------------------------------- startup packet

Task<bool> Session::read_startup() {
    bool asked_tls = false, asked_gss = false;
    for (;;) {
        std::string packet;
        if (!client_.tls()) {
            const int first = co_await client_.peek();
            if (first < 0) co_return false;
            if (first == 0x16) {
                if (asked_tls || asked_gss) co_return false;
                const bool secured = co_await begin_tls();
                if (!secured) co_return false;
                if (!chose_alpn(client_.ssl())) {
                    // PostgreSQL's words; without ALPN this may be a client of something else, tricked here.
                    spdlog::info("direct TLS connection from {} without ALPN protocol negotiation", address_);
                    co_return false;
                }
                continue;
            }
        }
        packet.resize(4);
        bool ok = co_await client_.read_exactly(packet.data(), 4);
        if (!ok) co_return false;
        const auto length = boost::endian::load_big_u32(reinterpret_cast<const unsigned char*>(packet.data()));
        if (length >= 8 && length <= protocol::max_startup_length) {
            packet.resize(length);
            ok = co_await client_.read_exactly(packet.data() + 4, length - 4);
            if (!ok) co_return false;
        }
        auto classified = protocol::classify_first_packet(packet);
        if (std::holds_alternative<protocol::NeedsMore>(classified.packet)) {
            refuse("08P01", "invalid length of startup packet");
            co_return false;
        }
        if (auto* bad = std::get_if<protocol::BadStartup>(&classified.packet)) {
            refuse(bad->sqlstate, bad->message);
            co_return false;
        }
        if (std::holds_alternative<protocol::GSSENCRequest>(classified.packet)) {
            if (client_.tls() || !begin_request(asked_gss, "GSSAPI encryption")) co_return false;
            ok = co_await client_.write_all("N");
            if (!ok) co_return false;
            continue;
        }
        if (std::holds_alternative<protocol::SSLRequest>(classified.packet)) {
            if (client_.tls() || !begin_request(asked_tls, "SSL")) co_return false;
            const bool can = runtime_->server_tls && client_.family() != AF_UNIX;
            ok = co_await client_.write_all(can ? "S" : "N");
            if (ok && can) ok = co_await begin_tls();
            if (!ok) co_return false;
            continue;
        }
        if (auto* cancel = std::get_if<protocol::CancelRequest>(&classified.packet)) {
            std::string secret(cancel->secret);
            co_await serve_cancel_request(cancel->pid, std::move(secret));
            co_return false;
        }
        const auto& startup = std::get<protocol::StartupMessage>(classified.packet);
        if (runtime_->settings.tls.mode == control::TlsMode::require && !client_.tls() && client_.family() != AF_UNIX) {
            refuse("28000", "this proxy accepts TLS connections only", {}, "Set sslmode=require in the client.");
            co_return false;
        }
        const protocol::Negotiation negotiation = protocol::negotiate(startup);
        version_ = negotiation.version;
        std::string message;
        if (negotiation.send) protocol::append(message, negotiation);
        const bool usable = take_startup(startup);
        if (!usable) co_return false;
        ok = co_await client_.write_all(message);
        co_return ok;
    }
}

/// An SSLRequest or a GSSENCRequest has come. False: it may not, because it is the second, or because bytes lie behind
/// it that nobody has encrypted (CVE-2021-23214).
bool Session::begin_request(bool& asked, const char* name) {
    if (std::exchange(asked, true)) return false;
    if (unread_bytes(client_.socket()) == 0) return true;
    refuse("08P01", fmt::format("received unencrypted data after {} request", name),
           "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.");
    return false;
}

/// What the session will be. False: the client has been refused.
bool Session::take_startup(const protocol::StartupMessage& startup) {
    user_ = startup.user();
    database_ = startup.database();
    const auto replication = startup.replication();
    if (!replication) {
        refuse("22023",
               fmt::format("invalid value for parameter \"replication\": \"{}\"", *startup.find("replication")), {},
               "Valid values are: \"false\", 0, \"true\", 1, \"database\".");
        return false;
    }
    replication_ = *replication;
    startup_.add("user", user_);
    startup_.add("database", database_);
    for (const auto& parameter : startup.parameters) {
        if (parameter.name != "user" && parameter.name != "database") startup_.add(parameter.name, parameter.value);
    }
    return true;
}

Task<bool> Session::begin_tls() {
    if (!runtime_->server_tls) co_return false;
    const std::string error = co_await client_.accept_tls(runtime_->server_tls.get());
    if (!error.empty()) spdlog::info("TLS handshake with {} failed: {}", address_, error);
    co_return error.empty();
}

Task<void> Session::serve_cancel_request(std::int32_t pid, std::string secret) {
    auto target = worker_.shared().cancels.find(pid, secret);
    if (!target && runtime_->settings.console && worker_.shared().console.cancel) {
        worker_.shared().console.cancel(pid, std::move(secret));
        co_return;
    }
    if (!target || target.get() == this) co_return;
    // The target lives on its own worker; this connection stays open until the server has taken notice, as PostgreSQL's
    // does.
    auto done = std::make_shared<Signal>(worker_.context());
    Worker& mine = worker_;
    Worker& its = target->worker_;
    // It is let go there, too: this may be the last that holds it.
    its.post([&mine, &its, done, target = std::move(target)]() mutable {
        boost::asio::co_spawn(
            its.context(), [target = std::move(target)] { return target->cancel(); },
            [&mine, done](std::exception_ptr) { mine.post([done] { done->notify(); }); });
    });
    co_await done->wait();
}

Task<void> Session::cancel() {
    worker_.counters().cancels.add();
    if (closing_ || !current_ || refuse_held_statement()) co_return;
    client_cancelled_ = true;
    // Between the messages of a move nothing of the client's runs anywhere.
    if ((!busy_ && !streams_replication()) || asking_) co_return;
    auto backend = current_;
    if (backend->key.empty()) co_return;
    ++cancels_;
    co_await send_cancel(worker_.context(), backend->side, runtime_, backend->peer, backend->stream->tls(),
                         backend->pid, backend->key);
    if (--cancels_ == 0) cancel_ended_.notify();
}

// ---------------------------------------------------------------------------------------------------- first backend

Parameters Session::startup_for(const control::RoleFacts& role) const {
    Parameters startup = startup_;
    if (role.read_only && !says_read_only(startup)) startup.add("default_transaction_read_only", *role.read_only);
    return startup;
}

void Session::refuse_unreachable(std::string_view reason) {
    refuse("57P03", "the database server cannot be reached at present", reason, "Try again in a moment.");
}

/// Logs in on `side` with the value of default_transaction_read_only that the session would have without the fence. The
/// fence may be put up while the login is under way: so the question is asked again afterwards, and what was opened
/// under another answer is opened anew.
Task<BackendResult> Session::open_unfenced(Side side) {
    control::RoleFacts role;
    for (bool first = true;; first = false) {
        control::RoleAnswer answer = co_await look_up_role(side);
        if (auto* unknown = std::get_if<control::RoleUnknown>(&answer)) co_return LoginFailure{{}, unknown->message};
        control::RoleFacts now = std::move(std::get<control::RoleFacts>(answer));
        if (!first && now.read_only == role.read_only) break;
        role = std::move(now);
        opening_.reset();
        Parameters startup = startup_for(role);
        BackendResult result =
            co_await open_backend(worker_.context(), side, runtime_, std::move(startup), credentials_);
        if (std::holds_alternative<LoginFailure>(result)) co_return result;
        opening_ = std::move(std::get<std::shared_ptr<Backend>>(result));
    }
    co_return std::exchange(opening_, nullptr);
}

Task<bool> Session::open_first_backend() {
    for (;;) {
        // A login takes a moment, and what it does on the server (an ON LOGIN trigger) must not happen behind a
        // barrier: new ones wait at the gate, those under way count as busy. That wait is none of the client's doing.
        const auto left = login_timer_.expiry() - control::Clock::now();
        login_timer_.cancel();
        const bool may = co_await wait_for_permission();
        if (!may || !is_served()) co_return false;
        bound_login(left);
        const Side side = worker_.shared().gate.view().side;
        set_busy(true);
        transaction_ = control::Clock::now();
        BackendResult result = co_await open_unfenced(side);
        if (auto* opened = std::get_if<std::shared_ptr<Backend>>(&result)) {
            current_ = *opened;
            co_return !closing_;
        }
        set_busy(false);
        if (closing_) co_return false;
        if (worker_.shared().gate.view().side != side) continue;  // switched meanwhile: try the new side
        const auto& failure = std::get<LoginFailure>(result);
        spdlog::warn("no login for user \"{}\" from {}: {}", user_, address_, failure.reason);
        if (failure.refusal.empty()) {
            refuse_unreachable(failure.reason);
        } else {
            worker_.counters().logins_failed.add();
            client_.write(failure.refusal.data(), failure.refusal.size());
        }
        co_return false;
    }
}

/// AuthenticationOk and all that follows it up to the first ReadyForQuery.
Task<bool> Session::greet() {
    told_ = current_->parameters;
    traffic_ = &worker_.counters().of(replication_ == protocol::ReplicationKind::physical ? std::string() : database_);
    traffic_->assignments.add();
    for (const auto& [name, value] : told_) note_parameter(name, value);
    handed_out_pid_ = current_->pid;
    handed_out_secret_ = random_bytes(version_.minor >= 2 ? kLongSecret : protocol::min_cancel_secret);
    worker_.shared().cancels.add(handed_out_pid_, handed_out_secret_, weak_from_this());
    std::string hello;
    protocol::append_authentication_ok(hello);
    for (const auto& [name, value] : told_) protocol::append(hello, protocol::ParameterStatus{name, value});
    protocol::append(hello, protocol::BackendKeyData{handed_out_pid_, handed_out_secret_});
    hello += std::exchange(current_->notices, {});
    protocol::append(hello, protocol::ReadyForQuery{protocol::TransactionStatus::idle});
    read_in_background(current_);
    set_busy(false);
    set_phase(Phase::idle);
    asked_ = control::Clock::now();
    worker_.arm_later(shared_from_this());
    send_to_client(hello);
    if (!to_client_.empty()) co_return co_await flush_client();
    co_return client_.open();
}

}  // namespace turnout::proxy
