// What Prometheus reads, checked against its text format, and the listener that serves it.
#include "control/metrics.hpp"

#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "control/http.hpp"
#include "control/monitoring.hpp"

namespace turnout::control {
namespace {

/// Samples by name and labels; fails on any line that is not of the text format, on a sample without # HELP and # TYPE
/// before it, and on a series that comes twice.
std::map<std::string, double> samples(const std::string& text) {
    static const std::regex sample(
        R"(^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\])*",?)*\})? (\S+)$)");
    std::map<std::string, double> found;
    std::map<std::string, std::string> types;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (line.starts_with("# HELP ")) continue;
        if (line.starts_with("# TYPE ")) {
            std::istringstream words(line.substr(7));
            std::string name;
            std::string type;
            words >> name >> type;
            EXPECT_TRUE(types.emplace(name, type).second) << "described twice: " << name;
            EXPECT_TRUE(type != "counter" || name.ends_with("_total")) << name;
            continue;
        }
        if (!std::regex_match(line, match, sample)) {
            ADD_FAILURE() << "no sample: " << line;
            continue;
        }
        std::string family = match[1];
        for (const char* suffix : {"_bucket", "_sum", "_count"})
            if (!types.contains(family) && family.ends_with(suffix))
                family.resize(family.size() - std::string_view(suffix).size());
        EXPECT_TRUE(types.contains(family)) << "not described: " << line;
        EXPECT_TRUE(found.emplace(match[1].str() + match[2].str(), std::stod(match[5])).second) << "twice: " << line;
    }
    return found;
}

MetricsSnapshot snapshot() {
    MetricsSnapshot snapshot;
    snapshot.active = Side::green;
    snapshot.generation = 2;
    snapshot.lag_bytes = {{"app", 1024}, {"sh\"op", 0}};
    snapshot.counters.queries = 12;
    snapshot.counters.transactions = 7;
    snapshot.counters.sessions = {1, 2, 3, 4, 5};
    snapshot.counters.query_buckets[index(Side::blue)][0] = 3;
    snapshot.counters.query_buckets[index(Side::blue)][14] = 1;
    snapshot.counters.query_microseconds[index(Side::blue)] = 6'000'500;
    return snapshot;
}

TEST(Metrics, SnapshotsAreTextOfPrometheus) {
    Metrics metrics("1.2.3");
    EXPECT_EQ(metrics.active(), std::nullopt);
    metrics.publish(snapshot());
    EXPECT_EQ(metrics.active(), Side::green);
    auto found = samples(metrics.text());
    EXPECT_EQ(found["turnout_build_info{version=\"1.2.3\"}"], 1);
    EXPECT_EQ(found["turnout_active_side{side=\"green\"}"], 1);
    EXPECT_EQ(found["turnout_active_side{side=\"blue\"}"], 0);
    EXPECT_EQ(found["turnout_generation"], 2);
    EXPECT_EQ(found["turnout_replication_lag_bytes{database=\"app\"}"], 1024);
    EXPECT_TRUE(found.contains("turnout_replication_lag_bytes{database=\"sh\\\"op\"}"));
    EXPECT_EQ(found["turnout_queries_total"], 12);
    EXPECT_EQ(found["turnout_transactions_total"], 7);
    EXPECT_EQ(found["turnout_sessions{state=\"in_transaction\"}"], 4);
    EXPECT_EQ(found["turnout_query_seconds_bucket{side=\"blue\",le=\"0.0001\"}"], 3);
    EXPECT_EQ(found["turnout_query_seconds_bucket{side=\"blue\",le=\"5\"}"], 3);
    EXPECT_EQ(found["turnout_query_seconds_bucket{side=\"blue\",le=\"+Inf\"}"], 4);
    EXPECT_EQ(found["turnout_query_seconds_count{side=\"blue\"}"], 4);
    EXPECT_DOUBLE_EQ(found["turnout_query_seconds_sum{side=\"blue\"}"], 6.0005);
}

TEST(Metrics, ASwitchIsObserved) {
    Metrics metrics("1");
    auto before = samples(metrics.text());
    EXPECT_EQ(before["turnout_switches_total{outcome=\"switched\"}"], 0);
    EXPECT_TRUE(before.contains("turnout_switches_total{outcome=\"given_up\"}"));
    metrics.observe({"switched",
                     Microseconds(1180),
                     {{"drain", Microseconds(210)}, {"activate", Microseconds(450)}},
                     {Microseconds(400), Microseconds(1210)}});
    metrics.observe({"given_up", std::nullopt, {}, {}});
    auto found = samples(metrics.text());
    EXPECT_EQ(found["turnout_switches_total{outcome=\"switched\"}"], 1);
    EXPECT_EQ(found["turnout_switches_total{outcome=\"given_up\"}"], 1);
    EXPECT_EQ(found["turnout_switch_window_seconds_count"], 1);
    EXPECT_DOUBLE_EQ(found["turnout_switch_window_seconds_sum"], 0.00118);
    EXPECT_DOUBLE_EQ(found["turnout_switch_phase_seconds_sum{phase=\"drain\"}"], 0.00021);
    EXPECT_EQ(found["turnout_session_stall_seconds_count"], 2);
    EXPECT_EQ(found["turnout_session_stall_seconds_bucket{le=\"0.001\"}"], 1);
}

/// Sends a request as it is and reads until the server closes.
std::string talk(std::uint16_t port, const std::string& request) {
    namespace asio = boost::asio;
    asio::io_context context;
    asio::ip::tcp::socket socket(context);
    socket.connect({asio::ip::make_address("127.0.0.1"), port});
    std::string answer;
    boost::system::error_code end;
    asio::write(socket, asio::buffer(request), end);  // a server may have enough before all is written
    asio::read(socket, asio::dynamic_buffer(answer), end);
    return answer;
}

HttpAnswer pages(std::string_view path) {
    if (path == "/metrics") return {200, "text/plain; version=0.0.4", "turnout_up 1\n"};
    if (path == "/readyz") return {503, "text/plain; charset=utf-8", "nobody is served\n"};
    return {404, "text/plain; charset=utf-8", "no such page\n"};
}

TEST(HttpServer, AnswersByPath) {
    const HttpServer server("127.0.0.1:0", pages);
    const std::string metrics =
        talk(server.port(), "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(metrics.starts_with("HTTP/1.1 200 OK\r\n")) << metrics;
    EXPECT_NE(metrics.find("Content-Type: text/plain; version=0.0.4\r\n"), std::string::npos) << metrics;
    EXPECT_TRUE(metrics.ends_with("\r\n\r\nturnout_up 1\n")) << metrics;
    EXPECT_TRUE(talk(server.port(), "GET /readyz HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 503 "));
    EXPECT_TRUE(talk(server.port(), "GET /x HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 404 "));
}

TEST(HttpServer, KeepsTheConnectionForSeveralRequests) {
    const HttpServer server("127.0.0.1:0", pages);
    const std::string answer = talk(server.port(),
                                    "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
                                    "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_NE(answer.find("turnout_up 1"), answer.rfind("turnout_up 1"));
}

TEST(HttpServer, HeadHasNoBodyAndOthersAreRefused) {
    const HttpServer server("127.0.0.1:0", pages);
    const std::string head = talk(server.port(), "HEAD /metrics HTTP/1.0\r\n\r\n");
    EXPECT_NE(head.find("Content-Length: 13"), std::string::npos) << head;
    EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
    const std::string post = talk(server.port(), "POST /metrics HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(post.starts_with("HTTP/1.0 405 ")) << post;
    EXPECT_NE(post.find("Allow: GET, HEAD"), std::string::npos) << post;
}

TEST(HttpServer, WhatIsNotServedSaysWhatIs) {
    const Metrics nobody("1.2.3");
    const HttpServer server("127.0.0.1:0", monitoring_pages(nobody, {}));
    const auto expect = [&server](const char* request, const char* status, const char* text) {
        const std::string answer = talk(server.port(), std::string(request) + " HTTP/1.0\r\n\r\n");
        EXPECT_TRUE(answer.starts_with(std::string("HTTP/1.0 ") + status)) << answer;
        EXPECT_NE(answer.find(text), std::string::npos) << answer;
    };
    expect("GET /nosuch", "404 ",
           "there is no such page: there are /, /metrics, /healthz, /readyz and /reports/NAME\n");
    expect("GET /reports/nosuch.html", "404 ", "there is no such page: ");
    expect("GET /readyz", "503 ", "nobody is served: turnout show status tells why\n");
    expect("GET /events", "503 ", "too many pages are open already: close those that nobody looks at\n");
    expect("POST /", "405 ", "this only shows: use GET or HEAD, and turnout's verbs to change something\n");
}

TEST(HttpServer, NonsenseEndsItsConnectionOnly) {
    const HttpServer server("127.0.0.1:0", pages);
    EXPECT_EQ(talk(server.port(), "this is not HTTP\r\n\r\n").find("200"), std::string::npos);
    EXPECT_EQ(talk(server.port(), "GET / HTTP/1.1\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n").find("200"),
              std::string::npos);
    EXPECT_TRUE(talk(server.port(), "GET /metrics HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
}

TEST(HttpServer, AnAddressThatIsTakenIsNamed) {
    const HttpServer server("127.0.0.1:0", pages);
    const std::string address = "127.0.0.1:" + std::to_string(server.port());
    try {
        const HttpServer second(address, pages);
        FAIL();
    } catch (const std::runtime_error& error) {
        EXPECT_EQ(std::string(error.what()),
                  "cannot listen on " + address +
                      " for metrics: Address already in use; name another address in [metrics] listen");
    }
}

}  // namespace
}  // namespace turnout::control
