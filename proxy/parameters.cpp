#include "proxy/parameters.hpp"

#include <algorithm>

namespace turnout::proxy {

std::optional<std::string_view> Parameters::find(std::string_view name) const {
    std::optional<std::string_view> last;
    for (const auto& [known, value] : *this) {
        if (known == name) last = value;
    }
    return last;
}

bool Parameters::has(std::string_view name, std::string_view value) const {
    return std::any_of(begin(), end(), [&](const auto& one) { return one.first == name && one.second == value; });
}

void Parameters::add(std::string_view name, std::string_view value) {
    packed_.append(name).push_back('\0');
    packed_.append(value).push_back('\0');
}

void Parameters::set(std::string_view name, std::string_view value) {
    if (const auto held = find(name)) {
        packed_.replace(static_cast<std::size_t>(held->data() - packed_.data()), held->size(), value);
    } else {
        add(name, value);
    }
}

}  // namespace turnout::proxy
