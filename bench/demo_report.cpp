#include "bench/demo_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "bench/json_fields.hpp"

namespace turnout::bench {

namespace {

using Rows = std::vector<std::vector<std::string>>;

/// Names of all phases of all switches, in the order in which they come.
std::vector<std::string> all_phases(const DemoOutcome& outcome) {
    std::vector<std::string> names;
    for (const DemoSwitch& change : outcome.switches)
        for (const std::string& name : phase_names(change.report))
            if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    return names;
}

std::string phase_time(const DemoSwitch& change, const std::string& name) {
    const std::int64_t us = phase_us(change.report, name);
    return us < 0 ? "-" : grouped(us);
}

/// Builds the rows: one cell for each switch, and one for the conventional way where it has such a figure.
class Sheet {
  public:
    Sheet(Terminal& terminal, const DemoOutcome& outcome) : terminal_(terminal), outcome_(outcome) {}

    void row(const std::string& label, const std::function<std::string(const DemoSwitch&)>& cell,
             const std::string& conventional = "") {
        rows_.push_back({label});
        for (const DemoSwitch& change : outcome_.switches) rows_.back().push_back(cell(change));
        if (outcome_.with_conventional) rows_.back().push_back(conventional);
    }
    /// A count that must be 0: red where it is not.
    void must_be_zero(const std::string& label, const std::function<std::uint64_t(const DemoSwitch&)>& count,
                      std::uint64_t conventional) {
        row(
            label, [&](const DemoSwitch& change) { return judged(count(change)); }, judged(conventional));
    }
    void heading(const std::string& label) { rows_.push_back({terminal_.dim(label)}); }
    const Rows& rows() const { return rows_; }

  private:
    std::string judged(std::uint64_t count) const {
        const std::string digits = grouped(static_cast<std::int64_t>(count));
        return count == 0 ? terminal_.green(digits) : terminal_.red(digits);
    }

    Terminal& terminal_;
    const DemoOutcome& outcome_;
    Rows rows_;
};

void times(Sheet& sheet, Terminal& terminal, const DemoOutcome& outcome) {
    const auto us = [](Microseconds value) { return grouped(value.count()); };
    sheet.row(
        "", [&](const DemoSwitch& change) { return terminal.bold(change.verb); }, terminal.bold("conventional"));
    sheet.row(
        "", [](const DemoSwitch& change) { return text(change.report, "from") + " to " + text(change.report, "to"); },
        "stop, dump, restore");
    sheet.heading("nobody can write, µs");
    sheet.row(
        "window", [&](const DemoSwitch& change) { return terminal.bold(grouped(integer(change.report, "window_us"))); },
        terminal.bold(us(outcome.conventional.downtime)));
    for (const std::string& name : all_phases(outcome))
        sheet.row("  " + name, [&](const DemoSwitch& change) { return phase_time(change, name); });
    sheet.heading("held sessions waited, µs, by turnout's report");
    for (const char* key : {"p50", "p99", "max"})
        sheet.row(fmt::format("  {}", key),
                  [&](const DemoSwitch& change) { return grouped(integer(member(change.report, "stall_us"), key)); });
    sheet.heading("statements of the load took, µs, while the verb ran (in the second before)");
    const auto both = [&](Microseconds Distribution::*figure) {
        return [&us, figure](const DemoSwitch& change) {
            return fmt::format("{} ({})", us(change.during.statements.*figure), us(change.before.statements.*figure));
        };
    };
    sheet.row("  p50", both(&Distribution::p50));
    sheet.row("  p99", both(&Distribution::p99));
    sheet.row("  max", both(&Distribution::max));
}

void counts(Sheet& sheet, const DemoOutcome& outcome) {
    const ConventionalOutcome& conventional = outcome.conventional;
    sheet.heading("what the clients' ledgers say");
    sheet.row(
        "acknowledged writes",
        [](const DemoSwitch& change) { return grouped(static_cast<std::int64_t>(change.totals.writes)); },
        grouped(static_cast<std::int64_t>(conventional.totals.writes)));
    sheet.must_be_zero(
        "client errors", [](const auto& change) { return change.totals.errors; }, conventional.totals.errors);
    sheet.must_be_zero(
        "reconnects", [](const auto& change) { return change.totals.reconnects; }, conventional.totals.reconnects);
    const auto lost = [](const Audit& audit) { return audit.lost + audit.counters_low; };
    const auto doubled = [](const Audit& audit) {
        return audit.duplicated + audit.counters_high + audit.tickets_doubled + audit.unexplained;
    };
    sheet.must_be_zero(
        "acknowledged commits lost", [&](const auto& change) { return lost(change.audit); }, lost(conventional.audit));
    sheet.must_be_zero(
        "duplicated", [&](const auto& change) { return doubled(change.audit); }, doubled(conventional.audit));
    sheet.must_be_zero(
        "reads that went back in time", [](const auto& change) { return change.totals.back_in_time; },
        conventional.totals.back_in_time);
}

boost::json::object json(const Distribution& distribution) {
    return {{"count", distribution.count},
            {"p50", distribution.p50.count()},
            {"p99", distribution.p99.count()},
            {"max", distribution.max.count()}};
}

boost::json::object json(const Waits& waits) {
    return {{"statements", json(waits.statements)}, {"longest_of_each_connection", json(waits.connections)}};
}

boost::json::object json(const Totals& totals) {
    return {{"writes", totals.writes},           {"reads", totals.reads},
            {"errors", totals.errors},           {"reconnects", totals.reconnects},
            {"unknown", totals.unknown},         {"back_in_time", totals.back_in_time},
            {"unexplained", totals.unexplained}, {"error_texts", boost::json::value_from(totals.error_texts)}};
}

boost::json::object json(const Audit& audit) {
    return {{"rows", audit.rows},
            {"lost", audit.lost},
            {"duplicated", audit.duplicated},
            {"unexplained", audit.unexplained},
            {"counters_low", audit.counters_low},
            {"counters_high", audit.counters_high},
            {"sequence_values_twice", audit.tickets_doubled},
            {"examples", boost::json::value_from(audit.examples)}};
}

}  // namespace

std::vector<std::string> DemoOutcome::failures() const {
    std::vector<std::string> found;
    const auto expect_zero = [&](std::uint64_t count, std::string_view what) {
        if (count > 0) found.push_back(fmt::format("{} {}", count, what));
    };
    expect_zero(totals.errors, "client errors");
    expect_zero(totals.reconnects, "reconnects");
    expect_zero(totals.unknown, "transactions of unknown outcome");
    expect_zero(totals.back_in_time, "reads that went back in time");
    expect_zero(totals.unexplained, "reads that nobody's writes explain");
    if (!audit.clean()) found.push_back("the audit: " + audit.summary());
    for (const std::string& text : totals.error_texts) found.push_back("an error: " + text);
    for (const std::string& text : audit.examples) found.push_back("a finding: " + text);
    for (const std::string& object : leftovers) found.push_back("left behind by finish: " + object);
    if (with_conventional && !conventional.audit.clean())
        found.push_back("the conventional way: " + conventional.audit.summary());
    return found;
}

void print_outcome(Terminal& terminal, const DemoOutcome& outcome) {
    terminal.heading("What it took");
    Sheet sheet(terminal, outcome);
    times(sheet, terminal, outcome);
    counts(sheet, outcome);
    terminal.table(sheet.rows());
}

boost::json::object outcome_json(const DemoOptions& options, const DemoOutcome& outcome) {
    boost::json::object object{{"blue", options.blue},
                               {"green", options.green},
                               {"scale", options.scale},
                               {"writers", options.writers},
                               {"totals", json(outcome.totals)},
                               {"audit", json(outcome.audit)},
                               {"failures", boost::json::value_from(outcome.failures())}};
    boost::json::array& switches = object["switches"].emplace_array();
    for (const DemoSwitch& change : outcome.switches)
        switches.push_back({{"verb", change.verb},
                            {"report", change.report},
                            {"waits_before", json(change.before)},
                            {"waits_during", json(change.during)},
                            {"totals", json(change.totals)},
                            {"audit", json(change.audit)}});
    if (outcome.with_conventional)
        object["conventional"] = {
            {"downtime", outcome.conventional.downtime.count()}, {"stop", outcome.conventional.stop.count()},
            {"copy", outcome.conventional.copy.count()},         {"verify", outcome.conventional.verify.count()},
            {"restart", outcome.conventional.restart.count()},   {"rows", outcome.conventional.rows},
            {"totals", json(outcome.conventional.totals)},       {"audit", json(outcome.conventional.audit)}};
    return object;
}

}  // namespace turnout::bench
