#include "control/monitoring.hpp"

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "control/page/status_page.hpp"
#include "control/report_store.hpp"

namespace turnout::control {
namespace {

constexpr const char* kHtml = "text/html; charset=utf-8";
constexpr const char* kJson = "application/json";

HttpAnswer not_found() { return {.status = 404, .body = "no such page\n"}; }

HttpAnswer report(const std::filesystem::path& directory, std::string_view name) {
    if (directory.empty() || name.empty() || !is_report_name(name)) return not_found();
    std::ifstream file(directory / name, std::ios::binary);
    if (!file) return not_found();
    return {200, name.ends_with(".html") ? kHtml : kJson, {std::istreambuf_iterator<char>(file), {}}};
}

}  // namespace

HttpHandler monitoring_pages(const Metrics& metrics, std::filesystem::path reports) {
    return [&metrics, reports = std::move(reports)](std::string_view path) -> HttpAnswer {
        constexpr std::string_view kReports = "/reports/";
        if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", metrics.text()};
        if (path == "/healthz") return {.body = "alive\n"};
        if (path == "/readyz") {
            const bool serving = metrics.active().has_value();
            return {.status = serving ? 200U : 503U, .body = serving ? "serving\n" : "nobody is served\n"};
        }
        if (path == "/") return {200, kHtml, std::string(kStatusPage)};
        if (path.starts_with(kReports)) return report(reports, path.substr(kReports.size()));
        return not_found();
    };
}

}  // namespace turnout::control
