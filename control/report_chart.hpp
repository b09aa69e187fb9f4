// The pictures of a report, as SVG. Colours come from the page's style sheet by class. Pure.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>

namespace turnout::control {

/// The window's phases as bars on one axis of time, each from when it began: `phases` as in a switch's report. Empty if
/// there are none.
std::string window_chart(const boost::json::array& phases, double window_us);

/// Transactions a second, and sessions by state, over the time around the window: `timeline` as in a record. Empty if
/// there are fewer than two points.
std::string timeline_chart(const boost::json::array& timeline);

/// What each side has written, over the same time: `positions` as in a record. Empty if there are fewer than two
/// points.
std::string positions_chart(const boost::json::array& positions);

/// "210 µs", "1.18 ms", "3.2 s".
std::string duration_label(double us);

}  // namespace turnout::control
