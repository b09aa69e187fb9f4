#include "bench/json_fields.hpp"

namespace turnout::bench {

namespace {

boost::json::array phases(const boost::json::object& report) {
    const boost::json::value* value = report.if_contains("phases");
    return value == nullptr || !value->is_array() ? boost::json::array() : value->get_array();
}

}  // namespace

std::int64_t integer(const boost::json::object& object, std::string_view key) {
    const boost::json::value* value = object.if_contains(key);
    if (value == nullptr) return 0;
    boost::json::error_code error;
    const auto number = value->to_number<std::int64_t>(error);
    return error ? 0 : number;
}

std::string text(const boost::json::object& object, std::string_view key) {
    const boost::json::value* value = object.if_contains(key);
    return value == nullptr || !value->is_string() ? "?" : std::string(value->get_string());
}

boost::json::object member(const boost::json::object& object, std::string_view key) {
    const boost::json::value* value = object.if_contains(key);
    return value == nullptr || !value->is_object() ? boost::json::object() : value->get_object();
}

std::int64_t phase_us(const boost::json::object& report, std::string_view name) {
    for (const boost::json::value& phase : phases(report))
        if (phase.is_object() && text(phase.get_object(), "name") == name) return integer(phase.get_object(), "us");
    return -1;
}

std::vector<std::string> phase_names(const boost::json::object& report) {
    std::vector<std::string> names;
    for (const boost::json::value& phase : phases(report))
        if (phase.is_object()) names.push_back(text(phase.get_object(), "name"));
    return names;
}

}  // namespace turnout::bench
