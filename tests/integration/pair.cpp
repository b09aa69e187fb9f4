#include "tests/integration/pair.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <future>
#include <iostream>
#include <random>

namespace turnout::integration {

namespace {

std::unique_ptr<support::Cluster> make_server(const PairOptions& options, int major, const std::string& name) {
    support::ClusterOptions wanted;
    wanted.major = major;
    wanted.name = name;
    wanted.fsync = options.fsync;
    wanted.auth = options.auth;
    wanted.tls = options.tls;
    wanted.hba = options.hba;
    // Streams that turn round start their workers anew; by default a server waits 5 s between two starts.
    wanted.settings = {{"wal_retrieve_retry_interval", "100ms"}};
    wanted.settings.insert(wanted.settings.end(), options.settings.begin(), options.settings.end());
    return std::make_unique<support::Cluster>(std::move(wanted));
}

std::string verified(const support::Cluster& server) {
    return bench::with(bench::with(server.conninfo(""), "sslmode", "verify-full"), "sslrootcert",
                       server.certificate().string());
}

}  // namespace

Pair::Pair(PairOptions options) : options_(std::move(options)) {
    auto green = std::async(std::launch::async, make_server, options_, options_.green, "green");
    blue_ = make_server(options_, options_.blue, "blue");
    blue_->execute(fmt::format("CREATE ROLE {} LOGIN PASSWORD '{}'", kRole, "app''s password"));
    for (const std::string& database : options_.databases) {
        blue_->execute(fmt::format("CREATE DATABASE {} OWNER {}", database, kRole));
        if (options_.schema.empty()) continue;
        const bench::Connection connection = bench::connect(direct(*blue_, database));
        bench::run(connection.get(), options_.schema);
    }
    green_ = green.get();
    served_.program = options_.program;
    served_.verbs = TURNOUT_PROGRAM;
    served_.blue = blue_->conninfo("");
    served_.green = green_->conninfo("");
    served_.databases = options_.databases;
    served_.lines = options_.lines;
    served_.listen_too = options_.listen_too;
    if (options_.cables) {
        served_.blue = through_relay(*blue_, Cable::proxy_blue);
        served_.green = through_relay(*green_, Cable::proxy_green);
        served_.lines.emplace_back("side.blue", "replication_url = \"" + through_relay(*blue_, Cable::servers) + "\"");
        served_.lines.emplace_back("side.green",
                                   "replication_url = \"" + through_relay(*green_, Cable::servers) + "\"");
    }
    if (options_.tls) {
        served_.blue = verified(*blue_);
        served_.green = verified(*green_);
        served_.lines.emplace_back("proxy.tls", "cert = \"" + blue_->certificate().string() + "\"");
        served_.lines.emplace_back("proxy.tls", "key = \"" + (blue_->directory() / "server.key").string() + "\"");
    }
    turnout_ = std::make_unique<bench::Served>(served_);
}

/// A conninfo without a database that reaches a server through a relay of its own.
std::string Pair::through_relay(const support::Cluster& server, Cable cable) {
    const auto made = relays_.emplace(cable, std::make_unique<support::Relay>(server.port()));
    return bench::with(server.conninfo(""), "port", std::to_string(made->second->port()));
}

void Pair::cut(Cable cable) {
    const auto [first, last] = relays_.equal_range(cable);
    for (auto it = first; it != last; ++it) it->second->cut();
}

void Pair::mend(Cable cable) {
    const auto [first, last] = relays_.equal_range(cable);
    for (auto it = first; it != last; ++it) it->second->mend();
}

support::Cluster& Pair::active() { return turnout_->status().at("active").as_string() == "green" ? *green_ : *blue_; }

support::Cluster& Pair::standby() { return &active() == blue_.get() ? *green_ : *blue_; }

std::string Pair::conninfo(std::string_view database) const { return turnout_->conninfo(kRole, kPassword, database); }

std::string Pair::direct(const support::Cluster& server, std::string_view database) const {
    return bench::with(bench::with(bench::with(server.conninfo(database), "user", kRole), "password", kPassword),
                       "dbname", database);
}

boost::json::object Pair::change() { return turnout_->report({&active() == blue_.get() ? "switch" : "rollback"}); }

std::vector<std::string> turnout_objects(const support::Cluster& server, const std::vector<std::string>& databases) {
    std::vector<std::string> found;
    const auto collect = [&](const std::string& database, const std::string& sql) {
        const bench::Connection connection = bench::connect(server.conninfo(database));
        const bench::Result rows = bench::run(connection.get(), sql);
        for (int row = 0; row < PQntuples(rows.get()); ++row)
            found.push_back(database + ": " + std::string(bench::field(rows, row, 0)));
    };
    collect("postgres",
            "SELECT 'slot ' || slot_name FROM pg_replication_slots UNION ALL "
            "SELECT 'subscription ' || subname FROM pg_subscription UNION ALL "
            "SELECT 'origin ' || roname FROM pg_replication_origin");
    for (const std::string& database : databases)
        collect(database,
                "SELECT 'publication ' || pubname FROM pg_publication UNION ALL "
                "SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname LIKE 'turnout%' UNION ALL "
                "SELECT 'event trigger ' || evtname FROM pg_event_trigger UNION ALL "
                "SELECT 'setting ' || unnest(setconfig) FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())");
    return found;
}

bench::Exit psql(const std::string& conninfo, const std::string& script, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {bench::client_program("psql"), "-X", "-q", "-A", "-t"});
    arguments.push_back(conninfo);
    return bench::run_program({.arguments = std::move(arguments), .environment = {}, .input = script});
}

bench::Program::Options node(const std::string& script, std::vector<std::string> arguments) {
    const std::string folder = TURNOUT_SOURCE_DIR "/tests/integration/";
    arguments.insert(arguments.begin(), {"node", folder + script});
    return {.arguments = std::move(arguments),
            .environment = {{"NODE_PATH", TURNOUT_SOURCE_DIR "/.cache/npm/node_modules"}}};
}

char process_state(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto end = text.rfind(')');
    return end == std::string::npos || end + 2 >= text.size() ? '?' : text[end + 2];
}

std::uint64_t seed() {
    const char* given = std::getenv("TURNOUT_SEED");
    const std::uint64_t chosen = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "replay with TURNOUT_SEED=" << chosen << std::endl;
    return chosen;
}

}  // namespace turnout::integration
