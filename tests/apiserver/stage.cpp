#include "tests/apiserver/stage.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "control/kubernetes/api_client.hpp"
#include "control/kubernetes/fields.hpp"

namespace turnout::apiserver {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

/// The PgUpgrade `app`; empty: there is none, or the server is away. kubectl would take a hundred times as long.
json::object upgrade(const ControlPlane& plane) {
    boost::asio::io_context context(1);
    kubernetes::ApiClient client(context.get_executor(), plane.access());
    json::object found;
    boost::asio::co_spawn(context, client.get(client.path(kubernetes::resource::upgrades, "app")),
                          [&found](std::exception_ptr thrown, json::object object) {
                              if (!thrown) found = std::move(object);
                          });
    context.run();
    return found;
}

}  // namespace

std::string manifest(const std::string& name) { return std::string(TURNOUT_SOURCE_DIR) + "/deploy/kubernetes/" + name; }

void define_upgrades(const ControlPlane& plane) {
    plane.must({"apply", "-f", manifest("crd.yaml")});
    const std::vector<std::string> wait{"wait", "--for=condition=Established", "crd/pgupgrades.turnout.internal",
                                        "--timeout=60s"};
    // It ends at once while there are no conditions at all.
    for (int tries = 0; tries < 20; ++tries)
        if (plane.kubectl(wait).done()) return;
    plane.must(wait);
}

Stage::Stage() {
    define_upgrades(plane);
    plane.must({"apply", "-f", manifest("rbac.yaml")});
    plane.give_token();
    plane.must({"create", "secret", "generic", "postgres-superuser", "--from-literal=username=postgres",
                "--from-literal=password=the superuser's"});
    plane.must({"apply", "-f", manifest("sample/old-server.yaml")});
    kubelet = std::make_unique<Kubelet>(plane.access(), TURNOUT_PROGRAM, plane.directory());
    if (!until([this] { return kubelet->runs("deployments/postgres-old"); }, "the old server runs")) return;
    support::Cluster& old = kubelet->server("deployments/postgres-old");
    old.execute("CREATE ROLE app LOGIN PASSWORD 'app'");
    old.execute("CREATE DATABASE app OWNER app");
    ::setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1", 1);
    ::setenv("KUBERNETES_SERVICE_PORT", std::to_string(plane.port()).c_str(), 1);
}

Stage::~Stage() {
    if (testing::Test::HasFailure()) {
        std::cout << plane.kubectl({"get", "pgu", "app", "-o", "yaml"}).out << "\n---- turnout\n"
                  << kubelet->log("deployments/app-turnout") << std::endl;
        for (const auto& [identity, pid] : operators_)
            std::cout << "\n---- " << identity << "\n" << operator_log(identity) << std::endl;
    }
    while (!operators_.empty()) kill_operator(std::string(operators_.begin()->first));
    kubelet.reset();
}

void Stage::start_operator(const std::string& identity, const std::filesystem::path& kubeconfig) {
    std::vector<std::string> arguments{TURNOUT_PROGRAM, "operator", "--identity", identity};
    if (kubeconfig.empty())
        arguments.insert(arguments.end(), {"--service-account", plane.service_account().string()});
    else
        arguments.insert(arguments.end(), {"--kubeconfig", kubeconfig.string()});
    operators_[identity] =
        support::spawn({.arguments = std::move(arguments), .directory = plane.directory(), .output = log_of(identity)});
}

void Stage::kill_operator(const std::string& identity) {
    const auto found = operators_.find(identity);
    if (found == operators_.end()) return;
    ::kill(found->second, SIGKILL);
    ::waitpid(found->second, nullptr, 0);
    operators_.erase(found);
}

int Stage::stop_operator(const std::string& identity) {
    const pid_t pid = operator_pid(identity);
    if (pid == 0) return -1;
    ::kill(pid, SIGTERM);
    const auto status = support::wait_for_exit(pid, 30s);
    if (!status) return -1;
    operators_.erase(identity);
    return WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
}

bool Stage::operator_runs(const std::string& identity) {
    const pid_t pid = operator_pid(identity);
    if (pid == 0) return false;
    if (!support::wait_for_exit(pid, 0ms)) return true;
    operators_.erase(identity);
    return false;
}

pid_t Stage::operator_pid(const std::string& identity) const {
    const auto found = operators_.find(identity);
    return found == operators_.end() ? 0 : found->second;
}

std::string Stage::operator_log(const std::string& identity) const {
    std::ifstream stream(log_of(identity), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void Stage::forget_log(const std::string& identity) const { std::ofstream(log_of(identity), std::ios::trunc); }

std::string Stage::leader() const {
    return plane.kubectl({"get", "lease", "turnout-operator", "-o", "jsonpath={.spec.holderIdentity}"}).out;
}

bool Stage::until(const std::function<bool()>& holds, const std::string& what, std::chrono::minutes longest) {
    const auto deadline = std::chrono::steady_clock::now() + longest;
    while (!holds()) {
        if (kept_ && !operator_runs()) start_operator();
        if (std::chrono::steady_clock::now() > deadline) {
            ADD_FAILURE() << "waited in vain until " << what;
            return false;
        }
        std::this_thread::sleep_for(200ms);
    }
    return true;
}

std::string Stage::look(const std::string& jsonpath) const {
    const json::object object = upgrade(plane);
    const json::object* inside = &object;
    std::istringstream steps(jsonpath.substr(2, jsonpath.size() - 3));
    std::string step;
    std::string found;
    while (inside != nullptr && std::getline(steps, step, '.')) {
        const json::value* const value = inside->if_contains(step);
        found = value == nullptr ? "" : value->is_string() ? value->as_string().c_str() : json::serialize(*value);
        inside = value == nullptr ? nullptr : value->if_object();
    }
    return found;
}

bool Stage::until_phase(const std::string& phase) {
    return until([&] { return look("{.status.phase}") == phase; }, "the phase is " + phase);
}

std::string Stage::condition(const std::string& type, const std::string& member) const {
    const json::object object = upgrade(plane);
    for (const json::value& item : kubernetes::array_in(object, {"status", "conditions"}))
        if (kubernetes::text_in(item.as_object(), {"type"}) == type)
            return kubernetes::text_in(item.as_object(), {member});
    return {};
}

void Stage::patch(const std::string& spec) const {
    plane.must({"patch", "pgu", "app", "--type=merge", "-p", "{\"spec\":" + spec + "}"});
}

void Stage::apply(const std::string& spec) const {
    const std::string merged = plane.must({"patch", "--local", "--type=merge", "-o", "json", "-p",
                                           "{\"spec\":" + spec + "}", "-f", manifest("sample/pgupgrade.yaml")});
    plane.must({"apply", "-f", "-"}, merged);
}

bool Stage::exists(const std::string& object) const { return plane.kubectl({"get", object}).done(); }

bool Stage::gone() const {
    const bench::Exit exit = plane.kubectl({"get", "pgu", "-o", "name"});
    return exit.done() && exit.out.empty();
}

void Stage::expect_nothing_noticed(const bench::Ledger& ledger) const {
    const bench::Totals totals = ledger.totals();
    EXPECT_GT(totals.writes, 0u);
    EXPECT_EQ(totals.errors, 0u);
    EXPECT_EQ(totals.reconnects, 0u);
    EXPECT_EQ(totals.unknown, 0u);
    for (const std::string& text : totals.error_texts) ADD_FAILURE() << text;
    const bench::Audit audit = bench::audit({&ledger}, conninfo());
    EXPECT_TRUE(audit.clean()) << audit.summary();
    std::cout << totals.writes << " writes acknowledged; " << audit.summary() << std::endl;
}

void Stage::tell(const std::string& step) const {
    std::cout << "== " << step << "\n" << plane.kubectl({"get", "pgu", "-o", "wide"}).out << std::flush;
}

}  // namespace turnout::apiserver
