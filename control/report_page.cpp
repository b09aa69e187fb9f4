#include "control/report_page.hpp"

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "control/report_chart.hpp"

namespace turnout::control {

namespace json = boost::json;

namespace {

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--paper:#fbfaf8;--card:#fff;--ink:#1d2330;--soft:#667085;--line:#e4e2dd;--accent:#0f766e;
--good:#0f766e;--bad:#b42318;--warn:#b54708;--rate:#2563eb;--busy:#7c3aed;--held:#d97706}
@media(prefers-color-scheme:dark){:root{--paper:#14171d;--card:#1b2028;--ink:#e8eaee;--soft:#98a2b3;--line:#2c333e;
--accent:#2dd4bf;--good:#2dd4bf;--bad:#f97066;--warn:#fdb022;--rate:#60a5fa;--busy:#a78bfa;--held:#fbbf24}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:960px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:30px;line-height:1.2;margin:0 0 6px;letter-spacing:-.02em}
h2{font-size:17px;margin:0 0 14px}
p{margin:0 0 8px}.soft{color:var(--soft)}
.badge{display:inline-block;padding:2px 12px;border-radius:99px;font-weight:600;font-size:13px;color:#fff;background:var(--good)}
.badge.bad{background:var(--bad)}@media(prefers-color-scheme:dark){.badge{color:#10131a}}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px;margin:26px 0}
.figure,section{background:var(--card);border:1px solid var(--line);border-radius:14px}
.figure{padding:16px 18px}.figure b{display:block;font-size:26px;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.figure span{color:var(--soft);font-size:13px}
section{padding:20px 22px;margin:0 0 16px;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;font-weight:600;color:var(--soft);font-size:12px;text-transform:uppercase;letter-spacing:.04em}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;margin:0}details summary{cursor:pointer;font-weight:600}
.pass{color:var(--good)}.warn{color:var(--warn)}.refuse{color:var(--bad)}
.chart{width:100%;min-width:560px;height:auto;display:block}
.chart text{font:12px system-ui,sans-serif;fill:var(--soft)}.chart .label{fill:var(--ink);font-size:13px}
.chart .value{fill:var(--ink);font-weight:600;font-variant-numeric:tabular-nums}
.chart .grid{stroke:var(--line)}.chart .bar{fill:var(--accent)}.chart .line{fill:none;stroke-width:1.8}
.chart .fill{opacity:.14}.chart .rate{--c:var(--rate)}.chart .busy{--c:var(--busy)}.chart .held{--c:var(--held)}
.chart .line.rate,.chart .line.busy,.chart .line.held{stroke:var(--c)}
.chart .fill.rate,.chart .fill.busy,.chart .fill.held{fill:var(--c)}
.chart .now{stroke:var(--bad);stroke-dasharray:4 4}.chart .nowlabel{fill:var(--bad)}
@media(max-width:640px){main{padding:24px 14px}h1{font-size:24px}section{padding:16px 14px}}
@media print{body{background:#fff}section,.figure{break-inside:avoid}}
)css";

std::string text(const json::value& value) {
    if (value.is_null()) return "–";
    return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

std::string text(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value == nullptr ? std::string() : text(*value);
}

double number(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

json::object object(const json::object& parent, std::string_view key) {
    const json::value* value = parent.if_contains(key);
    return value != nullptr && value->is_object() ? value->get_object() : json::object();
}

json::array array(const json::object& parent, std::string_view key) {
    const json::value* value = parent.if_contains(key);
    return value != nullptr && value->is_array() ? value->get_array() : json::array();
}

std::string section(std::string_view title, std::string_view content) {
    if (content.empty()) return {};
    return fmt::format("<section><h2>{}</h2>\n{}</section>\n", html(title), content);
}

std::string figure(std::string_view value, std::string_view label) {
    return fmt::format("<div class=\"figure\"><b>{}</b><span>{}</span></div>\n", html(value), html(label));
}

std::string figures(const json::object& report) {
    const json::object sessions = object(report, "sessions");
    const json::object stall = object(report, "stall_us");
    const bool closed = report.contains("window_us") && !report.at("window_us").is_null();
    return "<div class=\"figures\">" +
           figure(closed ? duration_label(number(report, "window_us")) : "none", "window: gate closed to gate open") +
           figure(duration_label(number(stall, "max")), fmt::format("longest wait of a session; half waited {} at most",
                                                                    duration_label(number(stall, "p50")))) +
           figure(text(sessions, "moved"),
                  fmt::format("sessions moved of {}; {} were held", text(sessions, "total"), text(sessions, "held"))) +
           figure(text(sessions, "failed"),
                  fmt::format("sessions that were told of an error; {} ended by policy", text(sessions, "ended"))) +
           figure(text(report, "attempts"), "times the gate was closed") + "</div>\n";
}

std::string phases_table(const json::array& phases) {
    std::string rows;
    for (const json::value& value : phases) {
        const json::object& phase = value.as_object();
        rows += fmt::format("<tr><td>{}</td><td class=\"n\">{}</td></tr>\n", html(text(phase, "name")),
                            duration_label(number(phase, "us")));
    }
    return rows.empty() ? rows : "<table><tr><th>step<th class=\"n\">took</tr>\n" + rows + "</table>\n";
}

std::string latency_table(const json::object& latency) {
    std::string rows;
    for (const std::string_view when : {"before", "after"}) {
        const json::object figures = object(latency, when);
        if (figures.empty()) continue;
        rows += fmt::format(
            "<tr><td>{} ({})</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n", when,
            html(text(figures, "side")), duration_label(number(figures, "p50")), duration_label(number(figures, "p95")),
            duration_label(number(figures, "p99")));
    }
    if (rows.empty()) return rows;
    return "<table><tr><th>statements<th class=\"n\">median<th class=\"n\">p95<th class=\"n\">p99</tr>\n" + rows +
           "</table>\n";
}

std::string list(const json::array& entries) {
    std::string items;
    for (const json::value& entry : entries) {
        if (!entry.is_object()) {
            items += "<p>" + html(text(entry)) + "</p>\n";
            continue;
        }
        std::string line;
        for (const auto& [key, value] : entry.get_object())
            line += fmt::format("{}<span class=\"soft\">{}</span> {}", line.empty() ? "" : " · ", html(key),
                                html(text(value)));
        items += "<p>" + line + "</p>\n";
    }
    return items;
}

std::string missed_list(const json::array& attempts) {
    std::string items;
    for (const json::value& value : attempts) {
        const json::object attempt = value.is_object() ? value.get_object() : json::object();
        const double closed = number(attempt, "closed_us");
        items += fmt::format("<p><b>{}</b> {}<span class=\"soft\">{}</span>", html(text(attempt, "attempt")),
                             html(text(attempt, "why")),
                             closed > 0 ? "; the gate was closed for " + duration_label(closed) : "");
        for (const json::value& waited : array(attempt, "waited_for"))
            items += "<br><span class=\"soft\">waited for</span> " + html(text(waited));
        items += "</p>\n";
    }
    return items;
}

std::string preflight_table(const json::array& findings) {
    std::string rows;
    std::size_t passed = 0;
    for (const json::value& value : findings) {
        const json::object& finding = value.as_object();
        const std::string severity = text(finding, "severity");
        if (severity == "pass") {
            ++passed;
            continue;
        }
        const std::string remedy = text(finding, "remedy");
        rows += fmt::format("<tr><td class=\"{0}\">{0}</td><td>{1}</td><td>{2}{3}</td></tr>\n", html(severity),
                            html(text(finding, "check")), html(text(finding, "sentence")),
                            remedy.empty() ? "" : "<br><code>" + html(remedy) + "</code>");
    }
    if (findings.empty()) return {};
    std::string table =
        fmt::format("<p><span class=\"pass\">{} of {} checks passed.</span></p>", passed, findings.size());
    if (!rows.empty()) table += "<table><tr><th>severity<th>check<th>finding</tr>\n" + rows + "</table>\n";
    return table;
}

std::string configuration_table(const json::object& configuration) {
    std::string rows;
    for (const auto& [key, value] : configuration)
        rows +=
            fmt::format("<tr><td><code>{}</code></td><td><code>{}</code></td></tr>\n", html(key), html(text(value)));
    return rows.empty() ? rows : "<table>" + rows + "</table>\n";
}

std::string heading(const json::object& record, const json::object& report) {
    const std::string outcome = text(report, "outcome");
    const bool good = outcome == "switched" || outcome == "rolled_back" || outcome == "rehearsed";
    const std::string verb = text(record, "verb");
    const std::string title = fmt::format("{} from {} to {}",
                                          verb == "switch"     ? "Switch"
                                          : verb == "rollback" ? "Rollback"
                                                               : "Rehearsal",
                                          text(report, "from"), text(report, "to"));
    return fmt::format(
        "<p class=\"soft\">turnout {} · {}</p><h1>{}</h1>\n"
        "<p><span class=\"badge{}\">{}</span> <span class=\"soft\">generation {}</span></p>\n{}",
        html(text(record, "version")), html(text(record, "time")), html(title), good ? "" : " bad", html(outcome),
        html(text(report, "generation")),
        text(report, "message").empty() ? "" : "<p>" + html(text(report, "message")) + "</p>");
}

}  // namespace

std::string html(std::string_view text) {
    std::string escaped;
    escaped.reserve(text.size());
    for (const char c : text) {
        switch (c) {
            case '<': escaped += "&lt;"; break;
            case '>': escaped += "&gt;"; break;
            case '&': escaped += "&amp;"; break;
            case '"': escaped += "&quot;"; break;
            case '\'': escaped += "&#39;"; break;
            default: escaped += c;
        }
    }
    return escaped;
}

std::string report_page(const json::object& record) {
    const json::object report = object(record, "report");
    const json::array phases = array(report, "phases");
    std::string page = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        "<title>{} {}</title><style>{}</style></head><body><main>\n",
        html(text(record, "verb")), html(text(record, "time")), kStyle);
    page += heading(record, report) + figures(report);
    page += section("The window", window_chart(phases, number(report, "window_us")));
    page += section("Around it", timeline_chart(array(record, "timeline")));
    page += section("What both sides wrote", positions_chart(array(record, "positions")));
    page += section("Statements before and after", latency_table(object(record, "latency_us")));
    page += section("Before the window", phases_table(array(report, "preparation")));
    page += section("Attempts that left everyone where they were", missed_list(array(report, "missed")));
    page += section("Problems", list(array(report, "problems")));
    page += section("Sessions that were not prepared", list(array(report, "not_armed")));
    page += section("Written on the old side, and not merged", list(array(report, "strays")));
    page += section("Still to be done", list(array(report, "left_over")));
    page += section("Preflight", preflight_table(array(record, "preflight")));
    page += section("Configuration", configuration_table(object(record, "configuration")));
    page += "<section><details><summary>All figures, as JSON</summary><pre>" + html(json::serialize(report)) +
            "</pre></details></section>\n</main></body></html>\n";
    return page;
}

}  // namespace turnout::control
