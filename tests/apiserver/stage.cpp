#include "tests/apiserver/stage.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

namespace turnout::apiserver {

using namespace std::chrono_literals;

std::string manifest(const std::string& name) { return std::string(TURNOUT_SOURCE_DIR) + "/deploy/kubernetes/" + name; }

Stage::Stage(std::string rbac) {
    plane.must({"apply", "-f", manifest("crd.yaml")});
    plane.must({"wait", "--for=condition=Established", "crd/pgupgrades.turnout.internal", "--timeout=60s"});
    if (rbac.empty())
        plane.must({"apply", "-f", manifest("rbac.yaml")});
    else
        plane.must({"apply", "-f", "-"}, rbac);
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
        std::cout << plane.kubectl({"get", "pgu", "app", "-o", "yaml"}).out << "\n---- operator\n"
                  << operator_log() << "\n---- turnout\n"
                  << kubelet->log("deployments/app-turnout") << std::endl;
    }
    kill_operator();
    kubelet.reset();
}

void Stage::start_operator(const std::string& identity) {
    operator_ = support::spawn({.arguments = {TURNOUT_PROGRAM, "operator", "--service-account",
                                              plane.service_account().string(), "--identity", identity},
                                .directory = plane.directory(),
                                .output = plane.directory() / "operator.log"});
}

void Stage::kill_operator() {
    if (operator_ <= 0) return;
    ::kill(operator_, SIGKILL);
    ::waitpid(operator_, nullptr, 0);
    operator_ = -1;
}

int Stage::stop_operator() {
    ::kill(operator_, SIGTERM);
    const auto status = support::wait_for_exit(operator_, 30s);
    if (!status) return -1;
    operator_ = -1;
    return WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
}

bool Stage::operator_runs() {
    if (operator_ <= 0) return false;
    if (!support::wait_for_exit(operator_, 0ms)) return true;
    operator_ = -1;
    return false;
}

std::string Stage::operator_log() const {
    std::ifstream stream(plane.directory() / "operator.log", std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void Stage::forget_log() const { std::ofstream(plane.directory() / "operator.log", std::ios::trunc); }

bool Stage::until(const std::function<bool()>& holds, const std::string& what) {
    const auto deadline = std::chrono::steady_clock::now() + 2min;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > deadline) {
            ADD_FAILURE() << "waited in vain until " << what;
            return false;
        }
        std::this_thread::sleep_for(200ms);
    }
    return true;
}

std::string Stage::look(const std::string& jsonpath) const {
    return plane.kubectl({"get", "pgu", "app", "-o", "jsonpath=" + jsonpath}).out;
}

bool Stage::until_phase(const std::string& phase) {
    return until([&] { return look("{.status.phase}") == phase; }, "the phase is " + phase);
}

std::string Stage::condition(const std::string& type, const std::string& member) const {
    return look("{.status.conditions[?(@.type==\"" + type + "\")]." + member + "}");
}

void Stage::patch(const std::string& spec) const {
    plane.must({"patch", "pgu", "app", "--type=merge", "-p", "{\"spec\":" + spec + "}"});
}

void Stage::tell(const std::string& step) const {
    std::cout << "== " << step << "\n" << plane.kubectl({"get", "pgu", "-o", "wide"}).out << std::flush;
}

}  // namespace turnout::apiserver
