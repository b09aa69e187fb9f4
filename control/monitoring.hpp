// What the monitoring listener answers: /metrics, /healthz, /readyz and a plain page at /.
#pragma once

#include "control/http.hpp"
#include "control/metrics.hpp"

namespace turnout::control {

/// `metrics` must outlive the handler. /healthz: the process lives. /readyz: 200 if a side is served, else 503.
HttpHandler monitoring_pages(const Metrics& metrics);

}  // namespace turnout::control
