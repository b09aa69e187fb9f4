#include "bench/peers.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <future>

#include "bench/interrupt.hpp"
#include "bench/pq.hpp"

namespace turnout::bench {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto kPatience = 20s;

std::string replaced(std::string text, const std::vector<std::pair<std::string, std::string>>& words) {
    for (const auto& [word, value] : words) {
        for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + value.size()))
            text.replace(at, word.size(), value);
    }
    return text;
}

std::string contents(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Owned by whom the server's processes run as: PgBouncer refuses to run as root.
void hand_over(const fs::path& path) {
    const auto user = support::server_user();
    if (user && ::chown(path.c_str(), user->uid, user->gid) != 0)
        throw std::runtime_error(
            fmt::format("cannot give {} to {}: {}", path.string(), user->name, std::strerror(errno)));
}

std::unique_ptr<support::Cluster> make_server(int major, const std::string& name, unsigned connections) {
    support::ClusterOptions options;
    options.major = major;
    options.name = name;
    options.tls = true;
    options.settings = {
        {"shared_buffers", "256MB"}, {"max_wal_size", "4GB"}, {"max_connections", std::to_string(connections + 100)}};
    return std::make_unique<support::Cluster>(std::move(options));
}

}  // namespace

fs::path installed(const fs::path& path) {
    if (const char* root = std::getenv("TURNOUT_PEERS"); root != nullptr) {
        const fs::path unpacked = fs::path(root) / path.relative_path();
        if (fs::exists(unpacked)) return unpacked;
    }
    return path;
}

fs::path peers_file(std::string_view name) { return fs::path(TURNOUT_SOURCE_DIR "/bench/peers") / name; }

Peer::Peer(std::string name, const support::Cluster& server, std::vector<std::string> arguments,
           const std::string& configuration)
    : name_(std::move(name)), configuration_(configuration), port_(free_port()) {
    std::string made = (fs::temp_directory_path() / "turnout-peer-XXXXXX").string();
    if (::mkdtemp(made.data()) == nullptr) throw std::runtime_error("cannot make a directory for " + name_);
    directory_ = made;
    keeper_ = std::make_unique<support::Keeper>(directory_);
    hand_over(directory_);
    if (!configuration_.empty()) {
        std::ofstream(directory_ / "users") << "\"app\" \"app\"\n";
        hand_over(directory_ / "users");
        point_at(server);
    }
    for (std::string& argument : arguments) argument = replaced(argument, words(server));
    pid_ = support::spawn({.arguments = std::move(arguments),
                           .directory = directory_,
                           .output = directory_ / "said",
                           .user = configuration_.starts_with("pgbouncer") ? support::server_user() : std::nullopt,
                           .announce = keeper_->descriptor()});
    await(server);
}

std::vector<std::pair<std::string, std::string>> Peer::words(const support::Cluster& server) const {
    return {{"{port}", std::to_string(port_)},
            {"{server}", std::to_string(server.port())},
            {"{directory}", directory_.string()},
            {"{certificate}", server.certificate().string()},
            {"{key}", (server.directory() / "server.key").string()},
            {"{modules}", installed("/usr/lib/nginx/modules").string()}};
}

void Peer::write_for(const support::Cluster& server, const fs::path& file) const {
    std::ofstream(file) << replaced(contents(peers_file(configuration_)), words(server));
    hand_over(file);
}

void Peer::point_at(const support::Cluster& server) const { write_for(server, configuration()); }

fs::path Peer::prepare_for(const support::Cluster& server) const {
    fs::path next = configuration();
    next += ".next";
    write_for(server, next);
    return next;
}

Peer::Peer(std::string name, ServedOptions options)
    : name_(std::move(name)), served_(std::make_unique<Served>(std::move(options))) {
    port_ = served_->port();
}

Peer::Peer(std::string name, const support::Cluster& server) : name_(std::move(name)), port_(server.port()) {}

void Peer::begin() {
    if (served_ && !served_->running()) served_->start();
}

void Peer::end() {
    if (served_) served_->stop();
}

Peer::~Peer() {
    if (pid_ <= 0) return;
    const std::vector<pid_t> children = support::signal_tree(pid_, SIGTERM);
    if (!support::wait_for_exit(pid_, kPatience)) ::kill(pid_, SIGKILL);
    support::wait_until_gone(children, kPatience);
    keeper_->forget();
}

void Peer::await(const support::Cluster& server) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    const std::string through = with(with(server.conninfo("app"), "port", std::to_string(port_)), "host", "127.0.0.1");
    for (;;) {
        check_interrupted();
        const Connection connection = try_connect(with(with(through, "user", "app"), "password", "app"));
        if (PQstatus(connection.get()) == CONNECTION_OK) return;
        const bool ended = support::wait_for_exit(pid_, 0ms).has_value();
        if (!ended && std::chrono::steady_clock::now() < deadline) continue;
        if (ended) pid_ = 0;
        throw std::runtime_error(fmt::format("{} does not accept connections: {}\n{}", name_,
                                             PQerrorMessage(connection.get()), contents(directory_ / "said")));
    }
}

PeerStage::PeerStage(int major, unsigned connections) {
    auto green = std::async(std::launch::async, make_server, major, "green", 20);
    blue_ = make_server(major, "blue", connections);
    green_ = green.get();
    blue_->execute("CREATE ROLE app LOGIN PASSWORD 'app'");
    blue_->execute("CREATE DATABASE app OWNER app");
}

std::string PeerStage::conninfo(const Peer& peer, bool tls) const {
    return fmt::format("host=127.0.0.1 port={} user=app password=app dbname=app sslmode={}", peer.port(),
                       tls ? "require" : "disable");
}

ServedOptions PeerStage::served_options(const fs::path& program, unsigned workers) const {
    ServedOptions options;
    options.program = program;
    options.start = false;
    // By TCP and without TLS, as the peers.
    options.blue = with(with(blue_->conninfo(""), "host", "127.0.0.1"), "sslmode", "disable");
    options.green = with(with(green_->conninfo(""), "host", "127.0.0.1"), "sslmode", "disable");
    options.lines = {{"proxy", fmt::format("workers = {}", workers)},
                     {"proxy.tls", "mode = \"allow\""},
                     {"proxy.tls", "cert = \"" + blue_->certificate().string() + "\""},
                     {"proxy.tls", "key = \"" + (blue_->directory() / "server.key").string() + "\""}};
    return options;
}

std::vector<std::unique_ptr<Peer>> PeerStage::everyone(const fs::path& turnout,
                                                       std::vector<std::string>& missing) const {
    std::vector<std::unique_ptr<Peer>> peers;
    peers.push_back(std::make_unique<Peer>("direct", *blue_));
    peers.push_back(std::make_unique<Peer>(
        "bare relay", *blue_,
        std::vector<std::string>{(turnout.parent_path() / "bench" / "turnout_bare_relay").string(), "{port}",
                                 "{server}"},
        ""));
    peers.push_back(std::make_unique<Peer>("turnout, 1 worker", served_options(turnout, 1)));
    peers.push_back(std::make_unique<Peer>("turnout, 2 workers", served_options(turnout, 2)));
    const auto add = [&](const std::string& name, const std::string& program, std::vector<std::string> arguments,
                         const std::string& configuration) {
        const fs::path path = installed("/usr/sbin/" + program);
        if (!fs::exists(path)) {
            missing.push_back(name);
            return;
        }
        arguments.insert(arguments.begin(), path.string());
        peers.push_back(std::make_unique<Peer>(name, *blue_, std::move(arguments), configuration));
    };
    add("PgBouncer", "pgbouncer", {"{directory}/pgbouncer.ini"}, "pgbouncer.ini");
    add("HAProxy", "haproxy", {"-db", "-f", "{directory}/haproxy.cfg"}, "haproxy.cfg");
    add("nginx", "nginx", {"-e", "stderr", "-p", "{directory}", "-c", "{directory}/nginx.conf"}, "nginx.conf");
    return peers;
}

}  // namespace turnout::bench
