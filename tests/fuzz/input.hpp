// What libFuzzer gives, taken apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace turnout::fuzz {

/// Reads choices off the front of an input. Past its end everything is 0 or empty. Views live as long as the input.
class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

    bool empty() const { return rest_.empty(); }
    std::uint8_t byte() {
        if (rest_.empty()) return 0;
        const auto value = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }
    /// A piece whose length, two bytes, stands in front of it.
    std::string_view piece() {
        const std::size_t high = byte();
        const std::string_view taken = rest_.substr(0, high << 8U | byte());
        rest_.remove_prefix(taken.size());
        return taken;
    }
    std::string_view rest() const { return rest_; }

  private:
    std::string_view rest_;
};

/// Ends the program, so that the fuzzer keeps the input.
inline void must(bool holds) {
    if (!holds) std::abort();
}

}  // namespace turnout::fuzz
