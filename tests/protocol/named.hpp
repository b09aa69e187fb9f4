/// \file
/// Cases of a table that carry their own names.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace turnout::test {

/// For INSTANTIATE_TEST_SUITE_P: the case's `name`.
inline constexpr auto name_of = [](const auto& tested) { return std::string{tested.param.name}; };

}  // namespace turnout::test
