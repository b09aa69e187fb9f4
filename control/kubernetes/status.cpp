#include "control/kubernetes/status.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <ctime>
#include <utility>

namespace turnout::kubernetes {

namespace json = boost::json;
using namespace std::string_view_literals;

namespace {

constexpr std::array kPhases{"Pending"sv,  "Preflight"sv,  "Provisioning"sv, "Replicating"sv, "CaughtUp"sv,
                             "Switched"sv, "RolledBack"sv, "Finished"sv,     "Aborted"sv,     "Deleting"sv};
constexpr std::array kTruths{"Unknown"sv, "False"sv, "True"sv};

template <class Enum, std::size_t count>
Enum word(const std::array<std::string_view, count>& words, std::string_view text) {
    const auto found = std::find(words.begin(), words.end(), text);
    return found == words.end() ? Enum{} : static_cast<Enum>(found - words.begin());
}

std::string text(const json::object& object, std::string_view member) {
    const json::value* const value = object.if_contains(member);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::int64_t number(const json::object& object, std::string_view member) {
    const json::value* const value = object.if_contains(member);
    return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

const json::object* inner(const json::object& object, std::string_view member) {
    const json::value* const value = object.if_contains(member);
    return value == nullptr ? nullptr : value->if_object();
}

int digits(std::string_view text, std::size_t at, std::size_t count) {
    int value = -1;
    if (text.size() < at + count) return -1;
    const char* const end = text.data() + at + count;
    return std::from_chars(text.data() + at, end, value).ptr == end ? value : -1;
}

/// As people read it in a column.
std::string lag_text(std::int64_t bytes) {
    if (bytes < 1024) return fmt::format("{} B", bytes);
    if (bytes < 1024 * 1024) return fmt::format("{} kB", bytes / 1024);
    if (bytes < 1024LL * 1024 * 1024) return fmt::format("{} MB", bytes / (1024 * 1024));
    return fmt::format("{:.1f} GB", static_cast<double>(bytes) / (1024.0 * 1024 * 1024));
}

std::string window_text(std::int64_t microseconds) {
    return fmt::format("{:.1f} ms", static_cast<double>(microseconds) / 1000);
}

Condition parse_condition(const json::object& object) {
    return {text(object, "type"), word<Truth>(kTruths, text(object, "status")), text(object, "reason"),
            text(object, "message"), text(object, "lastTransitionTime")};
}

/// Server-side apply takes an empty text for null, which no schema of a text allows: it is left out.
void put_text(json::object& object, std::string_view member, const std::string& text) {
    if (!text.empty()) object[member] = text;
}

json::object condition_json(const Condition& condition, std::int64_t generation) {
    json::object object{{"type", condition.type},
                        {"status", kTruths[static_cast<std::size_t>(condition.status)]},
                        {"observedGeneration", generation}};
    put_text(object, "reason", condition.reason);
    put_text(object, "message", condition.message);
    put_text(object, "lastTransitionTime", condition.since);
    return object;
}

}  // namespace

std::string time_text(WallClock::time_point time) {
    const std::time_t seconds = WallClock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                       parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::optional<WallClock::time_point> parse_time(std::string_view text) {
    std::tm parts{};
    parts.tm_year = digits(text, 0, 4) - 1900;
    parts.tm_mon = digits(text, 5, 2) - 1;
    parts.tm_mday = digits(text, 8, 2);
    parts.tm_hour = digits(text, 11, 2);
    parts.tm_min = digits(text, 14, 2);
    parts.tm_sec = digits(text, 17, 2);
    if (parts.tm_year < 0 || parts.tm_mon < 0 || parts.tm_mday < 1 || parts.tm_hour < 0 || parts.tm_min < 0 ||
        parts.tm_sec < 0 || !text.ends_with('Z'))
        return std::nullopt;
    return WallClock::from_time_t(timegm(&parts));
}

std::string_view name(Phase phase) { return kPhases[static_cast<std::size_t>(phase)]; }

const Condition* Status::find(std::string_view type) const {
    const auto found = std::find_if(conditions.begin(), conditions.end(),
                                    [type](const Condition& condition) { return condition.type == type; });
    return found == conditions.end() ? nullptr : &*found;
}

bool Status::is(std::string_view type, Truth truth) const {
    const Condition* const found = find(type);
    return found != nullptr && found->status == truth;
}

void Status::set(std::string_view type, Truth truth, std::string reason, std::string message,
                 WallClock::time_point now) {
    for (Condition& condition : conditions) {
        if (condition.type != type) continue;
        if (condition.status != truth) condition.since = time_text(now);
        condition.status = truth;
        condition.reason = std::move(reason);
        condition.message = std::move(message);
        return;
    }
    conditions.push_back({std::string(type), truth, std::move(reason), std::move(message), time_text(now)});
}

void Status::forget_lag() {
    lag_bytes.reset();
    lag_read.clear();
}

bool same_story(const Status& one, const Status& other) {
    Status left = one;
    Status right = other;
    for (Status* const status : {&left, &right}) {
        status->lag_bytes.reset();
        status->lag_read.clear();
        for (Condition& condition : status->conditions) condition.message.clear();
    }
    return left == right;
}

Status parse_status(const json::object& object) {
    Status status;
    status.observed_generation = number(object, "observedGeneration");
    status.phase = word<Phase>(kPhases, text(object, "phase"));
    status.active = text(object, "active");
    status.turnout_generation = number(object, "turnoutGeneration");
    if (object.contains("lagBytes")) status.lag_bytes = number(object, "lagBytes");
    status.lag_read = text(object, "lagRead");
    if (const json::object* const window = inner(object, "lastWindow"))
        status.window = Window{number(*window, "microseconds"), number(*window, "generation"), text(*window, "from"),
                               text(*window, "to"), text(*window, "report")};
    status.watched_since = text(object, "watchedSince");
    if (const json::object* const frozen = inner(object, "begunWith")) status.frozen = *frozen;
    if (const json::object* const request = inner(object, "request")) {
        const json::value* const done = request->if_contains("done");
        status.request = {text(*request, "cutover"), done != nullptr && done->is_bool() && done->get_bool(),
                          number(*request, "turnoutGeneration"), text(*request, "outcome")};
    }
    status.kept = text(object, "kept");
    if (const json::value* const list = object.if_contains("conditions"); list != nullptr && list->is_array()) {
        for (const json::value& item : list->get_array())
            if (item.is_object()) status.conditions.push_back(parse_condition(item.get_object()));
    }
    return status;
}

json::object to_json(const Status& status) {
    json::object object{{"observedGeneration", status.observed_generation}, {"phase", name(status.phase)}};
    if (!status.active.empty()) object["active"] = status.active;
    if (status.turnout_generation != 0) object["turnoutGeneration"] = status.turnout_generation;
    if (status.lag_bytes) {
        object["lagBytes"] = *status.lag_bytes;
        object["lag"] = lag_text(*status.lag_bytes);
        object["lagRead"] = status.lag_read;
    }
    if (status.window) {
        const Window& window = *status.window;
        object["window"] = window_text(window.microseconds);
        object["lastWindow"] = json::object{{"microseconds", window.microseconds},
                                            {"generation", window.generation},
                                            {"from", window.from},
                                            {"to", window.to}};
        put_text(object["lastWindow"].get_object(), "report", window.report);
    }
    if (!status.watched_since.empty()) object["watchedSince"] = status.watched_since;
    if (!status.frozen.empty()) object["begunWith"] = status.frozen;
    if (!status.request.cutover.empty()) {
        object["request"] = json::object{{"cutover", status.request.cutover},
                                         {"done", status.request.done},
                                         {"turnoutGeneration", status.request.turnout_generation}};
        put_text(object["request"].get_object(), "outcome", status.request.outcome);
    }
    if (!status.kept.empty()) object["kept"] = status.kept;
    json::array conditions;
    for (const Condition& condition : status.conditions)
        conditions.push_back(condition_json(condition, status.observed_generation));
    object["conditions"] = std::move(conditions);
    return object;
}

}  // namespace turnout::kubernetes
