// A position in a server's write-ahead log, as PostgreSQL's pg_lsn has it.
#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace turnout::control {

/// 64 bits, ordered; 0 is "no position" (PostgreSQL's InvalidXLogRecPtr). Positions of two servers must not be
/// compared.
class Lsn {
  public:
    constexpr Lsn() = default;
    constexpr explicit Lsn(std::uint64_t value) : value_(value) {}

    /// Reads "16/B374D848". nullopt: not a position.
    static std::optional<Lsn> parse(std::string_view text) {
        const auto slash = text.find('/');
        if (slash == std::string_view::npos) return std::nullopt;
        const auto high = hex(text.substr(0, slash));
        const auto low = hex(text.substr(slash + 1));
        if (!high || !low) return std::nullopt;
        return Lsn((static_cast<std::uint64_t>(*high) << 32U) | *low);
    }

    constexpr std::uint64_t value() const { return value_; }
    constexpr bool valid() const { return value_ != 0; }

    /// As PostgreSQL prints it: upper case, no leading zeros.
    std::string text() const {
        char buffer[20];
        char* end = buffer + sizeof buffer;
        char* at = std::to_chars(buffer, end, value_ >> 32U, 16).ptr;
        *at++ = '/';
        at = std::to_chars(at, end, value_ & 0xFFFFFFFFU, 16).ptr;
        std::string result(buffer, at);
        for (char& c : result) {
            if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
        }
        return result;
    }

    friend constexpr auto operator<=>(Lsn, Lsn) = default;
    /// Bytes from `b` to `a`; negative if `a` is behind.
    friend constexpr std::int64_t operator-(Lsn a, Lsn b) { return static_cast<std::int64_t>(a.value_ - b.value_); }

  private:
    static std::optional<std::uint32_t> hex(std::string_view text) {
        std::uint32_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
        if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
        return value;
    }

    std::uint64_t value_ = 0;
};

}  // namespace turnout::control
