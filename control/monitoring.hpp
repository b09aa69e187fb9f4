// What the monitoring listener answers: /metrics, /healthz, /readyz, the status page at / and the
// reports of switches at /reports/. All of it only looks; nothing can be done here.
#pragma once

#include <filesystem>

#include "control/http.hpp"
#include "control/metrics.hpp"

namespace turnout::control {

/// `metrics` must outlive the handler. /healthz: the process lives. /readyz: 200 if a side is served, else
/// 503. `reports` is the directory of the reports; empty: there are none.
HttpHandler monitoring_pages(const Metrics& metrics, std::filesystem::path reports);

}  // namespace turnout::control
