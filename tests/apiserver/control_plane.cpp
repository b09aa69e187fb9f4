#include "tests/apiserver/control_plane.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

#include "bench/served.hpp"
#include "control/kubernetes/fields.hpp"

namespace turnout::apiserver {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr const char* kAdminToken = "administrator";

std::string asset(const std::string& variable, const std::string& name) {
    if (const char* const chosen = std::getenv(("TEST_ASSET_" + variable).c_str())) return chosen;
    if (const char* const folder = std::getenv("KUBEBUILDER_ASSETS")) {
        const fs::path program = fs::path(folder) / name;
        if (fs::exists(program)) return program.string();
    }
    throw std::runtime_error(name + " is needed: run ./dev kubernetes, or name its folder in KUBEBUILDER_ASSETS");
}

std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void write(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

fs::path fresh_directory() {
    std::string pattern = (fs::temp_directory_path() / "turnout-apiserver-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
    return pattern;
}

void kill_and_wait(pid_t& pid) {
    if (pid <= 0) return;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    pid = -1;
}

}  // namespace

ControlPlane::ControlPlane() : directory_(fresh_directory()) {
    fs::permissions(directory_, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                                    fs::perms::others_read | fs::perms::others_exec);
    keeper_ = std::make_unique<support::Keeper>(directory_);
    certificates_ = directory_ / "certificates";
    port_ = bench::free_port();
    etcd_port_ = bench::free_port();
    const std::string peer = "http://127.0.0.1:" + std::to_string(bench::free_port());
    const std::string client = "http://127.0.0.1:" + std::to_string(etcd_port_);
    bench::must_run({.arguments = {"openssl", "genrsa", "-out", (directory_ / "account.key").string(), "2048"}});
    write(directory_ / "tokens.csv", std::string(kAdminToken) + ",admin,admin,system:masters\n");
    etcd_ = support::spawn(
        {.arguments = {asset("ETCD", "etcd"), "--data-dir", (directory_ / "etcd").string(), "--listen-client-urls",
                       client, "--advertise-client-urls", client, "--listen-peer-urls", peer, "--unsafe-no-fsync"},
         .directory = directory_,
         .output = directory_ / "etcd.log"});
    start_api();
    fs::create_directories(service_account());
    write(service_account() / "ca.crt", read(authority()));
    write(service_account() / "namespace", "default");
}

ControlPlane::~ControlPlane() {
    kill_and_wait(api_);
    kill_and_wait(etcd_);
}

void ControlPlane::give_token() const {
    const std::string answer =
        must({"create", "--raw", "/api/v1/namespaces/default/serviceaccounts/turnout-operator/token", "-f", "-"},
             R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}})");
    const boost::json::value request = boost::json::parse(answer);
    write(service_account() / "token", kubernetes::text_in(request.as_object(), {"status", "token"}));
}

void ControlPlane::kill_api() { kill_and_wait(api_); }

void ControlPlane::renew_certificate() {
    kill_api();
    certificates_ = directory_ / "renewed";
    start_api();
    write(service_account() / "ca.crt", read(authority()));
}

void ControlPlane::start_api() {
    api_ =
        support::spawn({.arguments = {asset("KUBE_APISERVER", "kube-apiserver"),
                                      "--etcd-servers=http://127.0.0.1:" + std::to_string(etcd_port_),
                                      "--cert-dir=" + certificates_.string(), "--secure-port=" + std::to_string(port_),
                                      "--insecure-port=0", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
                                      "--service-account-issuer=https://kubernetes.default.svc",
                                      "--service-account-signing-key-file=" + (directory_ / "account.key").string(),
                                      "--service-account-key-file=" + (directory_ / "account.key").string(),
                                      "--token-auth-file=" + (directory_ / "tokens.csv").string(),
                                      "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
                                      "--disable-admission-plugins=ServiceAccount,StorageObjectInUseProtection"},
                        .directory = directory_,
                        .output = directory_ / "kube-apiserver.log"});
    const auto deadline = std::chrono::steady_clock::now() + 10min;
    while (!kubectl({"get", "--raw", "/readyz"}).done()) {
        if (std::chrono::steady_clock::now() > deadline)
            throw std::runtime_error("the API server does not get ready:\n" +
                                     read(directory_ / "kube-apiserver.log").substr(0, 4000));
        std::this_thread::sleep_for(1s);  // asking costs more than answering
    }
}

kubernetes::Access ControlPlane::access() const {
    kubernetes::Access access;
    access.host = "127.0.0.1";
    access.port = port_;
    access.authority = read(authority());
    access.token = kAdminToken;
    access.space = "default";
    return access;
}

bench::Exit ControlPlane::kubectl(std::vector<std::string> arguments, std::string input) const {
    std::vector<std::string> all{asset("KUBECTL", "kubectl"), "--server=https://127.0.0.1:" + std::to_string(port_),
                                 "--certificate-authority=" + authority().string(),
                                 "--token=" + std::string(kAdminToken)};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return bench::run_program(
        {.arguments = std::move(all), .environment = {{"HOME", directory_.string()}}, .input = std::move(input)});
}

std::string ControlPlane::must(std::vector<std::string> arguments, std::string input) const {
    std::string command;
    for (const std::string& argument : arguments) command += " " + argument;
    const bench::Exit exit = kubectl(std::move(arguments), std::move(input));
    if (!exit.done()) throw std::runtime_error("kubectl" + command + ": " + exit.err);
    return exit.out;
}

}  // namespace turnout::apiserver
