#include "tests/support/cluster.hpp"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

#include "tests/support/cluster_certificate.hpp"
#include "tests/support/cluster_process.hpp"

namespace turnout::support {

namespace fs = std::filesystem;
using Settings = std::vector<std::pair<std::string, std::string>>;
using namespace std::chrono_literals;

namespace {

// Generous: they end a hang, they are not expectations.
constexpr auto patience_to_start = 120s;
constexpr auto patience_to_stop = 120s;
constexpr int newest_major_looked_for = 30;

std::string guc_quoted(std::string_view text) {
    std::string result = "'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') result += c == '\'' ? '\'' : '\\';
        result += c;
    }
    return result + "'";
}

std::string conninfo_quoted(std::string_view text) {
    std::string result = "'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') result += '\\';
        result += c;
    }
    return result + "'";
}

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string last_lines(const std::string& text, int count) {
    auto from = text.size();
    while (from > 0 && count >= 0) {
        --from;
        if (text[from] == '\n') --count;
    }
    return text.substr(from);
}

void append(const fs::path& path, const std::string& text) {
    std::ofstream file(path, std::ios::app | std::ios::binary);
    file << text;
    if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

void give_to(const fs::path& path, const std::optional<RunAs>& user) {
    if (user && ::chown(path.c_str(), user->uid, user->gid) != 0) {
        throw std::runtime_error("cannot give " + path.string() + " to " + user->name + ": " + std::strerror(errno));
    }
}

bool is_free(std::uint16_t port) {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free = ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(descriptor);
    return free;
}

// Ports that the kernel hands to clients (from 32768) would be taken by some connection between stop and start.
std::uint16_t free_port() {
    std::random_device seed;
    std::uniform_int_distribution<unsigned> any(20000, 31999);
    for (int attempt = 0; attempt < 1000; ++attempt) {
        const auto port = static_cast<std::uint16_t>(any(seed));
        if (is_free(port)) return port;
    }
    throw std::runtime_error("no free port between 20000 and 31999");
}

fs::path unpacked_root() {
    const char* root = std::getenv("TURNOUT_PG_ROOT");
    return root != nullptr ? root : TURNOUT_DEFAULT_PG_ROOT;
}

std::string_view method(ClusterAuth auth) {
    switch (auth) {
        case ClusterAuth::trust: return "trust";
        case ClusterAuth::md5: return "md5";
        case ClusterAuth::scram: return "scram-sha-256";
    }
    return "reject";
}

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

Result run(const Connection& connection, const std::string& name, const std::string& sql) {
    if (PQstatus(connection.get()) != CONNECTION_OK) {
        throw std::runtime_error(name + ": " + PQerrorMessage(connection.get()));
    }
    Result result(PQexec(connection.get(), sql.c_str()), &PQclear);
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
        throw std::runtime_error(name + ": " + PQerrorMessage(connection.get()) + "in: " + sql);
    }
    return result;
}

}  // namespace

std::optional<fs::path> server_binaries(int major) {
    const std::string number = std::to_string(major);
    std::vector<fs::path> candidates;
    if (const char* chosen = std::getenv(("TURNOUT_PG_" + number + "_BIN").c_str())) candidates.emplace_back(chosen);
    candidates.push_back(fs::path("/usr/lib/postgresql") / number / "bin");
    candidates.push_back(unpacked_root() / number / "native" / "bin");
    for (const auto& candidate : candidates) {
        std::error_code error;
        if (!fs::exists(candidate / "initdb", error) || !fs::exists(candidate / "postgres", error)) continue;
        const auto resolved = fs::canonical(candidate, error);
        if (!error) return resolved;
    }
    return std::nullopt;
}

std::vector<int> majors_available() {
    std::vector<int> majors;
    for (int major = 10; major <= newest_major_looked_for; ++major) {
        if (server_binaries(major)) majors.push_back(major);
    }
    return majors;
}

std::optional<fs::path> client_binaries(int major) {
    std::vector<fs::path> candidates;
    if (const char* chosen = std::getenv("TURNOUT_PG_BIN")) candidates.emplace_back(chosen);
    for (int installed = newest_major_looked_for; installed >= major; --installed) {
        const std::string number = std::to_string(installed);
        candidates.push_back(fs::path("/usr/lib/postgresql") / number / "bin");
        candidates.push_back(unpacked_root() / number / "client" / "bin");
    }
    for (const auto& candidate : candidates) {
        std::error_code error;
        if (fs::exists(candidate / "pg_dump", error)) return candidate;
    }
    return std::nullopt;
}

struct Cluster::State {
    ClusterOptions options;
    fs::path binaries;
    std::optional<RunAs> user;
    fs::path directory;
    std::unique_ptr<Keeper> keeper;
    std::uint16_t port = 0;
    pid_t postmaster = -1;
    bool frozen = false;

    fs::path data() const { return directory / "data"; }
    fs::path log_path() const { return directory / "log"; }

    std::runtime_error failure(const std::string& what) const {
        return std::runtime_error("PostgreSQL " + std::to_string(options.major) + " (" + options.name + "): " + what +
                                  "\nThe end of its log:\n" + last_lines(read_file(log_path()), 20));
    }

    void make_directory() {
        const fs::path parent = options.parent.empty() ? fs::temp_directory_path() : fs::absolute(options.parent);
        fs::create_directories(parent);
        std::string name = (parent / ("turnout-" + options.name + "-XXXXXX")).string();
        // A socket's whole path has to fit into 107 bytes.
        if (name.size() + std::strlen("/.s.PGSQL.00000.lock") > 107) {
            throw std::runtime_error("the path of a server's socket would be too long below " + parent.string());
        }
        if (::mkdtemp(name.data()) == nullptr) {
            throw std::runtime_error("cannot make a directory in " + parent.string() + ": " + std::strerror(errno));
        }
        directory = name;
        keeper = std::make_unique<Keeper>(directory);
        fs::permissions(directory, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                                       fs::perms::others_read | fs::perms::others_exec);
        give_to(directory, user);
    }

    void initialize() {
        const fs::path password_file = directory / "password";
        append(password_file, options.password + "\n");
        give_to(password_file, user);
        const pid_t initdb =
            spawn({.arguments = {(binaries / "initdb").string(), "-D", data().string(), "-U", "postgres", "-E", "UTF8",
                                 "--locale=C.UTF-8", "--no-sync", "-A", std::string(method(options.auth)),
                                 "--pwfile=" + password_file.string()},
                   .directory = directory,
                   .output = log_path(),
                   .user = user});
        const auto status = wait_for_exit(initdb, patience_to_start);
        if (!status) ::kill(initdb, SIGKILL);
        if (!status || *status != 0) throw failure("initdb failed");
        fs::remove(password_file);
    }

    void write_configuration() {
        const auto major = options.major;
        Settings settings = {
            {"listen_addresses", "127.0.0.1"},
            {"unix_socket_directories", directory.string()},
            {"wal_level", "logical"},
            {"max_connections", "200"},
            {"max_wal_senders", "24"},
            {"max_replication_slots", "24"},
            {"max_logical_replication_workers", "24"},
            {"max_worker_processes", "40"},
            {"max_prepared_transactions", "10"},
            {"fsync", options.fsync ? "on" : "off"},
            {"dynamic_shared_memory_type", "mmap"},  // in its own directory: nothing is left in /dev/shm by a crash
            {"password_encryption", options.auth == ClusterAuth::md5 ? "md5" : "scram-sha-256"},
            {"lc_messages", "C"},
            {"log_line_prefix", "%m [%p] "},
        };
        if (major >= 18) settings.emplace_back("max_active_replication_origins", "24");
        if (options.tls) {
            write_certificate(directory / "server.crt", directory / "server.key");
            give_to(directory / "server.key", user);
            settings.emplace_back("ssl", "on");
            settings.emplace_back("ssl_cert_file", (directory / "server.crt").string());
            settings.emplace_back("ssl_key_file", (directory / "server.key").string());
        }
        settings.insert(settings.end(), options.settings.begin(), options.settings.end());
        append_settings(settings);
        write_hba();
    }

    void append_settings(const Settings& settings) const {
        std::string text;
        for (const auto& [key, value] : settings) text.append(key).append(" = ").append(guc_quoted(value)).append("\n");
        append(data() / "postgresql.conf", text);
    }

    void write_hba() const {
        std::string text;
        for (const auto& line : options.hba) text += line + "\n";
        for (const std::string database : {"all", "replication"}) {
            text.append("local ").append(database).append(" all ").append(method(options.auth)).append("\n");
            text.append("host ")
                .append(database)
                .append(" all 127.0.0.1/32 ")
                .append(method(options.auth))
                .append("\n");
        }
        std::ofstream(data() / "pg_hba.conf", std::ios::trunc) << text;
    }

    // Starts the postmaster once; false if it ended before it was ready.
    bool launch(const Settings& extra) {
        std::vector<std::string> arguments = {(binaries / "postgres").string(), "-D", data().string(), "-p",
                                              std::to_string(port)};
        for (const auto& [key, value] : extra) {
            arguments.emplace_back("-c");
            arguments.push_back(key + "=" + value);
        }
        postmaster = spawn({.arguments = std::move(arguments),
                            .directory = directory,
                            .output = log_path(),
                            .user = user,
                            .announce = keeper->descriptor()});
        // By the socket in our own directory, since something else might answer at the port.
        const std::string address =
            "host=" + conninfo_quoted(directory.string()) + " port=" + std::to_string(port) + " connect_timeout=5";
        const auto deadline = std::chrono::steady_clock::now() + patience_to_start;
        while (std::chrono::steady_clock::now() < deadline) {
            if (PQping(address.c_str()) == PQPING_OK) return true;
            if (wait_for_exit(postmaster, 5ms)) {
                ended();
                return false;
            }
        }
        throw failure("it did not get ready within two minutes");
    }

    // A crash leaves the small System V segment that guards the data directory, and its id in the lock file.
    void remove_shared_memory() const {
        std::ifstream lock_file(data() / "postmaster.pid");
        std::string line;
        for (int number = 1; number <= 7; ++number) std::getline(lock_file, line);
        unsigned long key = 0;
        int id = -1;
        if (std::istringstream(line) >> key >> id) ::shmctl(id, IPC_RMID, nullptr);
    }

    void ended() {
        postmaster = -1;
        frozen = false;
        keeper->forget();
    }
};

Cluster::Cluster(ClusterOptions options) : state_(std::make_unique<State>()) {
    const auto binaries = server_binaries(options.major);
    if (!binaries) {
        throw std::runtime_error("PostgreSQL " + std::to_string(options.major) +
                                 " is not installed: run ./dev setup, or name its directory in TURNOUT_PG_" +
                                 std::to_string(options.major) + "_BIN");
    }
    state_->options = std::move(options);
    state_->binaries = *binaries;
    state_->user = server_user();
    state_->make_directory();
    state_->initialize();
    state_->write_configuration();
    start();
}

Cluster::~Cluster() {
    // The keeper would end the server as well, but not as gently.
    try {
        stop();
    } catch (const std::exception&) {
        // A server that cannot be stopped is killed by the keeper.
    }
}

void Cluster::start(const Settings& extra_settings) {
    if (running()) throw std::runtime_error(name() + " is running already");
    const bool port_is_ours = state_->port != 0 || state_->options.port != 0;
    // Whoever else looks for a free port may be quicker than our server.
    for (int attempts_left = port_is_ours ? 1 : 5; attempts_left > 0; --attempts_left) {
        if (!port_is_ours) state_->port = free_port();
        if (state_->port == 0) state_->port = state_->options.port;
        if (state_->launch(extra_settings)) return;
    }
    throw state_->failure("it ended while starting");
}

void Cluster::stop() {
    if (!running()) return;
    if (state_->frozen) thaw();
    ::kill(state_->postmaster, SIGINT);
    if (!wait_for_exit(state_->postmaster, patience_to_stop))
        throw state_->failure("it did not stop within two minutes");
    state_->ended();
}

void Cluster::restart() {
    stop();
    start();
}

void Cluster::crash() {
    if (!running()) return;
    const auto children = signal_tree(state_->postmaster, SIGKILL);
    const bool reaped = wait_for_exit(state_->postmaster, patience_to_stop).has_value();
    if (!reaped || !wait_until_gone(children, patience_to_stop)) throw state_->failure("it survived SIGKILL");
    state_->remove_shared_memory();
    state_->ended();
}

void Cluster::freeze() {
    signal_tree(state_->postmaster, SIGSTOP);
    state_->frozen = true;
}

void Cluster::thaw() {
    signal_tree(state_->postmaster, SIGCONT);
    state_->frozen = false;
}

bool Cluster::running() const { return state_->postmaster > 0; }
int Cluster::major() const { return state_->options.major; }
const std::string& Cluster::name() const { return state_->options.name; }
std::uint16_t Cluster::port() const { return state_->port; }
const fs::path& Cluster::directory() const { return state_->directory; }
std::string Cluster::log() const { return read_file(state_->log_path()); }
fs::path Cluster::certificate() const { return state_->directory / "server.crt"; }

std::string Cluster::conninfo(std::string_view database) const {
    std::string text = "host=127.0.0.1 port=" + std::to_string(port()) + " user=postgres";
    if (state_->options.auth != ClusterAuth::trust) text += " password=" + conninfo_quoted(state_->options.password);
    if (!database.empty()) text += " dbname=" + conninfo_quoted(database);
    return text;
}

std::string Cluster::socket_conninfo(std::string_view database) const {
    return conninfo(database) + " host=" + conninfo_quoted(directory().string());
}

void Cluster::execute(const std::string& sql, std::string_view database) const {
    const Connection connection(PQconnectdb(socket_conninfo(database).c_str()), &PQfinish);
    run(connection, name(), sql);
}

std::string Cluster::value(const std::string& sql, std::string_view database) const {
    const Connection connection(PQconnectdb(socket_conninfo(database).c_str()), &PQfinish);
    const Result result = run(connection, name(), sql);
    if (PQntuples(result.get()) == 0 || PQnfields(result.get()) == 0) return {};
    return PQgetvalue(result.get(), 0, 0);
}

void Cluster::configure(const Settings& settings) { state_->append_settings(settings); }

}  // namespace turnout::support
