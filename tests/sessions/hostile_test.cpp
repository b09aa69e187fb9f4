// Peers that do not keep to the protocol, on either side, while others are served as if nothing were.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

#include "hostile_server.hpp"
#include "plane.hpp"
#include "protocol/errors.hpp"
#include "protocol/startup.hpp"
#include "protocol/writer.hpp"

namespace turnout::test {
namespace {

using protocol::BackendType;
using std::literals::string_literals::operator""s;

std::string startup(const std::string& user) {
    protocol::StartupMessage message;
    message.parameters = {{"user", user}, {"database", "postgres"}};
    std::string bytes;
    append(bytes, message);
    return bytes;
}

std::string message(char type, std::string_view body) {
    std::string bytes;
    protocol::Writer(bytes).begin(static_cast<BackendType>(type)).bytes(body).end();
    return bytes;
}

/// The beginning of a message that says how long it is.
std::string header(char type, std::uint32_t length) {
    std::string bytes(1, type);
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(length >> shift);
    return bytes;
}

/// A real server behind one that is hostile to mallory, and witnesses on both workers.
class Hostile : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        server_ = std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .fsync = false});
    }
    static void TearDownTestSuite() { server_.reset(); }

    void SetUp() override {
        hostile_ = std::make_unique<HostileServer>(server_->port());
        plane_ = std::make_unique<Plane>(hostile_->port(), server_->port());
        for (int i = 0; i < 4; ++i) witnesses_.push_back(plane_->client());
    }

    /// Everybody else is served, newcomers too, on every worker.
    void expect_service(const std::string& in_spite_of) {
        SCOPED_TRACE(in_spite_of);
        for (auto& witness : witnesses_) EXPECT_EQ(witness->value("SELECT 42"), "42");
        EXPECT_EQ(plane_->client()->value("SELECT 43"), "43");
        EXPECT_EQ(plane_->client()->value("SELECT 44"), "44");
    }

    /// Whoever was hostile is gone, and nothing of theirs is left.
    void expect_only_witnesses() {
        const auto end = control::Clock::now() + std::chrono::seconds(30);
        while (plane_->sessions().size() > witnesses_.size()) {
            ASSERT_LT(control::Clock::now(), end) << "a session stays";
            std::this_thread::yield();
        }
    }

    static std::unique_ptr<support::Cluster> server_;
    std::unique_ptr<HostileServer> hostile_;
    std::unique_ptr<Plane> plane_;
    std::vector<std::unique_ptr<RawClient>> witnesses_;
};

std::unique_ptr<support::Cluster> Hostile::server_;

TEST_F(Hostile, ClientsThatSayNonsenseInsteadOfAStartupMessage) {
    const std::string login = startup("postgres");
    const std::string scripts[] = {
        "",
        "\0"s,
        "GET / HTTP/1.1\r\n\r\n",
        std::string(20'000, '\0'),
        std::string(20'000, '\xff'),
        "\0\0\0\4"s,
        "\0\0\0\7\0\3\0"s,
        "\0\0\x27\x11\0\3\0\0"s + std::string(10'000, 'x'),       // a byte more than allowed
        "\0\0\0\x08\0\3\0\0"s,                                    // without a user
        "\0\0\0\x09\0\2\0\0\0"s,                                  // protocol 2
        "\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x08\x04\xd2\x16\x2f"s,  // SSLRequest twice at once
        "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2"s,            // a cancel of nobody's
        "\x16\3\1\2\0\1"s,                                        // a TLS hello that is cut off
        login.substr(0, login.size() / 2),
        login + login,
        login + "p\0\0\0\x05x"s,
    };
    for (const std::string& script : scripts) {
        for (const std::size_t step : {std::size_t{1}, SIZE_MAX}) {
            const Socket peer(plane_->port());
            peer.send(script, step);
            expect_service("startup of " + std::to_string(script.size()) + " bytes");
        }
    }
    expect_only_witnesses();
}

TEST_F(Hostile, ClientsThatSayNonsenseInASession) {
    std::string many_syncs;
    for (int i = 0; i < 50'000; ++i) many_syncs += "S\0\0\0\4"s;
    const std::string scripts[] = {
        "!",
        std::string(100'000, 'Q'),
        header('Q', 3),
        header('Q', 0xffffffffU),
        header('Q', (1U << 30U) - 1) + "SELECT 1",
        header('d', (1U << 30U) - 1) + std::string(1'000'000, 'x'),
        header('P', 100) + "half a message",
        message('Q', "no end of the string"),
        message('P', "\0\0\xff\xff"s),
        message('B', "\0\0\0\1\xff\xff\0\0"s),
        message('D', "?\0"s),
        message('E', "\0"s),
        message('F', ""),
        message('p', "secret\0"s),
        message('c', "") + message('f', "no copy\0"s) + message('d', "x") + message('H', ""),
        message('E', "\0\0\0\0\0"s) + message('C', "Snone\0"s) + message('B', "\0none\0\0\0\0\0\0\0"s),
        simple({"COPY (SELECT 1) TO STDOUT", "COPY pg_class FROM STDIN"}) + message('Q', "SELECT 1\0"s),
        many_syncs,
    };
    for (const std::string& script : scripts) {
        const Socket peer(plane_->port());
        peer.send(startup("postgres"));
        peer.send(script);
        expect_service("a session's " + script.substr(0, 1));
    }
    expect_only_witnesses();
}

std::vector<std::string> recorded() {
    std::vector<std::string> conversations;
    for (const auto& entry : std::filesystem::directory_iterator(TURNOUT_SOURCE_DIR "/tests/fuzz/corpus/frontend")) {
        std::ifstream file(entry.path(), std::ios::binary);
        conversations.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return conversations;
}

TEST_F(Hostile, ClientsThatSpoilARealConversation) {
    const char* given = std::getenv("TURNOUT_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "TURNOUT_SEED=" << seed << '\n';
    std::mt19937_64 random(seed);
    const auto up_to = [&](std::size_t most) { return std::uniform_int_distribution<std::size_t>(0, most)(random); };
    const std::vector<std::string> conversations = recorded();
    ASSERT_FALSE(conversations.empty());
    for (int round = 0; round < 60; ++round) {
        std::string bytes = conversations[up_to(conversations.size() - 1)];
        for (std::size_t spoilt = up_to(4); spoilt > 0; --spoilt)
            bytes[up_to(bytes.size() - 1)] ^= static_cast<char>(1U << up_to(7));
        bytes.resize(up_to(bytes.size()));
        const Socket peer(plane_->port());
        peer.send(startup("postgres"));
        peer.send(bytes, round % 3 == 0 ? 1 : 1 + up_to(500));
        if (round % 2 == 0) peer.receive(1);
        if (round % 10 == 0) expect_service("spoilt conversation " + std::to_string(round));
    }
    expect_service("60 spoilt conversations");
    expect_only_witnesses();
}

struct Scripted {
    const char* name;
    HostileServer::Script script;
};

/// Logs mallory in, waits for her question and answers that.
HostileServer::Script answers(std::string bytes) {
    return [bytes = std::move(bytes)](const Socket& proxy) {
        proxy.send(welcome());
        proxy.receive(65536, -1);
        proxy.send(bytes);
        proxy.receive(65536, -1);
    };
}

HostileServer::Script says(std::string bytes, std::size_t step = SIZE_MAX) {
    return [bytes = std::move(bytes), step](const Socket& proxy) {
        proxy.send(bytes, step);
        proxy.receive(65536, -1);
    };
}

/// Goes on until the proxy hangs up.
HostileServer::Script without_end(std::string first, std::string again) {
    return [first = std::move(first), again = std::move(again)](const Socket& proxy) {
        proxy.send(first);
        std::string many;
        while (many.size() < 65536) many += again;
        while (proxy.send(many)) {
        }
    };
}

const Scripted scripted[] = {
    {"notices without end during a login",
     without_end(message('R', "\0\0\0\0"s), message('N', "SNOTICE\0C00000\0M"s + std::string(900, 'x') + "\0\0"s))},
    {"the same setting without end during a login", without_end(message('R', "\0\0\0\0"s), message('S', "a\0b\0"s))},
    {"settings without end",
     [](const Socket& proxy) {
         proxy.send(welcome());
         for (int i = 0; proxy.send(message('S', std::to_string(i) + "\0"s + std::string(900, 'x') + "\0"s)); ++i) {
         }
     }},
    {"hangs up at once", [](const Socket&) {}},
    {"says nothing", [](const Socket& proxy) { proxy.wait_for_hang_up(); }},
    {"greets in HTTP", says("HTTP/1.1 400 Bad Request\r\n\r\n")},
    {"half an AuthenticationOk", says("R\0\0\0\x08\0"s)},
    {"an authentication nobody knows", says(message('R', "\0\0\0\x63"s))},
    {"SASL without a mechanism", says(message('R', "\0\0\0\x0a\0"s))},
    {"SASL goes on before it began", says(message('R', "\0\0\0\x0br=x,s=y,i=1"s))},
    {"an AuthenticationOk of 1 GB", says(header('R', (1U << 30U) - 1))},
    {"a length of 3", says(header('R', 3))},
    {"an error without SQLSTATE", says(message('E', "MI am not an error\0\0"s))},
    {"an error without an end", says(message('E', "SFATAL"))},
    {"ready without a login", says(message('Z', "I"))},
    {"a login byte by byte", says(welcome(), 1)},
    {"hangs up at the first question",
     [](const Socket& proxy) {
         proxy.send(welcome());
         proxy.receive(65536, -1);
     }},
    {"ready before the answer", answers(message('Z', "I"))},
    {"answers nobody asked for", answers(message('1', "") + message('2', "") + message('3', "") + message('n', ""))},
    {"a status nobody knows", answers(message('C', "SELECT 1\0"s) + message('Z', "?"))},
    {"a ready of nothing", answers(message('Z', ""))},
    {"a row of 1 GB that does not come", answers(message('T', "\0\0"s) + header('D', (1U << 30U) - 1) + "\0\1"s)},
    {"a length of -1", answers(header('D', 0xffffffffU))},
    {"no message at all", answers("\x01\x02\x03\x04\x05\x06")},
    {"a notification of two bytes", answers(message('A', "\0\1"s) + message('C', "SELECT 1\0"s) + message('Z', "I"))},
    {"a parameter without a value", answers(message('S', "a"s) + message('C', "SELECT 1\0"s) + message('Z', "I"))},
    {"an error in tatters", answers(message('E', "SERROR\0C") + message('Z', "I"))},
    {"a COPY out of nothing", answers(message('G', "\0\0\0"s))},
    {"rows without end",
     [](const Socket& proxy) {
         proxy.send(welcome());
         proxy.receive(65536, -1);
         std::string rows;
         for (int i = 0; i < 1000; ++i) rows += message('D', "\0\1\0\0\0\1x"s);
         while (proxy.send(rows)) {
         }
     }},
    {"never reads",
     [](const Socket& proxy) {
         proxy.send(welcome());
         proxy.wait_for_hang_up();
     }},
};

TEST_F(Hostile, ServersThatSayNonsense) {
    const std::string flood = simple({"SELECT 1"}) + message('d', std::string(60'000, 'x'));
    for (const Scripted& scene : scripted) {
        const unsigned played = hostile_->played();
        hostile_->play(scene.script);
        {
            const Socket mallory(plane_->port());
            mallory.send(startup("mallory"));
            mallory.send(flood);
            mallory.receive(1, 50);
            expect_service(scene.name);
        }
        hostile_->hang_up();
        ASSERT_NO_FATAL_FAILURE(expect_only_witnesses()) << scene.name;
        EXPECT_GT(hostile_->played(), played) << scene.name << " was not played";
    }
}

}  // namespace
}  // namespace turnout::test
