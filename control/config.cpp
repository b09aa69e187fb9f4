#include "control/config.hpp"

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "control/config_table.hpp"
#include "control/duration.hpp"
#include "control/listen_address.hpp"
#include "control/nearest_word.hpp"
#include "control/secrets.hpp"
#include "control/server_address.hpp"
#include "control/switch_watch.hpp"

namespace turnout::control {
namespace {

struct Place {
    unsigned line = 1;
    unsigned column = 1;
};

Place place(const toml::source_region& region) { return {region.begin.line, region.begin.column}; }

std::string in_quotes(std::string_view text) { return std::string("'").append(text).append("'"); }

/// Collects what is wrong while a file is read, and where each key stands.
class Reading {
  public:
    explicit Reading(std::string file) : file_(std::move(file)) {}

    void refuse(Place at, std::string message) { problems_.push_back({file_, at.line, at.column, std::move(message)}); }
    void refuse(const std::string& key, std::string message) { refuse(place_of(key), std::move(message)); }

    void stands(const std::string& key, Place at) { places_[key] = at; }
    bool given(const std::string& key) const { return places_.contains(key); }

    /// Where the key is; where it is not written, where its section is; else the file's beginning.
    Place place_of(std::string key) const {
        for (;;) {
            if (const auto found = places_.find(key); found != places_.end()) return found->second;
            const std::size_t dot = key.rfind('.');
            if (dot == std::string::npos) return {};
            key.resize(dot);
        }
    }

    void finish() {
        std::stable_sort(problems_.begin(), problems_.end(), [](const ConfigProblem& a, const ConfigProblem& b) {
            return std::pair(a.line, a.column) < std::pair(b.line, b.column);
        });
        if (!problems_.empty()) throw ConfigRefused(std::move(problems_));
    }

  private:
    std::string file_;
    std::map<std::string, Place> places_;
    std::vector<ConfigProblem> problems_;
};

/// Puts a TOML value into its slot; what is wrong with it, or nothing.
struct Assign {
    const toml::node& node;
    const Slot& slot;

    std::optional<std::string> wrong_type() const { return "must be " + type_name(slot); }

    std::optional<std::string> operator()(std::string* target) const {
        const auto value = node.value_exact<std::string>();
        if (!value) return wrong_type();
        *target = *value;
        return std::nullopt;
    }
    std::optional<std::string> operator()(std::vector<std::string>* target) const {
        const toml::array* array = node.as_array();
        if (array == nullptr) return wrong_type();
        std::vector<std::string> strings;
        for (const toml::node& element : *array) {
            const auto value = element.value_exact<std::string>();
            if (!value) return wrong_type();
            strings.push_back(*value);
        }
        *target = std::move(strings);
        return std::nullopt;
    }
    std::optional<std::string> operator()(bool* target) const {
        const auto value = node.value_exact<bool>();
        if (!value) return wrong_type();
        *target = *value;
        return std::nullopt;
    }
    std::optional<std::string> operator()(Milliseconds* target) const {
        const auto text = node.value_exact<std::string>();
        const auto value = text ? parse_duration(*text) : std::nullopt;
        if (!value) return "must be a duration: " + std::string(kDurationHint);
        *target = *value;
        return std::nullopt;
    }
    std::optional<std::string> operator()(const IntegerSlot& target) const {
        const auto value = node.value_exact<std::int64_t>();
        if (!value || *value < 0 || static_cast<std::uint64_t>(*value) < target.least ||
            static_cast<std::uint64_t>(*value) > target.most)
            return wrong_type();
        target.set(static_cast<std::uint64_t>(*value));
        return std::nullopt;
    }
    std::optional<std::string> operator()(const ChoiceSlot& target) const {
        const auto value = node.value_exact<std::string>();
        if (!value) return wrong_type();
        const auto found = std::find(target.words.begin(), target.words.end(), *value);
        if (found == target.words.end()) {
            const auto nearest = nearest_word(*value, target.words);
            return "must be " + type_name(slot) + ", not " + in_quotes(*value) +
                   (nearest ? "; did you mean " + in_quotes(*nearest) + "?" : "");
        }
        target.set(static_cast<std::size_t>(found - target.words.begin()));
        return std::nullopt;
    }
};

std::optional<std::string> assign(const toml::node& node, const Slot& slot) {
    return std::visit(Assign{node, slot}, slot);
}

void set_defaults(Config& config) {
    for (const ConfigKey& key : config_keys()) {
        if (key.default_toml.empty()) continue;
        const toml::table table = toml::parse("value = " + std::string(key.default_toml));
        if (const auto wrong = assign(*table.get("value"), key.slot(config)))
            throw std::logic_error("the default of " + key.path() + " " + *wrong);
    }
}

bool is_section(std::string_view path) {
    return std::any_of(config_keys().begin(), config_keys().end(), [path](const ConfigKey& key) {
        return key.section == path || (key.section.starts_with(path) && key.section[path.size()] == '.');
    });
}

const ConfigKey* find_key(std::string_view section, std::string_view name) {
    for (const ConfigKey& key : config_keys())
        if (key.section == section && key.name == name) return &key;
    return nullptr;
}

/// The words that may stand in a section: its keys and its subsections' names.
std::vector<std::string_view> words_in(std::string_view section) {
    std::vector<std::string_view> words;
    for (const ConfigKey& key : config_keys()) {
        if (key.section == section) words.push_back(key.name);
        std::string_view rest = key.section;
        if (!section.empty()) {
            if (!rest.starts_with(section) || rest.size() <= section.size() || rest[section.size()] != '.') continue;
            rest.remove_prefix(section.size() + 1);
        }
        words.push_back(rest.substr(0, rest.find('.')));
    }
    return words;
}

void refuse_unknown(Reading& reading, const toml::key& key, const toml::node& node, std::string_view section) {
    const std::string what = node.is_table() ? "section" : "key";
    std::string message = "unknown " + what + " " + in_quotes(key.str()) +
                          (section.empty() ? std::string() : " in [" + std::string(section) + "]");
    if (const auto nearest = nearest_word(key.str(), words_in(section)))
        message += "; did you mean " + in_quotes(*nearest) + "?";
    reading.refuse(place(key.source()), std::move(message));
}

void read_table(Reading& reading, Config& config, const toml::table& table, const std::string& section) {
    for (const auto& [key, node] : table) {
        const std::string path = section.empty() ? std::string(key.str()) : section + "." + std::string(key.str());
        if (const toml::table* inner = node.as_table(); inner != nullptr && is_section(path)) {
            reading.stands(path, place(inner->source()));
            read_table(reading, config, *inner, path);
        } else if (const ConfigKey* known = find_key(section, key.str()); known != nullptr) {
            reading.stands(path, place(node.source()));
            if (const auto wrong = assign(node, known->slot(config)))
                reading.refuse(place(node.source()), in_quotes(key.str()) + " in [" + section + "] " + *wrong);
        } else if (is_section(path)) {
            reading.refuse(place(node.source()), in_quotes(path) + " is a section: write [" + path + "]");
        } else {
            refuse_unknown(reading, key, node, section);
        }
    }
}

void check_required(Reading& reading) {
    for (const ConfigKey& key : config_keys())
        if (key.default_toml.empty() && !reading.given(key.path()))
            reading.refuse(reading.place_of(key.path()), in_quotes(key.name) + " in [" + std::string(key.section) +
                                                             "] is missing: " + std::string(key.description));
}

void check_sides(Reading& reading, Config& config) {
    for (const Side side : {Side::blue, Side::green}) {
        const std::string section = "side." + std::string(name(side));
        for (const bool replication : {false, true}) {
            const SideConfig& given = config.sides[index(side)];
            const std::string& url = replication ? given.replication_url : given.url;
            const std::string key = section + (replication ? ".replication_url" : ".url");
            if (!reading.given(key) || (replication && url.empty())) continue;
            try {
                const ServerAddress address = server_address(url);
                if (replication) continue;
                config.data_plane.sides[index(side)] = address;
            } catch (const std::invalid_argument& wrong) {
                reading.refuse(key, in_quotes(key.substr(section.size() + 1)) + " in [" + section +
                                        "] cannot be used: " + wrong.what());
            }
        }
    }
    if (!config.sides[0].url.empty() && config.sides[0].url == config.sides[1].url)
        reading.refuse("side.green.url", "blue and green have the same url: they must be two servers");
}

void check_switch(Reading& reading, Config& config) {
    SwitchConfig& given = config.switching;
    std::vector<std::string> seen;
    for (const std::string& database : given.databases) {
        if (database.empty())
            reading.refuse("switch.databases", "'databases' in [switch] holds an empty name: take it out");
        if (database == given.journal_database)
            reading.refuse("switch.databases", "database " + in_quotes(database) +
                                                   " keeps the journal and cannot be switched itself: name another "
                                                   "journal_database");
        if (std::find(seen.begin(), seen.end(), database) != seen.end())
            reading.refuse("switch.databases", "database " + in_quotes(database) + " is named twice: take one out");
        seen.push_back(database);
    }
    if (reading.given("switch.databases") && given.databases.empty())
        reading.refuse("switch.databases", "'databases' in [switch] is empty: name at least one");
    if (given.max_pause <= Milliseconds{0})
        reading.refuse("switch.max_pause", "'max_pause' in [switch] must be above 0");
    if (given.deadline < given.max_pause)
        reading.refuse("switch.deadline", "'deadline' in [switch] (" + duration_text(given.deadline) +
                                              ") is shorter than 'max_pause' (" + duration_text(given.max_pause) +
                                              "): it must be longer");
    if (!given.rollback_if.empty() && !parse_watch_limits(given.rollback_if))
        reading.refuse("switch.rollback_if", "'rollback_if' in [switch]: " + std::string(kWatchLimitsHint));
    config.data_plane.databases = given.databases;
}

/// As PostgreSQL has it: somebody who is no superuser must be able to come in.
void check_reserve(Reading& reading, const Config& config) {
    const DataPlaneSettings& plane = config.data_plane;
    const std::size_t kept = plane.superuser_reserved_connections + plane.reserved_connections;
    if (kept < plane.max_client_connections) return;
    const std::string key =
        reading.given("proxy.reserved_connections") ? "reserved_connections" : "superuser_reserved_connections";
    reading.refuse("proxy." + key, "'superuser_reserved_connections' (" +
                                       std::to_string(plane.superuser_reserved_connections) +
                                       ") and 'reserved_connections' (" + std::to_string(plane.reserved_connections) +
                                       ") in [proxy] must be less together than 'max_client_connections' (" +
                                       std::to_string(plane.max_client_connections) + ")");
}

/// The console by the clients' listeners.
void check_remote_console(Reading& reading, const Config& config) {
    if (!config.data_plane.console) return;
    if (config.admin_users.empty() && config.stats_users.empty())
        reading.refuse("admin.remote",
                       "'remote' in [admin] lets nobody in: name roles in 'admin_users' or 'stats_users'");
    for (const std::string& database : config.switching.databases)
        if (database == "turnout" || database == "pgbouncer")
            reading.refuse("admin.remote",
                           "'remote' in [admin] makes " + in_quotes(database) +
                               " the console's name, but [switch] lists a database of that name: leave 'remote' out");
}

void check_listeners(Reading& reading, const Config& config) {
    if (config.data_plane.listen.empty())
        reading.refuse("proxy.listen", "'listen' in [proxy] is empty: name one address");
    for (const std::string& address : config.data_plane.listen) {
        if (const auto wrong = listen_address_problem(address, true))
            reading.refuse("proxy.listen", "'listen' in [proxy]: " + *wrong);
        if (address == "unix:" + config.admin_directory)
            reading.refuse("proxy.listen",
                           "'listen' in [proxy]: " + in_quotes(config.admin_directory) +
                               " holds the admin socket, of the same name: give the clients' socket, or "
                               "'socket' in [admin], another directory");
    }
    if (config.metrics_listen.empty()) return;
    if (const auto wrong = listen_address_problem(config.metrics_listen, false))
        reading.refuse("metrics.listen", "'listen' in [metrics]: " + *wrong);
}

void check_files(Reading& reading, const Config& config) {
    // sun_path holds 108 bytes with its end, and libpq adds "/.s.PGSQL.6432".
    constexpr std::size_t kLongestDirectory = 93;
    if (config.admin_directory.empty() || config.admin_directory.front() != '/')
        reading.refuse("admin.socket", "'socket' in [admin] must be a directory's absolute path");
    else if (config.admin_directory.size() > kLongestDirectory)
        reading.refuse("admin.socket", "'socket' in [admin] is too long for a Unix socket: at most " +
                                           std::to_string(kLongestDirectory) + " bytes");
    if (!config.data_plane.ident_file.empty() && config.data_plane.hba_file.empty())
        reading.refuse("auth.ident_file",
                       "'ident_file' in [auth] has no effect without 'hba_file': name that file, too");
    if (config.state_file.empty()) reading.refuse("proxy.state", "'state' in [proxy] must name a file");
    const ListenTls& tls = config.data_plane.tls;
    if (tls.mode == TlsMode::disable) return;
    if (tls.certificate.empty() || tls.key.empty())
        reading.refuse("proxy.tls.mode", "'mode' in [proxy.tls] needs 'cert' and 'key'");
    if (!tls.client_crl.empty() && tls.client_ca.empty())
        reading.refuse("proxy.tls.client_crl",
                       "'client_crl' in [proxy.tls] has no effect without 'client_ca': name that file, too");
}

}  // namespace

std::string ConfigProblem::text() const {
    std::string text = file;
    if (line > 0) text += ":" + std::to_string(line) + ":" + std::to_string(column);
    return text + ": " + message;
}

ConfigRefused::ConfigRefused(std::vector<ConfigProblem> problems)
    : std::runtime_error([&problems] {
          std::string text;
          for (const ConfigProblem& problem : problems) text += (text.empty() ? "" : "\n") + problem.text();
          return text;
      }()),
      problems_(std::move(problems)) {}

Config parse_config(std::string_view text, const std::string& file) {
    Config config;
    config.file = file;
    set_defaults(config);
    Reading reading(file);
    toml::table table;
    try {
        table = toml::parse(text, file);
    } catch (const toml::parse_error& wrong) {
        reading.refuse(place(wrong.source()), std::string(wrong.description()));
        reading.finish();
    }
    read_table(reading, config, table, "");
    check_required(reading);
    check_sides(reading, config);
    check_switch(reading, config);
    check_reserve(reading, config);
    check_remote_console(reading, config);
    check_listeners(reading, config);
    check_files(reading, config);
    reading.finish();
    return config;
}

namespace {

/// A value as it would be written in the file.
struct AsToml {
    std::string_view value;

    std::string quoted() const {
        std::string text = "\"";
        for (const char c : value) {
            if (c == '"' || c == '\\') text += '\\';
            text += c;
        }
        return text + "\"";
    }
    std::string operator()(const std::string*) const { return quoted(); }
    std::string operator()(const std::vector<std::string>*) const { return "[" + quoted() + "]"; }
    /// As it is only if it can be nothing else than what is wanted: a value may not bring more TOML with it.
    std::string operator()(const bool*) const {
        return value == "true" || value == "false" ? std::string(value) : quoted();
    }
    std::string operator()(const Milliseconds*) const { return quoted(); }
    std::string operator()(const IntegerSlot&) const {
        const bool digits = !value.empty() && value.find_first_not_of("0123456789") == std::string_view::npos;
        return digits ? std::string(value) : quoted();
    }
    std::string operator()(const ChoiceSlot&) const { return quoted(); }
};

}  // namespace

Config changed(const Config& running, std::string_view path, std::string_view value) {
    Config config = running;
    Reading reading("SET");
    const std::size_t dot = path.rfind('.');
    const ConfigKey* key =
        dot == std::string_view::npos ? nullptr : find_key(path.substr(0, dot), path.substr(dot + 1));
    if (key == nullptr) {
        reading.refuse(Place{0, 0}, "there is no key " + in_quotes(path) + "; SHOW CONFIG lists them");
    } else if (!key->reloadable) {
        reading.refuse(Place{0, 0}, in_quotes(path) + " changes with a restart only: write it into " + running.file);
    } else {
        const Slot slot = key->slot(config);
        std::optional<std::string> wrong;
        try {
            const toml::table table = toml::parse("value = " + std::visit(AsToml{value}, slot));
            wrong = assign(*table.get("value"), slot);
        } catch (const toml::parse_error&) {
            wrong = "must be " + type_name(slot);
        }
        if (wrong) reading.refuse(Place{0, 0}, in_quotes(path) + " " + *wrong);
    }
    reading.finish();
    check_switch(reading, config);
    check_reserve(reading, config);
    check_remote_console(reading, config);
    check_files(reading, config);
    reading.finish();
    return config;
}

std::filesystem::path report_directory(const Config& config) {
    if (config.report_directory.empty()) return {};
    return std::filesystem::absolute(config.state_file).parent_path() / config.report_directory;
}

Config load_config(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    if (!stream.is_open() || stream.bad() || std::filesystem::is_directory(file)) {
        const std::string reason = std::filesystem::is_directory(file) ? "it is a directory" : std::strerror(errno);
        throw ConfigRefused({{file.string(), 0, 0, "the configuration cannot be read: " + reason}});
    }
    return parse_config(text, file.string());
}

}  // namespace turnout::control
