// A page of 127.0.0.1, as text.
#pragma once

#include <cstdint>
#include <string>

namespace turnout::integration {

/// The whole answer, with its head; empty if nobody answers.
std::string http_get(std::uint16_t port, const std::string& path);

}  // namespace turnout::integration
