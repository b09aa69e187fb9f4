// What the proxy is asked for, and when again; where clients are led.
#include <chrono>
#include <utility>

#include "control/duration.hpp"
#include "control/kubernetes/reconciler_step.hpp"

namespace turnout::kubernetes {

using control::duration_text;

namespace {

std::string quoted(const std::string& text) {
    std::string result = "'";
    for (const char c : text) result.append(c == '\'' ? "''" : std::string(1, c));
    return result + "'";
}

}  // namespace

void Step::take_request() {
    Request& request = status().request;
    if (request.cutover != name(spec_.cutover)) request = {std::string(name(spec_.cutover)), false, 0, ""};
    const bool undone = !seen_.running && seen_.last && !seen_.last->undone.empty() && seen_.last->window &&
                        request.turnout_generation != 0 && seen_.last->window->generation > request.turnout_generation;
    if (undone) request.outcome = "rolled back by itself: " + seen_.last->undone;
    // The generation has moved since it was begun: it was carried out, even if nobody was left to hear the answer.
    if (!request.done && request.turnout_generation != 0 && seen_.turnout &&
        seen_.turnout->generation > request.turnout_generation)
        request.done = true;
    if (spec_.cutover != Cutover::abort) status().kept.clear();
}

/// False: it has just failed, and it is not time to try again.
bool Step::carry_out(Verb verb) {
    const VerbResult* const last = failed(verb);
    if (last == nullptr) return true;
    const std::string what = fmt::format("turnout {}: {}", name(verb), last->message);
    ready(Truth::no, "VerbFailed", what);
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(seen_.now - last->ended);
    const auto wait = back_off(last->failures);
    if (waited >= wait) return true;
    again(wait - waited);
    return false;
}

void Step::run(Verb verb, std::string command) {
    act({.kind = ActionKind::run_verb, .verb = verb, .command = std::move(command)});
    again(kSteady);
}

/// True when the Service leads there already, or there is none to lead.
bool Step::move_traffic(Traffic to) {
    if (seen_.traffic == Traffic::none || seen_.traffic == to) return true;
    if (seen_.traffic == Traffic::missing) {
        ready(Truth::no, "ServiceMissing",
              "spec.trafficService: there is no Service '" + spec_.traffic_service + "': make it, or leave it out");
        again(kAskAgain);
        return false;
    }
    act({.kind = ActionKind::move_traffic, .to = to});
    again(kSoon);
    return false;
}

std::string Step::switch_command(std::string_view verb) const {
    std::string command(verb);
    command += " MAX_PAUSE " + quoted(spec_.max_pause) + " DEADLINE " + quoted(spec_.deadline) + " PINNED " +
               quoted(spec_.pinned) + " LONG_TRANSACTIONS " + quoted(spec_.long_transactions);
    if (spec_.bypassing == "end") command += " END_BYPASSING";
    if (spec_.verify) command += " VERIFY";
    if (verb == "SWITCH" && !spec_.rollback_if.empty())
        command += " WATCH " + quoted(duration_text(spec_.watch)) + " ROLLBACK_IF " + quoted(spec_.rollback_if);
    return command;
}

}  // namespace turnout::kubernetes
