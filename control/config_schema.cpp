#include "control/config_schema.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "control/config_table.hpp"

namespace turnout::control {

namespace json = boost::json;

namespace {

struct SchemaOf {
    json::object operator()(const std::string*) const { return {{"type", "string"}}; }
    json::object operator()(const std::vector<std::string>*) const {
        return {{"type", "array"}, {"items", {{"type", "string"}}}};
    }
    json::object operator()(const bool*) const { return {{"type", "boolean"}}; }
    json::object operator()(const Milliseconds*) const {
        return {{"type", "string"}, {"pattern", "^([0-9]+ *(us|ms|s|m|min|h|d)|0)$"}};
    }
    json::object operator()(const IntegerSlot& slot) const {
        return {{"type", "integer"}, {"minimum", slot.least}, {"maximum", slot.most}};
    }
    json::object operator()(const ChoiceSlot& slot) const {
        return {{"enum", json::array(slot.words.begin(), slot.words.end())}};
    }
};

/// The object of a section ("proxy.tls"), made where it is missing.
json::object& section_in(json::object& root, std::string_view path) {
    json::object* at = &root;
    for (;;) {
        const std::size_t dot = path.find('.');
        json::object& properties = at->at("properties").as_object();
        json::value& section = properties[path.substr(0, dot)];
        if (section.is_null())
            section = {{"type", "object"}, {"additionalProperties", false}, {"properties", json::object()}};
        at = &section.as_object();
        if (dot == std::string_view::npos) return *at;
        path.remove_prefix(dot + 1);
    }
}

void require(json::object& section, std::string_view name) {
    json::value& required = section["required"];
    if (required.is_null()) required = json::array();
    for (const json::value& known : required.as_array())
        if (known.as_string() == name) return;
    required.as_array().emplace_back(name);
}

}  // namespace

std::string config_schema() {
    Config config;
    json::object root{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                      {"title", "turnout.toml"},
                      {"type", "object"},
                      {"additionalProperties", false},
                      {"properties", json::object()}};
    for (const ConfigKey& key : config_keys()) {
        json::object& section = section_in(root, key.section);
        json::object schema = std::visit(SchemaOf{}, key.slot(config));
        schema["description"] = key.description;
        if (!key.default_toml.empty()) schema["default"] = json::parse(key.default_toml);
        section.at("properties").as_object()[key.name] = std::move(schema);
        if (!key.default_toml.empty()) continue;
        require(section, key.name);
        // A section with a key that must be given must be there itself, and so must the one around it.
        std::string_view path = key.section;
        for (std::size_t dot = path.rfind('.');; dot = path.rfind('.')) {
            const bool top = dot == std::string_view::npos;
            require(top ? root : section_in(root, path.substr(0, dot)), top ? path : path.substr(dot + 1));
            if (top) break;
            path = path.substr(0, dot);
        }
    }
    return json::serialize(root) + "\n";
}

}  // namespace turnout::control
