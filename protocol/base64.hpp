/// \file
/// Base64 as SCRAM wants it: the standard alphabet, padded, nothing else.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace turnout::protocol {

/// Encodes bytes, with padding.
[[nodiscard]] std::string to_base64(std::string_view bytes);

/// Decodes; nothing if the text has characters outside of the alphabet, wrong padding, or bits behind the last byte.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace turnout::protocol
