// Base64 (RFC 4648), as Secrets and kubeconfigs carry bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace turnout::kubernetes {

std::string to_base64(std::string_view bytes);
/// Nothing if the text is no base64.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace turnout::kubernetes
