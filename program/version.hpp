#pragma once

#include <string_view>

namespace turnout::program {

/// The project's version, as the build gives it.
inline constexpr std::string_view kVersion = TURNOUT_VERSION;

}  // namespace turnout::program
