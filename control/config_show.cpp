// The other directions of the table: a Config shown, and a Config taken over by RELOAD.
#include <cstddef>

#include "control/config.hpp"
#include "control/config_table.hpp"
#include "control/duration.hpp"
#include "control/secrets.hpp"
#include "control/server_address.hpp"

namespace turnout::control {
namespace {

struct Show {
    std::string operator()(const std::string* value) const { return *value; }
    std::string operator()(const std::vector<std::string>* value) const {
        std::string text;
        for (const std::string& element : *value) text += (text.empty() ? "" : ", ") + element;
        return text;
    }
    std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
    std::string operator()(const Milliseconds* value) const { return duration_text(*value); }
    std::string operator()(const IntegerSlot& slot) const { return std::to_string(slot.get()); }
    std::string operator()(const ChoiceSlot& slot) const { return std::string(slot.words[slot.get()]); }
};

struct Copy {
    const Slot& from;

    template <class Value>
    void operator()(Value* to) const {
        *to = *std::get<Value*>(from);
    }
    void operator()(const IntegerSlot& to) const { to.set(std::get<IntegerSlot>(from).get()); }
    void operator()(const ChoiceSlot& to) const { to.set(std::get<ChoiceSlot>(from).get()); }
};

std::string show(const ConfigKey& key, Config& config) {
    const std::string text = std::visit(Show{}, key.slot(config));
    return key.secret ? hide_passwords(text) : text;
}

/// A default as SHOW CONFIG prints it: without TOML's quotes and brackets.
std::string plain(std::string_view toml) {
    std::string text;
    for (const char c : toml)
        if (c != '"' && c != '[' && c != ']') text += c;
    return text;
}

}  // namespace

std::vector<ConfigRow> config_rows(const Config& config) {
    Config copy = config;
    std::vector<ConfigRow> rows;
    for (const ConfigKey& key : config_keys())
        rows.push_back(
            {key.path(), show(key, copy), plain(key.default_toml), key.reloadable, std::string(key.description)});
    return rows;
}

Config reloaded(const Config& running, const Config& fresh, std::vector<std::string>& unchanged) {
    Config result = fresh;
    Config before = running;
    for (const ConfigKey& key : config_keys()) {
        if (key.reloadable) continue;
        const Slot from = key.slot(before);
        const Slot to = key.slot(result);
        if (std::visit(Show{}, from) == std::visit(Show{}, to)) continue;
        unchanged.push_back(key.path());
        std::visit(Copy{from}, to);
    }
    // These two are made of keys that only a restart changes.
    result.data_plane.sides = running.data_plane.sides;
    result.data_plane.databases = running.data_plane.databases;
    return result;
}

bool has_passwords(const Config& config) {
    for (const SideConfig& side : config.sides)
        if (has_password(side.url) || has_password(side.replication_url)) return true;
    return false;
}

}  // namespace turnout::control
