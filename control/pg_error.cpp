#include "control/pg_error.hpp"

#include <fmt/format.h>

namespace turnout::control {

std::string PgError::compose(const Fields& fields) {
    std::string text(turnout::name(fields.side));
    if (!fields.database.empty()) text += "/" + fields.database;
    text += ": " + fields.message;
    if (!fields.sqlstate.empty()) text += fmt::format(" ({})", fields.sqlstate);
    if (!fields.detail.empty()) text += ". " + fields.detail;
    if (!fields.hint.empty()) text += ". " + fields.hint;
    if (!fields.statement.empty()) text += fmt::format(" [{}]", fields.statement);
    return text;
}

}  // namespace turnout::control
