/// \file
/// Shorthand for wire bytes in tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace turnout::test {

/// A literal with zero bytes in it: "a\0b"_b.
inline std::string operator""_b(const char* text, std::size_t size) { return {text, size}; }

/// The body of the only message in `wire`, which must have a type and the right length.
std::string body_of(const std::string& wire);

/// A message from its type and body.
std::string message(char type, std::string_view body);

}  // namespace turnout::test
