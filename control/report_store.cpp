#include "control/report_store.hpp"

#include <spdlog/spdlog.h>
#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cctype>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "control/report_page.hpp"

namespace turnout::control {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr std::size_t kMost = 100;

std::string text(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::int64_t number(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr) return 0;
    if (value->is_uint64()) return static_cast<std::int64_t>(value->get_uint64());
    return value->is_int64() ? value->get_int64() : 0;
}

json::object member(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_object() ? value->get_object() : json::object();
}

std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

ReportSummary summary_of(const json::object& record) {
    const json::object report = member(record, "report");
    ReportSummary summary;
    summary.id = text(record, "id");
    summary.time = text(record, "time");
    summary.verb = text(record, "verb");
    summary.outcome = text(report, "outcome");
    summary.from = text(report, "from");
    summary.to = text(report, "to");
    summary.generation = number(report, "generation");
    if (const json::value* window = report.if_contains("window_us"); window != nullptr && !window->is_null())
        summary.window_us = number(report, "window_us");
    summary.stall_max_us = number(member(report, "stall_us"), "max");
    summary.attempts = number(report, "attempts");
    summary.sessions = number(member(report, "sessions"), "total");
    summary.held = number(member(report, "sessions"), "held");
    return summary;
}

bool is_report_name(std::string_view name) {
    if (!name.ends_with(".html") && !name.ends_with(".json")) return false;
    return name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
               return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_';
           });
}

ReportStore::ReportStore(fs::path directory) : directory_(std::move(directory)) {
    if (directory_.empty()) return;
    std::vector<fs::path> files;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(directory_, none))
        if (entry.path().extension() == ".json") files.push_back(entry.path());
    std::sort(files.rbegin(), files.rend());  // names begin with the time
    files.resize(std::min(files.size(), kMost));
    for (const fs::path& file : files) {
        json::error_code wrong;
        const json::value record = json::parse(read(file), wrong);
        if (wrong || !record.is_object()) continue;  // not ours
        ReportSummary summary = summary_of(record.get_object());
        if (summary.id != file.stem()) continue;
        summary.path = fs::path(file).replace_extension(".html").string();
        summaries_.push_back(std::move(summary));
    }
}

void ReportStore::write(const std::string& name, std::string_view text) const {
    const fs::path target = directory_ / name;
    const fs::path unfinished = directory_ / ("." + name);
    std::ofstream stream(unfinished, std::ios::binary | std::ios::trunc);
    stream << text;
    stream.close();
    if (!stream)
        throw std::runtime_error(unfinished.string() +
                                 " cannot be written: name a directory with room in [report] directory");
    fs::rename(unfinished, target);
}

void ReportStore::add(const json::object& record) {
    ReportSummary summary = summary_of(record);
    if (!directory_.empty()) {
        try {
            fs::create_directories(directory_);
            write(summary.id + ".json", json::serialize(record) + "\n");
            write(summary.id + ".html", report_page(record));
            summary.path = (directory_ / (summary.id + ".html")).string();
            spdlog::info("report: {}", summary.path);
        } catch (const std::exception& error) {
            spdlog::warn("the report is not kept: {}; [report] directory names where", error.what());
        }
    }
    summaries_.push_front(std::move(summary));
    if (summaries_.size() > kMost) summaries_.pop_back();
}

void ReportStore::name_in(Answer& answer) const {
    if (summaries_.empty() || summaries_.front().path.empty()) return;
    const std::string& path = summaries_.front().path;
    if (answer.json.is_object()) answer.json.get_object()["report"] = path;
    if (!answer.table.rows.empty()) answer.table.rows.push_back({"report", path});
    if (!answer.text.empty()) answer.text += "  report       " + path + "\n";
    if (answer.failed()) answer.detail += (answer.detail.empty() ? "report: " : "\nreport: ") + path;
}

}  // namespace turnout::control
