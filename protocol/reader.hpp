/// \file
/// Reading a message's body field by field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace turnout::protocol {

/// Why some bytes are not the message they claim to be. Empty means that they are.
/// `if (auto error = parse(body, bind)) refuse(error.what);`
struct WireError {
    const char* what = nullptr;  ///< a literal: an English phrase without a full stop; null if nothing is wrong

    /// True if something is wrong.
    [[nodiscard]] explicit constexpr operator bool() const noexcept { return what != nullptr; }
};

/// A cursor over a body. The first error sticks: later reads give zeros and empty views, so a parser reads as a plain
/// list of fields and asks once, by finish(). It never allocates, never throws and never reads outside its bytes.
/// Views it returns live as long as the bytes it was given.
class Reader {
  public:
    explicit Reader(std::string_view bytes) noexcept : left_(bytes) {}

    /// One byte, or 0 after an error.
    [[nodiscard]] char byte() noexcept;
    /// A 16-bit integer in network order, or 0 after an error.
    [[nodiscard]] std::int16_t int16() noexcept;
    /// A 16-bit count in network order (0 to 65535), or 0 after an error.
    [[nodiscard]] std::uint16_t uint16() noexcept;
    /// A 32-bit integer in network order, or 0 after an error.
    [[nodiscard]] std::int32_t int32() noexcept;
    /// A 32-bit unsigned integer (an OID) in network order, or 0 after an error.
    [[nodiscard]] std::uint32_t uint32() noexcept;
    /// A zero-terminated string without its terminator; an error if there is none.
    [[nodiscard]] std::string_view string() noexcept;
    /// Exactly `count` bytes; an error if there are fewer.
    [[nodiscard]] std::string_view bytes(std::size_t count) noexcept;
    /// All bytes that are left.
    [[nodiscard]] std::string_view rest() noexcept;

    /// Number of bytes not yet read.
    [[nodiscard]] std::size_t left() const noexcept { return left_.size(); }
    /// Whether nothing went wrong so far.
    [[nodiscard]] bool ok() const noexcept { return error_.what == nullptr; }
    /// Records an error, unless one is recorded already. `what` must be a literal.
    void fail(const char* what) noexcept;
    /// The end of a message: bytes that are left are an error. Returns the first error, if any.
    [[nodiscard]] WireError finish() noexcept;
    /// The first error, if any; bytes may be left.
    [[nodiscard]] WireError error() const noexcept { return error_; }

  private:
    std::string_view left_;
    WireError error_;
};

}  // namespace turnout::protocol
