#include "program/watch.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <ostream>
#include <sstream>
#include <thread>

#include "control/report.hpp"
#include "program/terminal.hpp"

namespace turnout::program {

namespace json = boost::json;

namespace {

std::string text(const json::object& object, std::string_view key, std::string_view otherwise = "") {
    const json::value* value = object.if_contains(key);
    return std::string(value != nullptr && value->is_string() ? std::string_view(value->get_string()) : otherwise);
}

double number(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

/// Of all databases together; nothing: it is not known.
std::optional<double> lag_bytes(const json::object& status) {
    const json::value* lag = status.if_contains("lag_bytes");
    if (lag == nullptr || !lag->is_object()) return std::nullopt;
    double sum = 0;
    for (const auto& [database, bytes] : lag->get_object()) sum += bytes.to_number<double>();
    return sum;
}

}  // namespace

std::string watch_line(const json::object& status, const json::object& before) {
    const std::string active = text(status, "active");
    std::string line = active.empty()
                           ? "nobody is served: " + text(status, "reason")
                           : active + " active (generation " + fmt::format("{:.0f}", number(status, "generation")) +
                                 "), " + text(status, "phase");
    if (const std::string running = text(status, "running"); !running.empty()) {
        line += fmt::format(" | {} for {:.0f} s", running, number(status, "running_seconds"));
        if (const std::string progress = text(status, "progress"); !progress.empty()) line += ": " + progress;
    }
    if (status.contains("paused") && status.at("paused") == true) line += " | paused";
    if (const auto lag = lag_bytes(status)) {
        line += " | lag " + control::bytes_text(*lag);
        if (const auto earlier = lag_bytes(before); earlier && *earlier != *lag)
            line += *lag < *earlier ? ", falling" : ", rising";
    }
    line += fmt::format(" | {:.0f} sessions, {:.0f} in transaction", number(status, "sessions"),
                        number(status, "in_transaction"));
    if (number(status, "in_transaction") > 0)
        line += fmt::format(" (oldest {:.1f} s)", number(status, "oldest_transaction_seconds"));
    line += fmt::format(", {:.0f} pinned", number(status, "pinned"));
    return line + fmt::format(" | {:.0f} transactions/s", number(status, "transactions_per_second"));
}

int watch(const WatchRequest& request, std::ostream& out, std::ostream& err) {
    const bool redraw = !request.json && is_terminal(Stream::out);
    json::object before;
    for (std::uint64_t written = 0; request.count == 0 || written < request.count; ++written) {
        if (written > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
        std::ostringstream answer;
        const control::ExitStatus status = control::run_admin_command(
            {.directory = request.directory, .command = "SHOW STATUS AS JSON", .json = true, .quiet = true}, answer,
            err);
        if (status != control::ExitStatus::done) return static_cast<int>(status);
        const json::object now = json::parse(answer.str()).as_object();
        if (request.json)
            out << json::serialize(now) << std::endl;
        else if (redraw)
            out << "\r\033[K" << watch_line(now, before) << std::flush;
        else
            out << watch_line(now, before) << std::endl;
        before = now;
    }
    if (redraw) out << std::endl;
    return 0;
}

}  // namespace turnout::program
