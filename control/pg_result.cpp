#include "control/pg_result.hpp"

#include <fmt/format.h>

namespace turnout::control {

std::int64_t PgResult::affected() const {
    if (!result_) return 0;
    const std::string_view text = PQcmdTuples(result_.get());
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

void PgResult::bad(int row, int column, const char* wanted) const {
    throw std::runtime_error(fmt::format("the server's answer has {} where {} belongs (row {}, column {})",
                                         is_null(row, column) ? "NULL" : fmt::format("\"{}\"", get(row, column)),
                                         wanted, row, column));
}

}  // namespace turnout::control
