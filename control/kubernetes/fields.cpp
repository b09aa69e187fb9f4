#include "control/kubernetes/fields.hpp"

#include <boost/json/value.hpp>

namespace turnout::kubernetes {

namespace json = boost::json;

const json::value* find_in(const json::object& object, Path path) {
    const json::object* inside = &object;
    const json::value* found = nullptr;
    for (const std::string_view member : path) {
        if (inside == nullptr) return nullptr;
        found = inside->if_contains(member);
        if (found == nullptr) return nullptr;
        inside = found->if_object();
    }
    return found;
}

const json::object& object_in(const json::object& object, Path path) {
    static const json::object kNone;
    const json::value* const found = find_in(object, path);
    return found != nullptr && found->is_object() ? found->get_object() : kNone;
}

const json::array& array_in(const json::object& object, Path path) {
    static const json::array kNone;
    const json::value* const found = find_in(object, path);
    return found != nullptr && found->is_array() ? found->get_array() : kNone;
}

std::string text_in(const json::object& object, Path path) {
    const json::value* const found = find_in(object, path);
    return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

std::int64_t number_in(const json::object& object, Path path) {
    const json::value* const found = find_in(object, path);
    if (found == nullptr) return 0;
    if (found->is_int64()) return found->get_int64();
    return found->is_uint64() ? static_cast<std::int64_t>(found->get_uint64()) : 0;
}

}  // namespace turnout::kubernetes
