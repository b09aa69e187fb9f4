#include "bench/terminal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace turnout::bench {

namespace {

void put(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

std::string padded(const std::string& cell, std::size_t width, bool left) {
    const std::size_t shown = shown_width(cell);
    const std::string space(width > shown ? width - shown : 0, ' ');
    return left ? cell + space : space + cell;
}

}  // namespace

std::size_t shown_width(std::string_view text) {
    std::size_t width = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\x1b') {
            while (i < text.size() && text[i] != 'm') ++i;
            continue;
        }
        // Bytes of the form 10xxxxxx continue a character.
        if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) ++width;
    }
    return width;
}

std::string grouped(std::int64_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t at = digits.size(); at > 3 + (number < 0 ? 1U : 0U); at -= 3) digits.insert(at - 3, ",");
    return digits;
}

Terminal::Terminal() {
    terminal_ = ::isatty(STDOUT_FILENO) == 1;
    const char* no_colour = std::getenv("NO_COLOR");
    colours_ = terminal_ && (no_colour == nullptr || *no_colour == '\0');
}

std::string Terminal::styled(std::string_view code, std::string_view text) const {
    return colours_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

void Terminal::finish_live() {
    if (live_) put("\r\x1b[K");
    live_ = false;
}

void Terminal::heading(std::string_view text) {
    finish_live();
    put("\n" + bold(text) + "\n");
}

void Terminal::line(std::string_view text) {
    finish_live();
    put(fmt::format("   {}\n", text));
}

void Terminal::live(std::string_view text) {
    if (!terminal_) {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_live_ < std::chrono::seconds(2)) return;
        last_live_ = now;
        return line(text);
    }
    // A line that wraps could not be taken back.
    constexpr std::size_t kWidth = 110;
    put(fmt::format("\r\x1b[K   {}", text.substr(0, kWidth)));
    live_ = true;
}

void Terminal::good(std::string_view text) { line(green(text)); }

void Terminal::bad(std::string_view text) { line(red(text)); }

void Terminal::table(const std::vector<std::vector<std::string>>& rows) {
    finish_live();
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        if (row.size() == 1) continue;
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], shown_width(row[i]));
    }
    for (const auto& row : rows) {
        std::string text = "  ";
        for (std::size_t i = 0; i < row.size(); ++i)
            text += " " + padded(row[i], row.size() == 1 ? 0 : widths[i], i == 0) + (i + 1 < row.size() ? " " : "");
        while (text.back() == ' ') text.pop_back();
        put(text + "\n");
    }
}

}  // namespace turnout::bench
