#include "control/report.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>

namespace turnout::control {
namespace {

namespace json = boost::json;

json::array strings(const std::vector<std::string>& values) {
    json::array array;
    for (const std::string& value : values) array.emplace_back(value);
    return array;
}

std::string joined(const std::vector<std::string>& values, std::string_view separator) {
    std::string text;
    for (const std::string& value : values) text.append(text.empty() ? "" : separator).append(value);
    return text;
}

json::object finding_json(const Finding& finding) {
    return {{"check", finding.check},       {"severity", name(finding.severity)},
            {"database", finding.database}, {"objects", strings(finding.objects)},
            {"sentence", finding.sentence}, {"remedy", finding.remedy}};
}

std::string_view label(Severity severity) {
    switch (severity) {
        case Severity::pass: return "PASS";
        case Severity::warn: return "WARN";
        case Severity::refuse: break;
    }
    return "FAIL";
}

/// "FAIL  replica_identity  app: sentence" and what belongs to it, below the sentence.
std::string finding_text(const Finding& finding, std::size_t width) {
    const std::string below(width + 8, ' ');
    std::string text = fmt::format("{}  {:<{}}  {}{}", label(finding.severity), finding.check, width,
                                   finding.database.empty() ? "" : finding.database + ": ", finding.sentence);
    while (text.ends_with(' ')) text.pop_back();
    text += "\n";
    if (!finding.objects.empty()) text += below + "objects: " + joined(finding.objects, ", ") + "\n";
    if (!finding.remedy.empty() && finding.severity != Severity::pass)
        text += below + "remedy:  " + finding.remedy + "\n";
    return text;
}

}  // namespace

Answer check_answer(const PreflightReport& report, PreflightStage stage) {
    json::array findings;
    Answer answer;
    answer.table.columns = {{"severity"}, {"check"}, {"object"}, {"message"}, {"remedy"}};
    std::size_t passed = 0;
    std::size_t width = 0;
    for (const Finding& finding : report.findings) width = std::max(width, finding.check.size());
    for (const Finding& finding : report.findings) {
        findings.push_back(finding_json(finding));
        if (finding.severity == Severity::pass) ++passed;
        answer.text += finding_text(finding, width);
        std::string object = finding.database;
        if (!finding.objects.empty()) object += (object.empty() ? "" : ": ") + joined(finding.objects, ", ");
        answer.table.rows.push_back(
            {std::string(name(finding.severity)), finding.check, object, finding.sentence, finding.remedy});
    }
    const bool refused = report.refused();
    const bool before_sync = stage == PreflightStage::before_sync;
    answer.text += fmt::format("{} of {} checks passed; {}\n", passed, report.findings.size(),
                               refused ? "what fails has to be mended first" : "nothing stands in the way");
    answer.json = json::object{{"outcome", refused ? "refused" : "passed"},
                               {"stage", before_sync ? "before_sync" : "before_switch"},
                               {"findings", std::move(findings)}};
    if (refused) answer.exit_status = ExitStatus::refused;
    return answer;
}

Answer preflight_refusal(std::string_view verb, const PreflightReport& report) {
    std::vector<std::string> sentences;
    json::array findings;
    for (const Finding& finding : report.refusals()) {
        std::string sentence = finding.check + ": ";
        if (!finding.database.empty()) sentence += finding.database + ": ";
        sentence += finding.sentence;
        if (!finding.objects.empty()) sentence += " (" + joined(finding.objects, ", ") + ")";
        if (!finding.remedy.empty()) sentence += "\n  remedy: " + finding.remedy;
        sentences.push_back(std::move(sentence));
        findings.push_back(finding_json(finding));
    }
    Answer answer = refusal(sqlstate::refused,
                            fmt::format("{} is refused: {} thing{} to be mended first", verb, sentences.size(),
                                        sentences.size() == 1 ? " has" : "s have"),
                            "turnout check shows all that was looked at.", joined(sentences, "\n"));
    answer.json = json::object{{"outcome", "refused"}, {"findings", std::move(findings)}};
    return answer;
}

Answer switch_answer(const SwitchReport& report) {
    Answer answer = object_answer(to_json(report), to_text(report));
    answer.exit_status = report.exit_status();
    switch (report.outcome) {
        case SwitchOutcome::switched:
        case SwitchOutcome::rolled_back:
        case SwitchOutcome::rehearsed: return answer;
        case SwitchOutcome::refused: answer.sqlstate = sqlstate::refused; break;
        case SwitchOutcome::given_up:
            answer.sqlstate = report.cancelled ? sqlstate::cancelled : sqlstate::given_up;
            break;
        case SwitchOutcome::uncertain: answer.sqlstate = sqlstate::needs_person; break;
    }
    std::vector<std::string> detail = report.problems;
    for (const MissedAttempt& missed : report.missed) {
        std::string line = fmt::format("attempt {}: {}", missed.attempt, missed.why);
        if (!missed.waited_for.empty()) line += " (" + joined(missed.waited_for, "; ") + ")";
        detail.push_back(std::move(line));
    }
    for (const std::string& left : report.left_over) detail.push_back("still to be done: " + left);
    answer.message = report.message;
    answer.hint = report.hint;
    answer.detail = joined(detail, "\n");
    return answer;
}

Answer sync_answer(const SyncReport& report) {
    const double seconds = std::chrono::duration<double>(report.elapsed).count();
    std::string text = fmt::format("synced: {} tables, {} in {:.1f} s\n", report.tables,
                                   bytes_text(static_cast<double>(report.bytes)), seconds);
    for (const std::string& notice : report.notices) text += notice + "\n";
    return object_answer({{"outcome", "synced"},
                          {"tables", report.tables},
                          {"bytes", report.bytes},
                          {"seconds", seconds},
                          {"notices", strings(report.notices)}},
                         std::move(text));
}

Answer dismantle_answer(std::string_view outcome, const DismantleReport& report) {
    json::array leftovers;
    std::string text;
    for (const std::string& done : report.done) text += done + "\n";
    for (const Leftover& left : report.leftovers) {
        leftovers.push_back(json::object{{"side", name(left.side)}, {"object", left.object}, {"remedy", left.remedy}});
        text += fmt::format("left over on {}: {}; remove it: {}\n", name(left.side), left.object, left.remedy);
    }
    text += fmt::format("{}\n", outcome);
    Answer answer = object_answer(
        {{"outcome", outcome}, {"done", strings(report.done)}, {"leftovers", std::move(leftovers)}}, std::move(text));
    if (!report.leftovers.empty()) answer.exit_status = ExitStatus::refused;
    return answer;
}

Answer server_failure(const PgError& error) {
    const PgError::Fields& fields = error.fields();
    const bool refused = error.refused() && fields.sqlstate.size() == 5;
    return refusal(refused ? std::string_view(fields.sqlstate) : sqlstate::unreachable,
                   fmt::format("{}{}{}: {}", name(fields.side), fields.database.empty() ? "" : "/", fields.database,
                               fields.message),
                   refused || !fields.hint.empty()
                       ? fields.hint
                       : fmt::format("Does the server run, and does url in [side.{}] reach it?", name(fields.side)),
                   fields.detail);
}

std::string progress_line(const SyncProgress& progress) {
    std::string line = progress.phase;
    if (!progress.database.empty()) line += " " + progress.database;
    if (!progress.table.empty()) line += " " + progress.table;
    if (!progress.message.empty()) line += ": " + progress.message;
    if (progress.total > 0) line += fmt::format(": {} of {} tables", progress.done, progress.total);
    if (progress.total_bytes > 0)
        line += fmt::format(", {} of about {}", bytes_text(static_cast<double>(progress.bytes)),
                            bytes_text(static_cast<double>(progress.total_bytes)));
    else if (progress.bytes > 0)
        line += ", " + bytes_text(static_cast<double>(progress.bytes));
    if (progress.rate > 0) line += fmt::format(", {}/s", bytes_text(progress.rate));
    if (progress.eta)
        line += fmt::format(", {} s left", std::chrono::ceil<std::chrono::seconds>(*progress.eta).count());
    return line;
}

std::string bytes_text(double bytes) {
    constexpr std::array<std::string_view, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
    std::size_t unit = 0;
    for (; bytes >= 1000 && unit + 1 < kUnits.size(); ++unit) bytes /= 1000;
    return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

}  // namespace turnout::control
