// The table of configuration keys. Adding a key is adding a line here and a member to Config.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "control/config.hpp"

namespace turnout::control {

/// A key whose value is one of a few words.
struct ChoiceSlot {
    std::vector<std::string_view> words;
    std::function<std::size_t()> get;
    std::function<void(std::size_t)> set;
};

/// A whole number with its bounds, both included.
struct IntegerSlot {
    std::uint64_t least = 0;
    std::uint64_t most = 0;
    std::function<std::uint64_t()> get;
    std::function<void(std::uint64_t)> set;
};

/// Where a key's value lives in a Config. The alternative is the key's type.
using Slot = std::variant<std::string*, std::vector<std::string>*, bool*, Milliseconds*, ChoiceSlot, IntegerSlot>;

/// What a key is.
struct ConfigKey {
    std::string_view section;       ///< "proxy", "proxy.tls", "side.blue", ...
    std::string_view name;          ///< "listen"
    std::string_view default_toml;  ///< as it would be written in the file; empty: the key must be given
    bool reloadable = false;        ///< RELOAD changes it
    bool secret = false;            ///< may carry a password
    std::string_view description;   ///< one line, for the manual
    Slot (*slot)(Config&) = nullptr;

    std::string path() const { return std::string(section).append(".").append(name); }
};

/// All keys, in the order of the manual.
std::span<const ConfigKey> config_keys();

/// "a string", "a list of strings", ...: what the key's value has to be, for messages and the manual.
std::string type_name(const Slot& slot);

}  // namespace turnout::control
