#include "protocol/session_changes.hpp"

#include <algorithm>

#include "protocol/frontend_messages.hpp"

namespace turnout::protocol {

void SessionChanges::add(Change changes) noexcept {
    since_read_ |= changes;
    ever_ |= changes;
}

SqlReading SessionChanges::read(std::string_view text, bool whole) {
    SqlReading reading = what_it_may_change(text, {.whole = whole, .standard_conforming_strings = conforming_});
    for (const std::string& name : reading.setting_names) learn(name);
    reading.setting_names.clear();
    if (has(reading.changes, Change::sql_prepare)) sql_prepared_ |= reading.changes;
    if (has(reading.changes, Change::code)) reading.changes |= sql_prepared_;
    add(reading.changes);
    return reading;
}

void SessionChanges::learn(std::string_view name) {
    if (setting_names_.contains(name)) return;
    if (name_bytes_ + name.size() > most_name_bytes) {
        names_lost_ = true;
        return;
    }
    name_bytes_ += name.size();
    setting_names_.emplace(name);
}

void SessionChanges::on_parse(std::string_view body, bool whole) {
    const std::size_t name_size = body.find('\0');
    if (name_size == std::string_view::npos) return add(Change::unseen);
    const std::string_view name = body.substr(0, name_size);
    std::string_view text = body.substr(name_size + 1);
    SqlReading reading = read(text.substr(0, text.find('\0')), whole);
    Effect effect{reading.changes, std::move(reading.setting_parameters)};
    const auto known = effects_.find(name);
    if (known == effects_.end()) {
        if (effect.changes != Change::none) keep(name, std::move(effect));
    } else if (name.empty()) {
        known->second = std::move(effect);
    } else {
        // If this Parse fails because the name is taken, the earlier statement lives on: keep both.
        known->second.changes |= effect.changes;
        std::vector<std::uint16_t>& numbers = known->second.name_parameters;
        for (const std::uint16_t number : effect.name_parameters) {
            if (std::find(numbers.begin(), numbers.end(), number) == numbers.end()) numbers.push_back(number);
        }
    }
}

void SessionChanges::keep(std::string_view name, Effect effect) {
    if (effects_.size() < most_effects) {
        effects_.emplace(name, std::move(effect));
    } else {
        crowd_ |= effect.changes | Change::unseen;
    }
}

void SessionChanges::on_bind(std::string_view body, bool whole) {
    if (effects_.empty()) return;
    add(crowd_);
    Bind bind;
    if (!whole || parse(body, bind)) {
        for (const auto& [name, effect] : effects_) add(effect.changes | Change::unseen);
        return;
    }
    const auto effect = effects_.find(bind.statement);
    if (effect == effects_.end()) return;
    add(effect->second.changes);
    for (const std::uint16_t number : effect->second.name_parameters) {
        if (number == 0 || number > bind.parameters.size()) continue;
        if (const auto& name = bind.parameters[number - 1U]) learn(*name);
    }
}

void SessionChanges::on_frontend(FrontendType type, std::string_view body, bool whole) {
    if (type == FrontendType::query) {
        (void)read(body.substr(0, body.find('\0')), whole);
    } else if (type == FrontendType::parse) {
        on_parse(body, whole);
    } else if (type == FrontendType::bind) {
        on_bind(body, whole);
    } else if (type == FrontendType::function_call) {
        add(Change::code);  // the function is named by its OID: set_config has one, too
    }
}

void SessionChanges::on_command_complete(std::string_view tag) { add(what_tag_tells(tag.substr(0, tag.find('\0')))); }

}  // namespace turnout::protocol
