// The end of a version change: `finish` keeps the new side, `abort` the old one. Both may be repeated, go as far as the
// reachable sides allow, and say what is left.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "control/data_plane.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// Something of turnout's that could not be removed.
struct Leftover {
    Side side = Side::blue;
    std::string object;  ///< "slot turnout_to_green_16384"
    std::string remedy;  ///< the statement that removes it, and in which database
};

struct DismantleReport {
    std::vector<std::string> done;    ///< sentences
    std::vector<Leftover> leftovers;  ///< empty: all gone
};

/// Removes every subscription, slot, publication and schema of turnout's on both sides and lifts the fence of `active`,
/// which is left alone and clean but for one row of its journal (who is active). The other side stays fenced and
/// retired: its data is old from here on. It can be unfenced by hand; the statement is in `done`.
asio::awaitable<DismantleReport> finish(const Cluster& cluster, Side active);

/// Removes everything of turnout's on both sides, the journals included, and gives every fenced database its former
/// setting back, so that `active` is as it was before the first sync. The copies on the other side stay; it stays
/// fenced no longer.
asio::awaitable<DismantleReport> abort(const Cluster& cluster, Side active);

/// What of turnout's there is, on one side, in the journal database and in the switched ones. For `abort`'s end and
/// tests: "subscription turnout_to_green in app".
asio::awaitable<std::vector<std::string>> list_objects(const Cluster& cluster, Side side);

}  // namespace turnout::control
