// How the API server is reached: kubeconfigs as kubectl and people write them, and a pod's files.
#include "control/kubernetes/access.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace turnout::kubernetes {
namespace {

namespace fs = std::filesystem;

class Kubeconfig : public testing::Test {
  protected:
    Kubeconfig() : folder_(fs::temp_directory_path() / ("turnout-access-" + std::to_string(::getpid()))) {
        fs::create_directories(folder_);
    }
    ~Kubeconfig() override { fs::remove_all(folder_); }

    Access read(const std::string& text) {
        put("config", text);
        return kubeconfig_access(folder_ / "config");
    }
    /// What is said about a kubeconfig that cannot be used.
    std::string trouble_with(const std::string& text) {
        try {
            read(text);
        } catch (const AccessError& error) {
            return error.what();
        }
        return "nothing";
    }
    void put(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }

    fs::path folder_;
};

constexpr const char* kWritten = R"(apiVersion: v1
kind: Config
preferences: {}
current-context: "prod"   # not the first
clusters:
- name: elsewhere
  cluster:
    server: https://elsewhere.example:6443
- name: here
  cluster:
    certificate-authority-data: Q0E=
    server: https://[::1]:6443
contexts:
- name: test
  context: {cluster: elsewhere, user: nobody}
- name: prod
  context:
    cluster: here
    namespace: databases
    user: dba
users:
- name: dba
  user:
    token: >-
      sesame
)";

TEST_F(Kubeconfig, IsReadAsYaml) {
    const Access access = read(kWritten);
    EXPECT_EQ(access.host, "::1");
    EXPECT_EQ(access.port, 6443);
    EXPECT_TRUE(access.tls);
    EXPECT_EQ(access.current_authority(), "CA");
    EXPECT_EQ(access.current_token(), "sesame");
    EXPECT_EQ(access.space, "databases");
}

TEST_F(Kubeconfig, MayBeJson) {
    const Access access =
        read(R"({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:8080"}}], "users": [{"name": "u", "user": {}}]})");
    EXPECT_EQ(access.host, "127.0.0.1");
    EXPECT_EQ(access.port, 8080);
    EXPECT_FALSE(access.tls);
    EXPECT_EQ(access.current_token(), "");
    EXPECT_EQ(access.space, "default");
}

TEST_F(Kubeconfig, NamesFilesBesideItself) {
    put("ca.pem", "the authority");
    put("token", "first\n");
    const Access access = read(R"(
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: 'https://k', certificate-authority: ca.pem}}]
users: [{name: u, user: {tokenFile: token}}]
)");
    EXPECT_EQ(access.current_authority(), "the authority");
    EXPECT_EQ(access.current_token(), "first");
    put("token", "second\n");
    EXPECT_EQ(access.current_token(), "second");
}

TEST_F(Kubeconfig, WhatCannotBeUsedIsNamed) {
    EXPECT_NE(trouble_with("current-context: [").find(" is no kubeconfig: "), std::string::npos);
    EXPECT_NE(trouble_with("just words").find(" is no kubeconfig: it has no members; name another by --kubeconfig"),
              std::string::npos);
    EXPECT_NE(trouble_with("").find(" is no kubeconfig: it has no members"), std::string::npos);
    EXPECT_NE(trouble_with("current-context: c\ncontexts: 1\n")
                  .find("the kubeconfig has no context named 'c': add it, or correct current-context"),
              std::string::npos);
    EXPECT_NE(trouble_with("current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
                           "clusters: [{name: k, cluster: {server: 'k:443'}}]\nusers: [{name: u}]")
                  .find("'k:443' is no address of an API server: write https://HOST:PORT"),
              std::string::npos);
    const std::string config =
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'https://k'}}]\nusers: ";
    EXPECT_NE(trouble_with(config + "[{name: u, user: {exec: {command: aws}}}]")
                  .find("'exec', which is not supported: use a token, a tokenFile, or a client certificate"),
              std::string::npos);
    EXPECT_NE(trouble_with(config + "[{name: other}]").find("no user named 'u'"), std::string::npos);
    EXPECT_NE(trouble_with(config + "[{name: u, user: {client-key-data: '*'}}]")
                  .find("the kubeconfig's client-key-data is no base64: write it anew"),
              std::string::npos);
}

TEST_F(Kubeconfig, APodsAuthorityIsReadAgain) {
    put("ca.crt", "first");
    put("token", "sesame");
    put("namespace", "databases\n");
    ::setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
    ::setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    const Access access = in_cluster_access(folder_);
    EXPECT_EQ(access.current_authority(), "first");
    put("ca.crt", "second");
    EXPECT_EQ(access.current_authority(), "second");
    EXPECT_EQ(access.space, "databases");
}

}  // namespace
}  // namespace turnout::kubernetes
