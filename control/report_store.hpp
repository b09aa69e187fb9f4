// The reports of switches, rollbacks and rehearsals, kept as files: <id>.json and <id>.html, for the change ticket.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/answer.hpp"

namespace turnout::control {

/// One line of SHOW HISTORY.
struct ReportSummary {
    std::string id;    ///< the file's name without its ending
    std::string time;  ///< UTC, ISO 8601
    std::string verb;
    std::string outcome;
    std::string from;
    std::string to;
    std::int64_t generation = 0;
    std::optional<std::int64_t> window_us;
    std::int64_t stall_max_us = 0;
    std::int64_t attempts = 0;
    std::int64_t sessions = 0;
    std::int64_t held = 0;
    std::string path;  ///< of the HTML file; empty: it could not be written
};

/// Takes what it needs from a record (switch_record.hpp).
ReportSummary summary_of(const boost::json::object& record);

/// True for what may be a report's file name; never a path.
bool is_report_name(std::string_view name);

/// One thread. The files may be read by others at any time: they appear whole.
class ReportStore {
  public:
    /// Reads what is there; `directory` empty: reports are remembered only, not kept.
    explicit ReportStore(std::filesystem::path directory);

    /// Keeps a record. What cannot be written is logged, and remembered all the same.
    void add(const boost::json::object& record);

    /// Youngest first; at most the last hundred.
    std::vector<ReportSummary> list() const { return {summaries_.begin(), summaries_.end()}; }

    /// Tells in a verb's answer where its report is: the youngest one.
    void name_in(Answer& answer) const;

    const std::filesystem::path& directory() const { return directory_; }

  private:
    void write(const std::string& name, std::string_view text) const;

    std::filesystem::path directory_;
    std::deque<ReportSummary> summaries_;
};

}  // namespace turnout::control
