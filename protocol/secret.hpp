/// \file
/// Memory for secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::protocol {

/// Bytes that are as good as a login: overwritten with zeros when they go (OPENSSL_cleanse), moved but never copied by
/// accident, and without any operator that prints them.
class SecretBytes {
  public:
    SecretBytes() = default;
    /// Zeros, to be filled.
    explicit SecretBytes(std::size_t size) : bytes_(size) {}
    /// A copy; the caller wipes the original.
    explicit SecretBytes(std::span<const std::uint8_t> bytes) : bytes_(bytes.begin(), bytes.end()) {}
    explicit SecretBytes(std::string_view text);
    SecretBytes(SecretBytes&& other) noexcept;
    SecretBytes& operator=(SecretBytes&& other) noexcept;
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;
    ~SecretBytes() { clear(); }

    /// A copy made on purpose.
    [[nodiscard]] SecretBytes clone() const { return SecretBytes{std::span<const std::uint8_t>{bytes_}}; }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
    [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
    [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::span<std::uint8_t> bytes() noexcept { return bytes_; }
    /// The bytes as text, for those who must put them on the wire. Lives as long as this.
    [[nodiscard]] std::string_view reveal() const noexcept;
    /// Overwrites and empties.
    void clear() noexcept;

  private:
    std::vector<std::uint8_t> bytes_;
};

/// Overwrites a string with zeros and empties it: for buffers that a secret passed through.
void wipe(std::string& text) noexcept;

/// Whether two byte strings are equal, in a time that depends on their lengths only.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace turnout::protocol
