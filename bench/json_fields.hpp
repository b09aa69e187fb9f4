// Reading the reports that turnout prints, leniently: a field that is missing is 0 or "?".
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::bench {

std::int64_t integer(const boost::json::object& object, std::string_view key);
std::string text(const boost::json::object& object, std::string_view key);
/// The object under a key; an empty one where there is none.
boost::json::object member(const boost::json::object& object, std::string_view key);
/// The time of a phase of a switch's report; -1 where it has no such phase.
std::int64_t phase_us(const boost::json::object& report, std::string_view name);
/// The names of a report's phases, in order.
std::vector<std::string> phase_names(const boost::json::object& report);

}  // namespace turnout::bench
