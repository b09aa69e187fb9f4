#include "control/conninfo.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <memory>

#include "control/names.hpp"
#include "control/secrets.hpp"

namespace turnout::control {

namespace {

struct FreeOptions {
    void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

bool is_secret(std::string_view keyword) { return keyword == "password" || keyword == "sslpassword"; }

std::string quoted(std::string_view value) {
    std::string text = "'";
    for (const char c : value) {
        if (c == '\'' || c == '\\') text += '\\';
        text += c;
    }
    return text + "'";
}

/// What control's sessions must not inherit from the role, the database, or the server.
constexpr std::string_view kSessionSettings =
    "-c default_transaction_read_only=off -c search_path=pg_catalog -c statement_timeout=0 -c lock_timeout=0"
    " -c idle_in_transaction_session_timeout=0 -c default_transaction_isolation=read\\ committed"
    " -c default_transaction_deferrable=off -c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC"
    " -c standard_conforming_strings=on -c bytea_output=hex -c extra_float_digits=3 -c row_security=off"
    " -c client_min_messages=notice -c plan_cache_mode=force_generic_plan -c jit=off";

}  // namespace

Conninfo Conninfo::parse(std::string_view text) {
    char* complaint = nullptr;
    const std::unique_ptr<PQconninfoOption, FreeOptions> options(
        PQconninfoParse(std::string(text).c_str(), &complaint));
    if (!options) {
        std::string message = complaint ? complaint : "out of memory";
        PQfreemem(complaint);
        while (!message.empty() && message.back() == '\n') message.pop_back();
        // libpq quotes what it could not read, which may be part of a password.
        const auto quote = message.find('"');
        if (quote != std::string::npos && message.find("option") == std::string::npos) message.resize(quote);
        throw ConninfoError("it is not a libpq conninfo: " + hide_passwords(message));
    }
    Conninfo conninfo;
    for (const PQconninfoOption* option = options.get(); option->keyword; ++option) {
        if (option->val) conninfo.parameters_.emplace_back(option->keyword, option->val);
    }
    if (!conninfo.get("dbname").empty()) {
        throw ConninfoError("it names the database \"" + std::string(conninfo.get("dbname")) +
                            "\": leave dbname out, the databases are listed in [switch] databases");
    }
    if (conninfo.get("host").empty() && conninfo.get("hostaddr").empty()) {
        throw ConninfoError("it has no host: write host=… (a name, an address, or a socket's directory)");
    }
    return conninfo;
}

std::string_view Conninfo::get(std::string_view keyword) const {
    for (const auto& [key, value] : parameters_) {
        if (key == keyword) return value;
    }
    return {};
}

Conninfo Conninfo::with(std::string_view keyword, std::string_view value) const {
    Conninfo copy = *this;
    for (auto& [key, old] : copy.parameters_) {
        if (key == keyword) {
            old = value;
            return copy;
        }
    }
    copy.parameters_.emplace_back(keyword, value);
    return copy;
}

Conninfo Conninfo::with_default(std::string_view keyword, std::string_view value) const {
    return get(keyword).empty() ? with(keyword, value) : *this;
}

Conninfo Conninfo::for_control(std::string_view database, bool synchronous_commit) const {
    std::string options(get("options"));
    if (!options.empty()) options += ' ';
    options += kSessionSettings;
    options += synchronous_commit ? " -c synchronous_commit=on" : " -c synchronous_commit=off";
    return with("dbname", database)
        .with("options", options)
        .with("application_name", names::kApplicationName)
        .with("client_encoding", "UTF8")
        .with_default("keepalives_idle", "10")
        .with_default("keepalives_interval", "5")
        .with_default("keepalives_count", "3");
}

std::string Conninfo::text() const {
    std::string text;
    for (const auto& [key, value] : parameters_) {
        if (!text.empty()) text += ' ';
        text += key + "=" + quoted(value);
    }
    return text;
}

std::string Conninfo::redacted() const {
    std::string text;
    for (const auto& [key, value] : parameters_) {
        if (!text.empty()) text += ' ';
        text += key + "=" + (is_secret(key) ? "********" : quoted(value));
    }
    return text;
}

Conninfo::Parameters Conninfo::environment() const {
    // libpq's own table knows each parameter's variable.
    Parameters variables;
    const std::unique_ptr<PQconninfoOption, FreeOptions> options(PQconndefaults());
    for (const PQconninfoOption* option = options.get(); option && option->keyword; ++option) {
        const std::string_view value = get(option->keyword);
        if (option->envvar && !value.empty()) variables.emplace_back(option->envvar, value);
    }
    return variables;
}

}  // namespace turnout::control
