#include "control/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <array>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "control/secrets.hpp"

namespace turnout::control {
namespace {

std::mutex context_mutex;
LogContext context_of_all;  ///< under its mutex

LogContext present_context() {
    const std::lock_guard lock(context_mutex);
    return context_of_all;
}

std::string time_text(spdlog::log_clock::time_point time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(time - seconds).count();
    const std::tm utc =
        fmt::gmtime(spdlog::log_clock::to_time_t(std::chrono::time_point_cast<spdlog::log_clock::duration>(seconds)));
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", utc, milliseconds);
}

class Formatter : public spdlog::formatter {
  public:
    explicit Formatter(LogFormat format) : format_(format) {}

    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        const auto level = spdlog::level::to_string_view(message.level);
        const std::string line =
            log_line(format_, time_text(message.time), {level.data(), level.size()},
                     {message.payload.data(), message.payload.size()}, message.thread_id, present_context()) +
            "\n";
        out.append(line.data(), line.data() + line.size());
    }
    std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<Formatter>(format_); }

  private:
    LogFormat format_;
};

spdlog::level::level_enum level_of(LogLevel level) {
    switch (level) {
        case LogLevel::trace: return spdlog::level::trace;
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warn: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
    }
    return spdlog::level::info;
}

/// In a line for people a line feed would look like a new entry, and a control character could drive the terminal.
std::string one_line(std::string_view text) {
    std::string line;
    for (const char c : text) {
        if (c == '\n')
            line += "\\n";
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
            line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        else
            line += c;
    }
    return line;
}

}  // namespace

std::string log_line(LogFormat format, std::string_view time, std::string_view level, std::string_view message,
                     unsigned long thread, const LogContext& context) {
    const std::string text = hide_passwords(message);
    const std::array<std::pair<std::string_view, const std::string*>, 4> facts{{{"switch", &context.switch_id},
                                                                                {"phase", &context.phase},
                                                                                {"side", &context.side},
                                                                                {"position", &context.position}}};
    boost::json::object line{{"time", time}, {"level", level}, {"message", text}, {"thread", thread}};
    std::string besides;
    for (const auto& [name, fact] : facts) {
        if (context.switch_id.empty() || fact->empty()) continue;
        line[name] = *fact;
        besides += fmt::format("{}{}={}", besides.empty() ? " [" : " ", name, *fact);
    }
    if (format == LogFormat::json) return boost::json::serialize(line);
    return fmt::format("{} {:<7} {}{}{}", time, level, one_line(text), besides, besides.empty() ? "" : "]");
}

void set_log_context(LogContext context) {
    const std::lock_guard lock(context_mutex);
    context_of_all = std::move(context);
}

void set_up_log(const LogConfig& config) {
    spdlog::sink_ptr sink;
    try {
        if (config.file.empty())
            sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
        else
            sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(config.file);
    } catch (const spdlog::spdlog_ex& error) {
        throw std::runtime_error("the log file " + config.file + " cannot be opened: " + error.what() +
                                 "; name another in [log] file");
    }
    auto logger = std::make_shared<spdlog::logger>("turnout", std::move(sink));
    logger->set_formatter(std::make_unique<Formatter>(config.format));
    logger->set_level(level_of(config.level));
    logger->flush_on(config.file.empty() ? spdlog::level::trace : spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
}

}  // namespace turnout::control
