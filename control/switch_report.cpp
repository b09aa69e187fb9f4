#include "control/switch_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "control/switch_words.hpp"

namespace turnout::control {

namespace json = boost::json;

namespace {

/// In the window phases overlap, so it matters when each began.
json::array phases_json(const std::vector<TimedPhase>& phases, bool in_window) {
    json::array array;
    for (const TimedPhase& phase : phases) {
        json::object object{{"name", phase.name}, {"us", phase.took.count()}};
        if (in_window) object["began_us"] = phase.began.count();
        array.push_back(std::move(object));
    }
    return array;
}

json::array strings_json(const std::vector<std::string>& strings) {
    return json::array(strings.begin(), strings.end());
}

json::object stalls_json(const std::vector<Microseconds>& stalls) {
    return {{"p50", percentile(stalls, 50).count()},
            {"p99", percentile(stalls, 99).count()},
            {"max", percentile(stalls, 100).count()}};
}

json::object sessions_json(const MoveReport& sessions) {
    return {{"total", sessions.total},
            {"held", sessions.held},
            {"moved", sessions.moved},
            {"ended", sessions.ended},
            {"recovered", sessions.recovered},
            {"failed", sessions.failed},
            {"left_behind", sessions.left_behind}};
}

json::array missed_json(const std::vector<MissedAttempt>& missed) {
    json::array array;
    for (const MissedAttempt& attempt : missed) {
        array.push_back({{"attempt", attempt.attempt},
                         {"why", attempt.why},
                         {"waited_for", strings_json(attempt.waited_for)},
                         {"closed_us", attempt.closed.count()}});
    }
    return array;
}

json::array strays_json(const std::vector<StrayNote>& strays) {
    json::array array;
    for (const StrayNote& stray : strays) array.push_back({{"database", stray.database}, {"text", stray.text}});
    return array;
}

void line(std::string& text, std::string_view label, std::string_view value) {
    text += fmt::format("  {:<12} {}\n", label, value);
}

void phase_lines(std::string& text, std::string_view label, const std::vector<TimedPhase>& phases) {
    std::string all;
    for (const TimedPhase& phase : phases) {
        all += fmt::format("{}{} {}", all.empty() ? "" : ", ", phase.name, words::span(phase.took));
    }
    if (!all.empty()) line(text, label, all);
}

void list_lines(std::string& text, std::string_view label, const std::vector<std::string>& entries) {
    for (const std::string& entry : entries) {
        line(text, &entry == &entries.front() ? label : std::string_view(), entry);
    }
}

std::string headline(const SwitchReport& report) {
    if (report.window && report.outcome == SwitchOutcome::rehearsed) {
        return fmt::format("rehearsed: the window from {} to {} would have been near {}\n", turnout::name(report.from),
                           turnout::name(report.to), words::span(*report.window));
    }
    if (report.window) {
        return fmt::format("{}: {} to {}, generation {}, window {}\n", name(report.outcome), turnout::name(report.from),
                           turnout::name(report.to), report.generation, words::span(*report.window));
    }
    return fmt::format("{}: {}\n", name(report.outcome), report.message);
}

}  // namespace

std::string_view name(SwitchOutcome outcome) {
    switch (outcome) {
        case SwitchOutcome::switched: return "switched";
        case SwitchOutcome::rolled_back: return "rolled_back";
        case SwitchOutcome::rehearsed: return "rehearsed";
        case SwitchOutcome::refused: return "refused";
        case SwitchOutcome::given_up: return "given_up";
        case SwitchOutcome::uncertain: return "uncertain";
    }
    return "uncertain";
}

ExitStatus SwitchReport::exit_status() const {
    switch (outcome) {
        case SwitchOutcome::switched:
        case SwitchOutcome::rolled_back:
        case SwitchOutcome::rehearsed: return ExitStatus::done;
        case SwitchOutcome::refused:
        case SwitchOutcome::given_up: return ExitStatus::refused;
        case SwitchOutcome::uncertain: return ExitStatus::needs_person;
    }
    return ExitStatus::needs_person;
}

Microseconds percentile(std::vector<Microseconds> values, unsigned percent) {
    if (values.empty()) return Microseconds{0};
    std::sort(values.begin(), values.end());
    const std::size_t rank = (values.size() * percent + 99) / 100;
    return values[std::max<std::size_t>(rank, 1) - 1];
}

json::object to_json(const SwitchReport& report) {
    json::object object{
        {"outcome", name(report.outcome)},
        {"from", turnout::name(report.from)},
        {"to", turnout::name(report.to)},
        {"generation", report.generation},
        {"attempts", report.attempts},
        {"window_us", report.window ? json::value(report.window->count()) : json::value(nullptr)},
        {"phases", phases_json(report.phases, true)},
        {"stall_us", stalls_json(report.sessions.stalls)},
        {"sessions", sessions_json(report.sessions)},
        {"preparation", phases_json(report.preparation, false)},
        {"settle_us", report.settle.count()},
        {"missed", missed_json(report.missed)},
        {"cleared_up", report.cleared_up},
        {"clearing_up_us", report.clearing_up.count()},
        {"not_armed", strings_json(report.not_armed)},
        {"stray_transactions", report.stray_transactions},
        {"strays", strays_json(report.strays)},
        {"problems", strings_json(report.problems)},
        {"left_over", strings_json(report.left_over)},
        {"message", report.message},
        {"hint", report.hint},
    };
    return object;
}

std::string to_text(const SwitchReport& report) {
    std::string text = headline(report);
    phase_lines(text, "window", report.phases);
    phase_lines(text, "before", report.preparation);
    if (report.settle.count() > 0) line(text, "settled", words::span(report.settle));
    const MoveReport& sessions = report.sessions;
    if (sessions.total > 0) {
        line(text, "sessions",
             fmt::format("{} in all, {} held, {} moved, {} ended, {} recovered, {} failed, {} left behind",
                         sessions.total, sessions.held, sessions.moved, sessions.ended, sessions.recovered,
                         sessions.failed, sessions.left_behind));
    }
    if (!sessions.stalls.empty()) {
        line(text, "stall",
             fmt::format("p50 {}, p99 {}, longest {}", words::span(percentile(sessions.stalls, 50)),
                         words::span(percentile(sessions.stalls, 99)), words::span(percentile(sessions.stalls, 100))));
    }
    for (const MissedAttempt& attempt : report.missed) {
        line(text, "missed", fmt::format("attempt {}: {}", attempt.attempt, attempt.why));
        list_lines(text, "", attempt.waited_for);
    }
    if (report.cleared_up > 0) {
        line(text, "cleared up",
             fmt::format("{} unknown outcome(s), sessions waited {} for it", report.cleared_up,
                         words::span(report.clearing_up)));
    }
    list_lines(text, "not armed", report.not_armed);
    if (report.stray_transactions > 0) {
        line(text, "strays", fmt::format("{} transactions on the old side, never merged", report.stray_transactions));
        for (const StrayNote& stray : report.strays) line(text, "", fmt::format("{}: {}", stray.database, stray.text));
    }
    list_lines(text, "problems", report.problems);
    list_lines(text, "left over", report.left_over);
    if (!report.hint.empty()) line(text, "hint", report.hint);
    return text;
}

}  // namespace turnout::control
