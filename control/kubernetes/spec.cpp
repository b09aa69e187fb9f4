#include "control/kubernetes/spec.hpp"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <limits>
#include <utility>

#include "control/duration.hpp"
#include "control/switch_watch.hpp"

namespace turnout::kubernetes {

namespace json = boost::json;
using namespace std::string_view_literals;

namespace {

/// Reads members of one object; what is wrong is collected with the member's path.
class Reader {
  public:
    Reader(const json::object& object, std::string path, std::vector<SpecProblem>& problems)
        : object_(object), path_(std::move(path)), problems_(problems) {}

    std::string text(std::string_view member, std::string fallback = {}) const {
        const json::value* const value = find(member);
        if (value == nullptr) return fallback;
        if (value->is_string()) return std::string(value->get_string());
        problem(member, "has to be a text");
        return fallback;
    }

    std::string required(std::string_view member, std::string_view what) const {
        std::string value = text(member);
        if (value.empty()) problem(member, "is missing: " + std::string(what));
        return value;
    }

    bool flag(std::string_view member) const {
        const json::value* const value = find(member);
        if (value == nullptr) return false;
        if (value->is_bool()) return value->get_bool();
        problem(member, "has to be true or false");
        return false;
    }

    std::int64_t number(std::string_view member, std::int64_t fallback, std::int64_t least, std::int64_t most) const {
        const json::value* const value = find(member);
        if (value == nullptr) return fallback;
        std::int64_t number = 0;
        if (value->is_int64()) number = value->get_int64();
        if (value->is_uint64()) number = std::numeric_limits<std::int64_t>::max();
        if (value->is_number() && number >= least && number <= most) return number;
        problem(member, "has to be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
        return fallback;
    }

    /// Which of the words it is; the first if it is absent or none of them.
    template <std::size_t count>
    std::size_t choice(std::string_view member, const std::array<std::string_view, count>& words) const {
        const std::string value = text(member, std::string(words.front()));
        const auto found = std::find(words.begin(), words.end(), value);
        if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
        std::string known;
        for (const std::string_view word : words) known.append(known.empty() ? "" : ", ").append(word);
        problem(member, "'" + value + "' is none of " + known);
        return 0;
    }

    template <std::size_t count>
    std::string word(std::string_view member, const std::array<std::string_view, count>& words) const {
        return std::string(words[choice(member, words)]);
    }

    std::string duration(std::string_view member, std::string fallback) const {
        std::string value = text(member, fallback);
        const auto parsed = control::parse_duration(value);
        if (parsed && parsed->count() > 0) return value;
        problem(member, "'" + value + "' is no duration: " + std::string(control::kDurationHint));
        return fallback;
    }

    json::object object(std::string_view member) const {
        const json::value* const value = find(member);
        if (value == nullptr) return {};
        if (value->is_object()) return value->get_object();
        problem(member, "has to be an object");
        return {};
    }

    Reader inside(const json::object& inner, std::string_view member) const {
        return {inner, path_ + "." + std::string(member), problems_};
    }

    const json::value* find(std::string_view member) const {
        const json::value* const value = object_.if_contains(member);
        return value == nullptr || value->is_null() ? nullptr : value;
    }

    void problem(std::string_view member, std::string message) const {
        problems_.push_back({path_ + "." + std::string(member), std::move(message)});
    }

  private:
    const json::object& object_;
    std::string path_;
    std::vector<SpecProblem>& problems_;
};

/// 17 of "registry/postgres:17.2-bookworm"; nothing where the tag does not begin with a number.
std::optional<int> major_of(std::string_view image) {
    const auto slash = image.rfind('/');
    const auto colon = image.find(':', slash == std::string_view::npos ? 0 : slash);
    if (colon == std::string_view::npos) return std::nullopt;
    const std::string_view tag = image.substr(colon + 1);
    int major = 0;
    const auto read = std::from_chars(tag.data(), tag.data() + tag.size(), major);
    if (read.ec != std::errc{} || major < 1 || major > 99) return std::nullopt;
    return major;
}

void read_databases(const Reader& reader, Spec& spec) {
    const std::string one = reader.text("dbname");
    if (const json::value* const list = reader.find("databases")) {
        if (!list->is_array()) {
            reader.problem("databases", "has to be a list of names");
            return;
        }
        for (const json::value& item : list->get_array()) {
            if (item.is_string() && !item.get_string().empty())
                spec.databases.emplace_back(item.get_string());
            else
                reader.problem("databases", "each has to be the name of a database");
        }
    }
    if (!one.empty() && std::find(spec.databases.begin(), spec.databases.end(), one) == spec.databases.end())
        spec.databases.insert(spec.databases.begin(), one);
    if (spec.databases.empty()) reader.problem("databases", "is missing: name the databases to move, or one in dbname");
    for (const std::string& database : spec.databases) {
        if (database == "postgres")
            reader.problem("databases", "'postgres' keeps turnout's journal and cannot be moved: leave it out");
    }
}

void read_old_side(const Reader& reader, Spec& spec) {
    spec.old_host = reader.required("olddbhost", "the host or Service of the old server");
    spec.old_port = static_cast<std::uint16_t>(reader.number("olddbport", 5432, 1, 65535));
    spec.old_sslmode = reader.word("oldsslmode", std::array{"prefer"sv, "disable"sv, "require"sv});
    spec.traffic_service = reader.text("trafficService");
    const json::object workload = reader.object("oldWorkload");
    if (workload.empty()) return;
    const Reader inside = reader.inside(workload, "oldWorkload");
    spec.old_workload = WorkloadName{inside.word("kind", std::array{"Deployment"sv, "StatefulSet"sv}),
                                     inside.required("name", "the workload that runs the old server")};
}

void read_new_side(const Reader& reader, Spec& spec) {
    spec.image = reader.required("image", "the image of the new server, such as postgres:17");
    spec.major = major_of(spec.image);
    if (!spec.image.empty() && !spec.major)
        reader.problem("image", "'" + spec.image +
                                    "' does not tell the major version: use a tag that begins with it, "
                                    "such as postgres:17");
    const json::object storage = reader.object("storage");
    const Reader inside = reader.inside(storage, "storage");
    spec.storage_size = inside.text("size", "10Gi");
    spec.storage_class = inside.text("storageClassName");
    spec.resources = reader.object("resources");
}

void read_secrets(const Reader& reader, Spec& spec) {
    const json::object credentials = reader.object("credentials");
    spec.credentials_secret =
        reader.inside(credentials, "credentials")
            .required("secretName", "a Secret with the keys username and password of a superuser of the old server");
    const json::object tls = reader.object("tls");
    if (tls.empty()) return;
    const Reader inside = reader.inside(tls, "tls");
    spec.tls_secret = inside.required("secretName", "a Secret with the keys tls.crt and tls.key");
    spec.require_tls = inside.choice("mode", std::array{"allow"sv, "require"sv}) == 1;
}

void read_policies(const Reader& reader, Spec& spec) {
    spec.max_pause = reader.duration("maxPause", "100ms");
    spec.deadline = reader.duration("deadline", "60s");
    const json::object policies = reader.object("policies");
    const Reader inside = reader.inside(policies, "policies");
    spec.pinned = inside.word("pinned", std::array{"wait"sv, "end"sv, "refuse"sv});
    spec.long_transactions = inside.word("longTransactions", std::array{"wait"sv, "cancel"sv, "read_only"sv});
    spec.bypassing = inside.word("bypassing", std::array{"refuse"sv, "end"sv});
    spec.verify = reader.flag("verify");
    const json::object watch = reader.object("watch");
    const Reader watching = reader.inside(watch, "watch");
    const std::string duration = watching.duration("duration", "10m");
    spec.watch = control::parse_duration(duration).value_or(std::chrono::minutes(10));
    spec.rollback_if = watching.text("rollbackIf");
    if (!spec.rollback_if.empty() && !control::parse_watch_limits(spec.rollback_if))
        watching.problem("rollbackIf",
                         "'" + spec.rollback_if + "' is no limit: " + std::string(control::kWatchLimitsHint));
}

}  // namespace

std::string_view name(Cutover cutover) {
    switch (cutover) {
        case Cutover::manual: return "Manual";
        case Cutover::when_caught_up: return "WhenCaughtUp";
        case Cutover::abort: return "Abort";
        case Cutover::rollback: return "Rollback";
    }
    return "Manual";
}

ParsedSpec parse_spec(const json::object& object) {
    ParsedSpec parsed;
    Spec& spec = parsed.spec;
    const Reader reader(object, "spec", parsed.problems);
    read_new_side(reader, spec);
    read_databases(reader, spec);
    read_old_side(reader, spec);
    read_secrets(reader, spec);
    read_policies(reader, spec);
    spec.subscription = reader.text("subname");
    spec.publication = reader.text("pubname");
    const json::object proxy = reader.object("proxy");
    spec.proxy_image = reader.inside(proxy, "proxy").text("image", "turnout:latest");
    spec.proxy_resources = reader.inside(proxy, "proxy").object("resources");
    spec.cutover = static_cast<Cutover>(
        reader.choice("cutover", std::array{"Manual"sv, "WhenCaughtUp"sv, "Abort"sv, "Rollback"sv}));
    if (reader.flag("finishsync") && spec.cutover == Cutover::manual) spec.cutover = Cutover::when_caught_up;
    spec.finish = static_cast<Finish>(reader.choice("finish", std::array{"Manual"sv, "AfterWatch"sv}));
    spec.retire_old = reader.flag("killdeployments");
    spec.reclaim = static_cast<ReclaimPolicy>(reader.choice("reclaimPolicy", std::array{"Retain"sv, "Delete"sv}));
    if (spec.retire_old && !spec.old_workload)
        reader.problem("killdeployments",
                       "names nothing to remove: name the old server's workload in spec.oldWorkload");
    return parsed;
}

json::object frozen_fields(const Spec& spec) {
    return {{"image", spec.image},
            {"databases", json::array(spec.databases.begin(), spec.databases.end())},
            {"olddbhost", spec.old_host},
            {"olddbport", spec.old_port},
            {"credentials.secretName", spec.credentials_secret},
            {"storage.size", spec.storage_size},
            {"storage.storageClassName", spec.storage_class},
            {"trafficService", spec.traffic_service}};
}

std::vector<SpecProblem> changed_fields(const json::object& frozen, const Spec& spec) {
    std::vector<SpecProblem> problems;
    const json::object now = frozen_fields(spec);
    for (const auto& [field, value] : frozen) {
        const json::value* const current = now.if_contains(field);
        if (current == nullptr || *current == value) continue;
        problems.push_back(
            {"spec." + std::string(field), "cannot be changed once the version change has begun: set it back to " +
                                               json::serialize(value) + ", or delete the object and make a new one"});
    }
    return problems;
}

}  // namespace turnout::kubernetes
