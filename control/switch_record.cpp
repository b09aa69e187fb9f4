#include "control/switch_record.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cmath>

namespace turnout::control {

namespace json = boost::json;

namespace {

double milliseconds(Clock::duration duration) {
    return std::round(std::chrono::duration<double, std::milli>(duration).count() * 1000) / 1000;
}

/// The gate closes between the marks "intent" and "settle"; what happens in the window is not told while it lasts.
Clock::time_point zero(const SwitchRecord& record, const SwitchReport& report) {
    for (auto mark = record.marks.rbegin(); mark != record.marks.rend(); ++mark) {
        if (mark->phase == "settle" && report.window) return mark->at - *report.window;
        if (mark->phase == "intent") return mark->at;
    }
    if (!record.marks.empty()) return record.marks.front().at;
    return record.samples.empty() ? Clock::time_point{} : record.samples.back().at;
}

json::object sessions_json(const DataPlaneCounters& counters) {
    constexpr std::array<const char*, 5> kStates{"login", "idle", "active", "in_transaction", "held"};
    json::object object;
    for (std::size_t i = 0; i < kStates.size(); ++i) object[kStates[i]] = counters.sessions[i];
    return object;
}

json::array timeline(const SwitchRecord& record, Clock::time_point origin) {
    json::array array;
    const RecentCounters::Sample* before = nullptr;
    for (const RecentCounters::Sample& sample : record.samples) {
        json::object point{{"at_ms", milliseconds(sample.at - origin)}, {"sessions", sessions_json(sample.counters)}};
        if (before != nullptr)
            point["transactions_per_second"] = std::round(rates(*before, sample).transactions_per_second * 10) / 10;
        array.push_back(std::move(point));
        before = &sample;
    }
    return array;
}

/// Bytes written since the first look at each side.
json::array positions(const SwitchRecord& record, Clock::time_point origin) {
    json::array array;
    std::array<std::optional<std::int64_t>, 2> first;
    for (const WritePositions& look : record.positions) {
        json::object point{{"at_ms", milliseconds(look.at - origin)}};
        for (const Side side : {Side::blue, Side::green}) {
            const auto& bytes = look.bytes[index(side)];
            if (bytes && !first[index(side)]) first[index(side)] = bytes;
            point[name(side)] = bytes ? json::value(*bytes - *first[index(side)]) : json::value(nullptr);
        }
        array.push_back(std::move(point));
    }
    return array;
}

json::value latency(const DataPlaneCounters& from, const DataPlaneCounters& to, Side side) {
    if (query_seconds(from, to, side, 50) <= 0) return nullptr;
    json::object object{{"side", name(side)}};
    for (const auto& [label, percent] : {std::pair{"p50", 50U}, {"p95", 95U}, {"p99", 99U}})
        object[label] = std::llround(query_seconds(from, to, side, percent) * 1e6);
    return object;
}

/// Of statements, before the gate closed and after.
json::object latencies(const SwitchRecord& record, const SwitchReport& report) {
    const auto& samples = record.samples;
    if (samples.size() < 2) return {{"before", nullptr}, {"after", nullptr}};
    const Clock::time_point origin = zero(record, report);
    const auto split = std::find_if(samples.begin() + 1, samples.end() - 1,
                                    [origin](const RecentCounters::Sample& it) { return it.at >= origin; });
    const bool moved = report.outcome == SwitchOutcome::switched || report.outcome == SwitchOutcome::rolled_back;
    return {{"before", latency(samples.front().counters, split->counters, report.from)},
            {"after", latency(split->counters, samples.back().counters, moved ? report.to : report.from)}};
}

}  // namespace

std::string iso_time(std::chrono::system_clock::time_point at) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
    const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(at - seconds).count();
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), rest);
}

bool at_window(const SwitchRecord& record) {
    for (auto mark = record.marks.rbegin(); mark != record.marks.rend(); ++mark) {
        if (mark->phase == "intent") return true;
        if (mark->phase == "settle" || mark->phase == "back_off") return false;
    }
    return false;
}

std::string record_id(const SwitchRecord& record) {
    std::string id = iso_time(record.began) + "-" + record.verb;
    std::erase(id, ':');
    return id;
}

json::object record_json(const SwitchRecord& record, const SwitchReport& report) {
    const std::string time = iso_time(record.began);
    json::object configuration;
    for (const ConfigRow& row : record.configuration) configuration[row.key] = row.value;
    const Clock::time_point origin = zero(record, report);
    json::array marks;
    for (const SwitchMark& mark : record.marks)
        marks.push_back({{"at_ms", milliseconds(mark.at - origin)}, {"phase", mark.phase}});
    return {{"id", record_id(record)},
            {"time", time},
            {"verb", record.verb},
            {"version", record.version},
            {"report", to_json(report)},
            {"marks", std::move(marks)},
            {"timeline", timeline(record, origin)},
            {"positions", positions(record, origin)},
            {"latency_us", latencies(record, report)},
            {"preflight", record.preflight},
            {"configuration", std::move(configuration)}};
}

}  // namespace turnout::control
