// What goes wrong between control and a server, with what is needed to decide what to do about it.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "control/data_plane.hpp"

namespace turnout::control {

/// What is known of the statement that failed. Only `unknown` may have taken effect.
enum class Outcome {
    refused,   ///< the server answered ERROR: the statement's transaction did not happen
    not_sent,  ///< the connection could not be made, or was gone before a byte of the statement was sent
    unknown,   ///< sent, and no answer that decides: connection lost, deadline passed, backend ended (FATAL)
};

/// The only exception that PgConnection throws, besides boost::system::system_error(operation_aborted) when the calling
/// coroutine is cancelled. Holds no password: `statement` is redacted where a statement carries one.
class PgError : public std::runtime_error {
  public:
    struct Fields {
        Outcome outcome = Outcome::unknown;
        Side side = Side::blue;
        std::string database;
        std::string sqlstate;  ///< empty: not from the server
        std::string message;
        std::string detail;
        std::string hint;
        std::string statement;   ///< at most 200 bytes of it
        bool timed_out = false;  ///< the call's deadline passed
    };

    explicit PgError(Fields fields) : std::runtime_error(compose(fields)), fields_(std::move(fields)) {}

    const Fields& fields() const { return fields_; }
    Outcome outcome() const { return fields_.outcome; }
    bool refused() const { return fields_.outcome == Outcome::refused; }
    std::string_view sqlstate() const { return fields_.sqlstate; }
    Side side() const { return fields_.side; }

  private:
    /// One line: `blue/app: message (sqlstate) …`.
    static std::string compose(const Fields& fields);
    Fields fields_;
};

}  // namespace turnout::control
