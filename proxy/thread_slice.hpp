// How soon the scheduler lets a thread go on that has been woken.
#pragma once

namespace turnout::proxy {

/// Asks for slices of 100 µs for the calling thread, or for the usual ones again. A Linux from 6.12 on (EEVDF with
/// custom slices, sched_setattr(2)) lets a woken thread with a short slice go before one that runs with a long one;
/// older ones take no notice. Niceness and policy stay as they are; what is refused is left.
void shorten_slices(bool on);

}  // namespace turnout::proxy
