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

HttpAnswer not_found() {
    return http_error(404, "there is no such page: there are /, /metrics, /healthz, /readyz and /reports/NAME");
}

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
            if (metrics.active()) return {.body = "serving\n"};
            return http_error(503, "nobody is served: turnout show status tells why");
        }
        if (path == "/") return {200, kHtml, std::string(kStatusPage)};
        if (path == "/events")
            return http_error(503, "too many pages are open already: close those that nobody looks at");
        if (path.starts_with(kReports)) return report(reports, path.substr(kReports.size()));
        return not_found();
    };
}

}  // namespace turnout::control
