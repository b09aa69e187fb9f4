#include "control/kubernetes/object_cache.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "control/kubernetes/fields.hpp"

namespace turnout::kubernetes {

namespace json = boost::json;

std::vector<std::string> ObjectCache::replace(const json::object& list) {
    std::map<std::string, Known> fresh;
    for (const json::value& item : array_in(list, {"items"})) {
        if (!item.is_object()) continue;
        const json::object& meta = object_in(item.get_object(), {"metadata"});
        fresh[text_in(meta, {"name"})] = {text_in(meta, {"resourceVersion"}), object_in(meta, {"labels"})};
    }
    std::vector<std::string> changed;
    for (const auto& [name, known] : fresh) {
        const auto before = known_.find(name);
        if (before == known_.end() || before->second.version != known.version) changed.push_back(name);
    }
    for (const auto& [name, known] : known_)
        if (!fresh.contains(name)) changed.push_back(name);
    known_ = std::move(fresh);
    version_ = text_in(list, {"metadata", "resourceVersion"});
    return changed;
}

ObjectCache::Event ObjectCache::take(const json::object& event) {
    const std::string type = text_in(event, {"type"});
    const json::object& object = object_in(event, {"object"});
    if (type == "ERROR") {
        // 410: what happened since is not remembered any more.
        const bool expired = number_in(object, {"code"}) == 410;
        if (expired) version_.clear();
        return {expired ? Said::expired : Said::failed, {}};
    }
    const std::string version = text_in(object, {"metadata", "resourceVersion"});
    if (!version.empty()) version_ = version;
    const std::string name = text_in(object, {"metadata", "name"});
    if (name.empty() || (type != "ADDED" && type != "MODIFIED" && type != "DELETED")) return {};
    if (type == "DELETED")
        known_.erase(name);
    else
        known_[name] = {version, object_in(object, {"metadata", "labels"})};
    return {Said::changed, name};
}

std::vector<std::string> ObjectCache::names() const {
    std::vector<std::string> names;
    for (const auto& [name, known] : known_) names.push_back(name);
    return names;
}

std::string ObjectCache::label(const std::string& name, std::string_view label) const {
    const auto found = known_.find(name);
    return found == known_.end() ? std::string() : text_in(found->second.labels, {label});
}

}  // namespace turnout::kubernetes
