// One statement's result. Owns libpq's; views into it live as long as it does.
#pragma once

#include <libpq-fe.h>

#include <charconv>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "control/lsn.hpp"

namespace turnout::control {

/// Rows of text values. Movable; indexes are checked by libpq only (out of range reads as an empty value).
class PgResult {
  public:
    PgResult() = default;
    explicit PgResult(PGresult* result) : result_(result) {}

    int rows() const { return result_ ? PQntuples(result_.get()) : 0; }
    int columns() const { return result_ ? PQnfields(result_.get()) : 0; }
    bool empty() const { return rows() == 0; }

    /// Valid until the result is destroyed; empty for NULL.
    std::string_view get(int row, int column) const {
        return {PQgetvalue(result_.get(), row, column),
                static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
    }
    bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }

    /// The value as T: an integer type, bool, double, std::string or Lsn. Throws std::runtime_error if it is none (NULL
    /// too, except for std::string).
    template <class T>
    T as(int row, int column) const;

    /// As `as`, with NULL as nullopt.
    template <class T>
    std::optional<T> maybe(int row, int column) const {
        if (is_null(row, column)) return std::nullopt;
        return as<T>(row, column);
    }

    /// Rows that INSERT, UPDATE, DELETE or MERGE touched (SELECT: returned); 0 for others.
    std::int64_t affected() const;
    /// The command tag, for example "UPDATE 1".
    std::string_view tag() const { return result_ ? PQcmdStatus(result_.get()) : ""; }

  private:
    struct Clear {
        void operator()(PGresult* result) const { PQclear(result); }
    };
    [[noreturn]] void bad(int row, int column, const char* wanted) const;

    std::unique_ptr<PGresult, Clear> result_;
};

template <class T>
T PgResult::as(int row, int column) const {
    const std::string_view text = get(row, column);
    if constexpr (std::is_same_v<T, std::string>) {
        return std::string(text);
    } else if constexpr (std::is_same_v<T, bool>) {
        if (text == "t") return true;
        if (text == "f") return false;
        bad(row, column, "a boolean");
    } else if constexpr (std::is_same_v<T, Lsn>) {
        if (const auto lsn = Lsn::parse(text)) return *lsn;
        bad(row, column, "a WAL position");
    } else {
        static_assert(std::is_arithmetic_v<T>);
        T value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (text.empty() || error != std::errc{} || end != text.data() + text.size()) bad(row, column, "a number");
        return value;
    }
}

}  // namespace turnout::control
