// A side's conninfo as the configuration gives it, and what is made of it: control's own connections, the text a
// subscription holds, the environment of a child process. (What sessions need of it: server_address.hpp.)
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace turnout::control {

/// The conninfo cannot be used; the message says why and what to write instead, and holds no password.
class ConninfoError : public std::invalid_argument {
  public:
    using std::invalid_argument::invalid_argument;
};

/// A list of libpq's parameters (keyword = value or URI form). A value type.
class Conninfo {
  public:
    using Parameters = std::vector<std::pair<std::string, std::string>>;

    /// Throws ConninfoError: what libpq says about the syntax; no host; a dbname (the list `databases` names them).
    static Conninfo parse(std::string_view text);

    /// The value, or empty.
    std::string_view get(std::string_view keyword) const;
    /// A copy with the parameter set (replaced where it stood).
    Conninfo with(std::string_view keyword, std::string_view value) const;
    /// A copy with the parameter set unless it is set already.
    Conninfo with_default(std::string_view keyword, std::string_view value) const;
    const Parameters& parameters() const { return parameters_; }

    /// For one of control's own sessions on a database: application_name, client_encoding, keepalives, and the settings
    /// that free it of the fence and of the role's and the database's own (search_path, read-only, timeouts, DateStyle
    /// …). `synchronous_commit`: on where a commit must last, off where the next flush may take it along.
    Conninfo for_control(std::string_view database, bool synchronous_commit = true) const;

    /// As keyword = 'value' pairs, password included: for libpq and CREATE SUBSCRIPTION only, never for a log.
    std::string text() const;
    /// The same with the password (and sslpassword) as ********: for people.
    std::string redacted() const;

    /// libpq's environment variables (PGHOST, PGPASSWORD, …) for a child process, so that nothing stands in its
    /// arguments.
    Parameters environment() const;

  private:
    Parameters parameters_;
};

}  // namespace turnout::control
