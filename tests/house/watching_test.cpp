// What watches turnout from outside, read by the programs that will read it: metrics and alert rules by promtool, the
// dashboard's queries against the metrics that exist.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "control/metrics.hpp"

namespace turnout::house {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

const fs::path root = TURNOUT_SOURCE_DIR;

// $TURNOUT_PROMTOOL, or the one that `./dev setup` has unpacked.
std::string promtool() {
    const char* chosen = std::getenv("TURNOUT_PROMTOOL");
    return chosen != nullptr ? chosen : (root / ".cache/prometheus/usr/bin/promtool").string();
}

struct Outcome {
    int status = -1;
    std::string output;  ///< both streams
};

Outcome run(const std::string& command) {
    std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return {};
    Outcome outcome;
    char buffer[4096];
    for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
        outcome.output.append(buffer, count);
    const int status = ::pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
}

std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// Every metric there is: after a look at the sessions and a switch.
std::string all_metrics() {
    control::Metrics metrics("1.2.3");
    control::MetricsSnapshot snapshot;
    snapshot.active = Side::green;
    snapshot.lag_bytes = {{"app", 1024}};
    metrics.publish(std::move(snapshot));
    metrics.observe({"switched",
                     control::Microseconds(1180),
                     {{"drain", control::Microseconds(210)}},
                     {control::Microseconds(400)}});
    return metrics.text();
}

TEST(Watching, PromtoolFindsNothingWrongWithTheMetrics) {
    std::string name = (fs::temp_directory_path() / "turnout-metrics-XXXXXX").string();
    const int descriptor = ::mkstemp(name.data());
    ASSERT_GE(descriptor, 0);
    ::close(descriptor);
    std::ofstream(name) << all_metrics();
    const Outcome outcome = run("'" + promtool() + "' check metrics < " + name);
    fs::remove(name);
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_EQ(outcome.output, "");
}

TEST(Watching, PromtoolTestsTheAlertRules) {
    const Outcome outcome = run("cd '" + (root / "deploy").string() + "' && '" + promtool() +
                                "' test rules alerts_test.yml && '" + promtool() + "' check config prometheus.yml");
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    const std::string rules = read(root / "deploy/alerts.yml");
    const std::string tests = read(root / "deploy/alerts_test.yml");
    const std::regex alert("alert: ([A-Za-z]+)");
    for (std::sregex_iterator it(rules.begin(), rules.end(), alert), end; it != end; ++it)
        EXPECT_TRUE(std::regex_search(tests, std::regex("alertname: " + (*it)[1].str() + "\n *exp_alerts:")))
            << (*it)[1] << " never fires in a test";
}

/// Names of metrics in a query or rule: ours begin with turnout_.
std::set<std::string> metrics_in(const std::string& text) {
    const std::regex name("turnout_[a-z_]+");
    std::set<std::string> names;
    for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it) names.insert(it->str());
    return names;
}

/// Labels that a query selects or groups by.
std::set<std::string> labels_in(const std::string& query) {
    std::set<std::string> labels;
    const std::regex selected("[{,] *([a-z]+)=");
    for (std::sregex_iterator it(query.begin(), query.end(), selected), end; it != end; ++it) labels.insert((*it)[1]);
    const std::regex grouped("by \\(([a-z, ]+)\\)");
    const std::regex word("[a-z]+");
    for (std::sregex_iterator it(query.begin(), query.end(), grouped), end; it != end; ++it) {
        const std::string list = (*it)[1];
        for (std::sregex_iterator label(list.begin(), list.end(), word); label != end; ++label)
            labels.insert(label->str());
    }
    return labels;
}

void expect_known(const std::string& query) {
    static const std::string exposed = all_metrics();
    const std::set<std::string> names = metrics_in(query);
    EXPECT_FALSE(names.empty()) << query;
    for (const std::string& name : names)
        EXPECT_TRUE(std::regex_search(exposed, std::regex("(^|\n)" + name + "[{ ]")))
            << "no metric " << name << ": " << query;
    for (const std::string& label : labels_in(query)) {
        if (label == "job" || label == "instance") continue;  // Prometheus' own
        EXPECT_NE(exposed.find(label + "=\""), std::string::npos) << "no label " << label << ": " << query;
    }
}

TEST(Watching, EveryQueryOfTheDashboardAsksForAMetricThatExists) {
    const json::value dashboard = json::parse(read(root / "deploy/grafana/dashboards/turnout.json"));
    std::size_t queries = 0;
    for (const json::value& panel : dashboard.at("panels").as_array()) {
        SCOPED_TRACE(std::string(panel.at("title").as_string()));
        for (const json::value& target : panel.at("targets").as_array()) {
            expect_known(std::string(target.at("expr").as_string()));
            ++queries;
        }
    }
    EXPECT_GT(queries, 10U);
    for (const json::value& annotation : dashboard.at("annotations").at("list").as_array())
        expect_known(std::string(annotation.at("expr").as_string()));
}

TEST(Watching, EveryAlertAsksForAMetricThatExists) {
    const std::string rules = read(root / "deploy/alerts.yml");
    const std::regex expression("expr: (.*)");
    for (std::sregex_iterator it(rules.begin(), rules.end(), expression), end; it != end; ++it)
        if ((*it)[1].str().find("up{") != 0) expect_known((*it)[1]);
}

TEST(Watching, GrafanaFindsItsDashboardsAndDataWhereComposePutsThem) {
    const std::string compose = read(root / "docker-compose.yml");
    EXPECT_NE(compose.find("./deploy/grafana/provisioning:/etc/grafana/provisioning"), std::string::npos);
    EXPECT_NE(compose.find("./deploy/grafana/dashboards:/var/lib/grafana/dashboards"), std::string::npos);
    EXPECT_NE(
        read(root / "deploy/grafana/provisioning/dashboards/turnout.yml").find("path: /var/lib/grafana/dashboards"),
        std::string::npos);
    const std::string source = read(root / "deploy/grafana/provisioning/datasources/prometheus.yml");
    EXPECT_NE(source.find("uid: prometheus"), std::string::npos);
    EXPECT_NE(source.find("http://prometheus:9090"), std::string::npos);
}

}  // namespace
}  // namespace turnout::house
