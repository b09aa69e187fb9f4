#include "control/monitoring.hpp"

#include <fmt/format.h>
#include <string>

namespace turnout::control {
namespace {

constexpr const char* kPage = R"(<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>turnout</title>
<style>body {{ font: 16px/1.5 sans-serif; margin: 2em; color-scheme: light dark }}</style>
<h1>turnout {}</h1>
<p>{}</p>
<ul>
<li><a href="/metrics">/metrics</a>: for Prometheus
<li><a href="/healthz">/healthz</a>: the process lives
<li><a href="/readyz">/readyz</a>: a side is served
</ul>
</html>
)";

std::string page(const Metrics& metrics) {
    const auto active = metrics.active();
    return fmt::format(kPage, metrics.version(),
                       active ? fmt::format("{} is served.", name(*active)) : "Nobody is served.");
}

}  // namespace

HttpHandler monitoring_pages(const Metrics& metrics) {
    return [&metrics](std::string_view path) -> HttpAnswer {
        if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", metrics.text()};
        if (path == "/healthz") return {.body = "alive\n"};
        if (path == "/readyz") {
            const bool serving = metrics.active().has_value();
            return {.status = serving ? 200U : 503U, .body = serving ? "serving\n" : "nobody is served\n"};
        }
        if (path == "/") return {200, "text/html; charset=utf-8", page(metrics)};
        return {.status = 404, .body = "no such page\n"};
    };
}

}  // namespace turnout::control
