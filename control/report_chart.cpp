#include "control/report_chart.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <boost/json/value.hpp>
#include <cmath>
#include <functional>
#include <string_view>
#include <vector>

#include "control/report_page.hpp"

namespace turnout::control {

namespace json = boost::json;

namespace {

constexpr double kWidth = 880;
constexpr double kLeft = 96;
constexpr double kRight = 24;

double number(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::string text(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// 1, 2 or 5 times a power of ten, so that about `wanted` of them make up `span`.
double tick(double span, int wanted) {
    if (span <= 0) return 1;
    const double rough = span / wanted;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (power * factor >= rough) return power * factor;
    return power * 10;
}

struct Scale {
    double from = 0;
    double to = 1;
    double least = 0;
    double most = 1;
    double operator()(double value) const {
        return most > least ? from + (to - from) * (value - least) / (most - least) : from;
    }
};

std::string start(double height, std::string_view title) {
    return fmt::format("<svg class=\"chart\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n", kWidth,
                       height, html(title));
}

std::string time_axis(const Scale& x, double top, double bottom, const std::function<std::string(double)>& label) {
    std::string svg;
    const double step = tick(x.most - x.least, 7);
    for (double at = std::ceil(x.least / step) * step; at <= x.most + step / 1000; at += step)
        svg += fmt::format(
            "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
            "<text class=\"axis\" x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\">{4}</text>\n",
            x(at), top, bottom, bottom + 18, label(std::abs(at) < step / 1000 ? 0 : at));
    return svg;
}

struct Point {
    double at = 0;
    double value = 0;
};

/// A filled step line. Values hold until the next one.
std::string area(const std::vector<Point>& points, const Scale& x, const Scale& y, std::string_view style) {
    std::string line;
    for (std::size_t i = 0; i < points.size(); ++i)
        line += fmt::format("{}{:.1f},{:.1f} ", i == 0 ? "M" : "L", x(points[i].at), y(points[i].value));
    return fmt::format(
        "<path class=\"fill {0}\" d=\"{1}L{2:.1f},{3:.1f} L{4:.1f},{3:.1f} Z\"/><path class=\"line {0}\" d=\"{1}\"/>\n",
        style, line, x(points.back().at), y(y.least), x(points.front().at));
}

std::string panel(const std::vector<Point>& points, const Scale& x, double top, double height, std::string_view style,
                  std::string_view title) {
    double most = 1;
    for (const Point& point : points) most = std::max(most, point.value);
    const double step = tick(most, 3);
    const Scale y{top + height, top, 0, std::ceil(most / step) * step};
    std::string svg =
        fmt::format("<text class=\"label\" x=\"{}\" y=\"{:.1f}\">{}</text>\n", kLeft, top - 8, html(title));
    for (double at = 0; at <= y.most + step / 1000; at += step)
        svg += fmt::format(
            "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
            "<text class=\"axis\" x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:g}</text>\n",
            kLeft, kWidth - kRight, y(at), kLeft - 8, y(at) + 4, at);
    return svg + area(points, x, y, style);
}

/// The moment of the timeline's zero, if it is in the picture.
std::string gate_closes(const Scale& x, double height) {
    if (x.least >= 0 || x.most <= 0) return {};
    return fmt::format(
        "<line class=\"now\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"8\" y2=\"{1:.1f}\"/>"
        "<text class=\"nowlabel\" x=\"{2:.1f}\" y=\"14\" text-anchor=\"end\">the gate closes</text>\n",
        x(0), height - 34, x(0) - 6);
}

/// Close together they would be a thicket: the busiest moment of each pixel stands for it.
std::vector<Point> thinned(const std::vector<Point>& points, const Scale& x) {
    std::vector<Point> kept;
    for (const Point& point : points) {
        if (!kept.empty() && x(point.at) - x(kept.back().at) < 1.5)
            kept.back().value = std::max(kept.back().value, point.value);
        else
            kept.push_back(point);
    }
    return kept;
}

}  // namespace

std::string duration_label(double us) {
    const double size = std::abs(us);
    if (size < 1000) return fmt::format("{:.0f} µs", us);
    if (size < 10'000) return fmt::format("{:.2f} ms", us / 1000);
    if (size < 1'000'000) return fmt::format("{:.1f} ms", us / 1000);
    return fmt::format("{:.1f} s", us / 1'000'000);
}

std::string window_chart(const json::array& phases, double window_us) {
    if (phases.empty()) return {};
    constexpr double kRow = 34;
    constexpr double kBar = 20;
    const double height = kRow * static_cast<double>(phases.size()) + 34;
    double end = window_us;
    for (const json::value& phase : phases)
        end = std::max(end, number(phase.as_object(), "began_us") + number(phase.as_object(), "us"));
    const Scale x{kLeft, kWidth - kRight - 76, 0, std::max(end, 1.0)};
    std::string svg = start(height, "The window, phase by phase");
    svg += time_axis(x, 4, height - 30, [](double us) { return duration_label(us); });
    double top = 4;
    for (const json::value& value : phases) {
        const json::object& phase = value.as_object();
        const double began = number(phase, "began_us");
        const double took = number(phase, "us");
        const double width = std::max(2.0, x(began + took) - x(began));
        svg += fmt::format(
            "<text class=\"label\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>"
            "<rect class=\"bar\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" rx=\"4\"/>"
            "<text class=\"value\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
            kLeft - 12, top + kBar - 3, html(text(phase, "name")), x(began), top + 2, width, kBar, x(began) + width + 8,
            top + kBar - 3, duration_label(took));
        top += kRow;
    }
    return svg + "</svg>\n";
}

std::string timeline_chart(const json::array& timeline) {
    if (timeline.size() < 2) return {};
    constexpr double kPanel = 96;
    constexpr double kGap = 34;
    std::vector<Point> rate;
    std::vector<Point> busy;
    std::vector<Point> held;
    for (const json::value& value : timeline) {
        const json::object& point = value.as_object();
        const double at = number(point, "at_ms");
        if (point.contains("transactions_per_second")) rate.push_back({at, number(point, "transactions_per_second")});
        const json::value* sessions = point.if_contains("sessions");
        if (sessions == nullptr || !sessions->is_object()) continue;
        busy.push_back(
            {at, number(sessions->get_object(), "active") + number(sessions->get_object(), "in_transaction")});
        held.push_back({at, number(sessions->get_object(), "held")});
    }
    if (rate.empty() || busy.empty()) return {};
    const Scale x{kLeft, kWidth - kRight, busy.front().at, std::max(busy.back().at, busy.front().at + 1)};
    const double height = 3 * (kPanel + kGap) + 20;
    double top = 20;
    std::string svg = start(height, "The minute before the window, and what came after it");
    svg += time_axis(x, top, height - 34, [](double ms) { return fmt::format("{:g} s", ms / 1000); });
    for (const auto& [points, style, title] :
         {std::tuple{&rate, "rate", "transactions a second"}, std::tuple{&busy, "busy", "sessions in a transaction"},
          std::tuple{&held, "held", "sessions held at the gate"}}) {
        svg += panel(thinned(*points, x), x, top, kPanel - 10, style, title);
        top += kPanel + kGap;
    }
    return svg + gate_closes(x, height) + "</svg>\n";
}

std::string positions_chart(const json::array& positions) {
    constexpr double kPanel = 96;
    constexpr double kGap = 34;
    std::vector<Point> blue, green;
    for (const json::value& value : positions) {
        const json::object& point = value.as_object();
        for (auto* side : {&blue, &green}) {
            const json::value* bytes = point.if_contains(side == &blue ? "blue" : "green");
            if (bytes != nullptr && bytes->is_number())
                side->push_back({number(point, "at_ms"), bytes->to_number<double>() / 1000});
        }
    }
    if (blue.size() < 2 || green.size() < 2) return {};
    const Scale x{kLeft, kWidth - kRight, std::min(blue.front().at, green.front().at),
                  std::max(blue.back().at, green.back().at)};
    const double height = 2 * (kPanel + kGap) + 20;
    double top = 20;
    std::string svg = start(height, "What both sides wrote before the window and after it");
    svg += time_axis(x, top, height - 34, [](double ms) { return fmt::format("{:g} s", ms / 1000); });
    for (const auto& [points, style, title] : {std::tuple{&blue, "rate", "kB of WAL written on blue"},
                                               std::tuple{&green, "busy", "kB of WAL written on green"}}) {
        svg += panel(thinned(*points, x), x, top, kPanel - 10, style, title);
        top += kPanel + kGap;
    }
    return svg + gate_closes(x, height) + "</svg>\n";
}

}  // namespace turnout::control
