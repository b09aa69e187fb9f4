// What is asked of a switch, and the knobs that decide how patient it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/config.hpp"
#include "control/data_plane.hpp"

namespace turnout::control {

/// `rehearse` goes through the same steps, stops before the claim, ends nobody and sets no sequence.
enum class SwitchKind { forward, rollback, rehearse };

/// How patient a switch is. None of these changes what is safe.
struct SwitchPatience {
    Milliseconds first_back_off{50};  ///< after a missed attempt; doubled by each further one
    Milliseconds longest_back_off{2000};
    Milliseconds between_looks{10};  ///< while a good moment is awaited
    /// Not behind by more than this; generous, because WAL that the streams do not carry counts here, too.
    std::int64_t lag_bytes = 16 * 1024 * 1024;
    Milliseconds lull{600};             ///< the gate closes when few are busy, or after so long
    Milliseconds lag_time{50};          ///< nor by this, nor by half of max_pause: a marker row is sent and awaited
    Milliseconds activation_grace{20};  ///< an activation is waited for at least this long before it is cleared up
    Milliseconds clear_up{1000};        ///< one try of void_or_obey; the watchdog is fed between them
    Milliseconds clear_up_pause{20};
    Milliseconds undo_pause{100};      ///< between two tries of the same undo
    Milliseconds undo{30000};          ///< what is not undone by then is named in the report
    Milliseconds before_settling{25};  ///< after the opening, while those who were held go on
    Milliseconds settle{60000};  ///< a switch that has not settled by then is reported as it is, and settled later
};

/// One switch. Numbers are the caller's: `generation` is free in both journals, `attempt` is greater than every one
/// that the gate and the standby's register have seen.
struct SwitchRequest {
    SwitchKind kind = SwitchKind::forward;
    Side from = Side::blue;
    std::int64_t served = 1;      ///< the generation of `from`
    std::int64_t generation = 2;  ///< the first one to try
    std::uint64_t attempt = 1;    ///< the first one to try
    std::vector<std::string> databases;
    Milliseconds max_pause{100};
    Milliseconds deadline{60000};  ///< from the start
    PinnedPolicy pinned = PinnedPolicy::wait;
    LongTransactions long_transactions = LongTransactions::wait;
    Bypassing bypassing = Bypassing::refuse;
    SwitchPatience patience;

    Side to() const { return other(from); }
    bool rehearsal() const { return kind == SwitchKind::rehearse; }
};

}  // namespace turnout::control
