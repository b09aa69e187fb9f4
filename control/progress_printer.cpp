#include "control/progress_printer.hpp"

#include <array>
#include <ostream>
#include <utility>

namespace turnout::control {

namespace {

constexpr std::chrono::seconds kBetweenLines{10};

/// "copy shop" of "copy shop: 3 of 10 tables".
std::string topic_of(std::string_view line) { return std::string(line.substr(0, line.find(": "))); }

}  // namespace

void ProgressPrinter::show(std::string_view line, Clock::time_point now) {
    if (quiet_) return;
    std::string topic = topic_of(line);
    const bool same = topic == topic_ && topic.size() < line.size();
    if (!terminal_) {
        // Another step of the same is news; more of the same step is not.
        const bool counts = line.find_first_of("0123456789", topic.size()) != std::string_view::npos;
        if (same && counts && now - printed_ < kBetweenLines) return;
        out_ << line << std::endl;
        printed_ = now;
    } else {
        if (open_ && !same) out_ << '\n';
        out_ << "\r\033[K" << line << std::flush;
        open_ = true;
    }
    topic_ = std::move(topic);
}

void ProgressPrinter::end() {
    if (open_) out_ << std::endl;
    open_ = false;
}

std::string coloured(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kColours{
        {{"PASS", "\033[32m"}, {"WARN", "\033[33m"}, {"FAIL", "\033[31;1m"}}};
    std::string result;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
        text.remove_prefix(line.size());
        const auto* found = kColours.end();
        for (const auto& colour : kColours)
            if (line.starts_with(colour.first)) found = &colour;
        if (found == kColours.end())
            result += line;
        else
            result.append(found->second).append(found->first).append("\033[0m").append(line.substr(4));
    }
    return result;
}

}  // namespace turnout::control
