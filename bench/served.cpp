#include "bench/served.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <stdexcept>

#include "bench/interrupt.hpp"
#include "bench/json_fields.hpp"
#include "bench/pq.hpp"

namespace turnout::bench {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

// They end a hang and are no expectations.
/// A side that does not answer at once is given so long before nobody is served for good.
constexpr auto kPatienceToReach = 3s;
constexpr auto kPatienceToStart = 60s;
constexpr auto kPatienceToStop = 30s;

std::string toml_quoted(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') quoted.push_back('\\');
        quoted.push_back(c);
    }
    return quoted + "\"";
}

std::string toml_list(const std::vector<std::string>& values) {
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "" : ", ") + toml_quoted(value);
    return "[" + list + "]";
}

}  // namespace

std::uint16_t free_port() {
    std::random_device seed;
    std::uniform_int_distribution<unsigned> any(20000, 31999);
    for (int attempt = 0; attempt < 1000; ++attempt) {
        const auto port = static_cast<std::uint16_t>(any(seed));
        const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const bool free = ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        ::close(descriptor);
        if (free) return port;
    }
    throw std::runtime_error("no free port between 20000 and 31999");
}

Served::Served(ServedOptions options) : options_(std::move(options)) {
    const fs::path parent = options_.parent.empty() ? fs::temp_directory_path() : fs::absolute(options_.parent);
    std::string name = (parent / "turnout-serve-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw std::runtime_error("cannot make a directory in " + parent.string() + ": " + std::strerror(errno));
    directory_ = name;
    keeper_ = std::make_unique<support::Keeper>(directory_);
    port_ = free_port();
    metrics_port_ = free_port();
    write_configuration();
    if (options_.start) start();
}

Served::~Served() {
    try {
        stop();
    } catch (const std::exception&) {
        kill();
    }
}

void Served::write_configuration() const {
    std::vector<std::string> listen{fmt::format("127.0.0.1:{}", port_)};
    for (const std::string& address : options_.listen_too) listen.push_back(fmt::format(fmt::runtime(address), port_));
    std::map<std::string, std::vector<std::string>> sections{
        {"proxy", {"listen = " + toml_list(listen), "state = " + toml_quoted((directory_ / "state").string())}},
        {"side.blue", {"url = " + toml_quoted(options_.blue)}},
        {"side.green", {"url = " + toml_quoted(options_.green)}},
        {"switch", {"databases = " + toml_list(options_.databases)}},
        {"admin", {"socket = " + toml_quoted(directory_.string())}},
        {"metrics", {fmt::format("listen = \"127.0.0.1:{}\"", metrics_port_)}},
    };
    for (const auto& [section, line] : options_.lines) sections[section].push_back(line);
    std::ofstream file(configuration());
    for (const auto& [section, lines] : sections) {
        file << "[" << section << "]\n";
        for (const std::string& line : lines) file << line << "\n";
    }
    if (!file.flush()) throw std::runtime_error("cannot write " + configuration().string());
    file.close();
    fs::permissions(configuration(), fs::perms::owner_read | fs::perms::owner_write);
}

void Served::start(const std::vector<std::string>& arguments) {
    std::vector<std::string> command{options_.program.string(), "serve", "--config", configuration().string()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    pid_ = support::spawn({.arguments = std::move(command),
                           .directory = directory_,
                           .output = directory_ / "log",
                           .user = std::nullopt,
                           .announce = keeper_->descriptor()});
    const auto deadline = std::chrono::steady_clock::now() + kPatienceToStart;
    for (;;) {
        check_interrupted();
        if (!running()) throw failure("it ended while starting");
        if (run({"show", "status"}).done()) break;
        if (std::chrono::steady_clock::now() > deadline) throw failure("it did not get ready");
    }
    // Who is active is found out a moment later, unless that cannot be found out: then clients, and the log, are told
    // so.
    const auto reached = std::chrono::steady_clock::now() + kPatienceToReach;
    while (status().at("active").is_null()) {
        check_interrupted();
        const auto now = std::chrono::steady_clock::now();
        if (now > deadline || (now > reached && log().find("nobody is served") != std::string::npos)) break;
    }
}

bool Served::running() {
    if (pid_ < 0) return false;
    if (!support::wait_for_exit(pid_, 0ms)) return true;
    pid_ = -1;
    keeper_->forget();
    return false;
}

int Served::stop() {
    if (!running()) return 0;
    ::kill(pid_, SIGTERM);
    const std::optional<int> status = support::wait_for_exit(pid_, kPatienceToStop);
    if (!status) throw failure("it did not stop");
    pid_ = -1;
    keeper_->forget();
    return WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
}

void Served::kill() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    support::wait_for_exit(pid_, kPatienceToStop);
    pid_ = -1;
    keeper_->forget();
}

std::string Served::log() const {
    std::ifstream file(directory_ / "log", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::runtime_error Served::failure(const std::string& what) const {
    const std::string text = log();
    constexpr std::size_t kEnd = 4000;
    return std::runtime_error("turnout serve: " + what + "\nThe end of its log:\n" +
                              text.substr(text.size() > kEnd ? text.size() - kEnd : 0));
}

std::string Served::conninfo(std::string_view user, std::string_view password, std::string_view database) const {
    std::string text = fmt::format("host=127.0.0.1 port={}", port_);
    text = with(with(text, "user", user), "dbname", database);
    return password.empty() ? text : with(text, "password", password);
}

Program::Options Served::verb(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), (options_.verbs.empty() ? options_.program : options_.verbs).string());
    arguments.insert(arguments.end(), {"--admin", directory_.string()});
    return {.arguments = std::move(arguments)};
}

Exit Served::run(std::vector<std::string> arguments, std::function<void(std::string_view)> on_error_line) const {
    Program::Options options = verb(std::move(arguments));
    options.on_error_line = std::move(on_error_line);
    return run_program(std::move(options));
}

boost::json::object Served::report(std::vector<std::string> arguments,
                                   std::function<void(std::string_view)> on_error_line) const {
    const std::string name = "turnout " + fmt::format("{}", fmt::join(arguments, " "));
    arguments.emplace_back("--json");
    const Exit exit = run(std::move(arguments), std::move(on_error_line));
    if (!exit.done())
        throw failure(fmt::format("{} ended with status {}: {}{}", name, exit.status, exit.err, exit.out));
    boost::json::error_code error;
    const boost::json::value parsed = boost::json::parse(exit.out, error);
    if (error || !parsed.is_object()) throw failure(name + " did not print an object: " + exit.out);
    return parsed.as_object();
}

boost::json::object Served::change() const {
    return report({text(status(), "active") == "green" ? "rollback" : "switch"});
}

}  // namespace turnout::bench
