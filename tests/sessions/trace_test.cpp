// The awkward sequences, as golden traces: each file of traces/ is said to a server directly, where that makes sense,
// and through the proxy, and the answers are the same. What a file may hold:
//
//     # a remark
//     F	Query	 "SELECT 1"        said by the client; lines that follow each other are sent together
//     B	ReadyForQuery	 I         the server's next message
//     B?	ReadyForQuery	 I         this one may or may not come, by timing
//     - the gate closes            and: the gate opens, it is drained, it is held, the client cancels
//     - half                        of the next message is sent now, the rest with what follows
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "plane.hpp"
#include "wire_trace.hpp"

namespace turnout::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines_of(const fs::path& file) {
    std::vector<std::string> lines;
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
        if (!line.empty() && line.front() != '#') lines.push_back(line);
    }
    return lines;
}

bool needs_a_gate(const std::vector<std::string>& lines) {
    return std::any_of(lines.begin(), lines.end(), [](const std::string& line) { return line.starts_with("- "); });
}

/// Plays one trace to one client.
class Player {
  public:
    Player(RawClient& client, Plane* plane) : client_(client), plane_(plane) {}

    void play(const std::string& line) {
        SCOPED_TRACE(line);
        if (line.starts_with("F\t")) return say(line.substr(2));
        send();
        if (line.starts_with("B\t")) return expect(line.substr(2));
        if (line.starts_with("B?\t")) return maybe(line.substr(3));
        gate(line);
    }
    /// The trace is complete: what is said next is answered next.
    void end() {
        send();
        client_.query("SELECT 'the end'");
        for (const char* line : {"RowDescription\t 1 \"?column?\"", "DataRow\t 1 7 'the end'",
                                 "CommandComplete\t \"SELECT 1\"", "ReadyForQuery\t I"})
            expect(line);
    }

  private:
    void say(const std::string& line) {
        const std::string message = message_of(line);
        kept_back_ = std::exchange(half_, false);
        if (!kept_back_) {
            unsent_ += message;
            return;
        }
        client_.send(unsent_ + message.substr(0, message.size() / 2));
        unsent_ = message.substr(message.size() / 2);
    }
    void send() {
        if (!kept_back_ && !unsent_.empty()) client_.send(std::exchange(unsent_, {}));
    }
    std::string next() { return client_.next_line(line_of); }
    void expect(const std::string& line) {
        std::string got = next();
        if (got != line && maybe_ == got) got = next();
        maybe_.clear();
        EXPECT_EQ(got, line);
    }
    void maybe(const std::string& line) { maybe_ = line; }
    void gate(const std::string& line) {
        if (line == "- half") {
            half_ = true;
        } else if (line == "- the gate closes") {
            drained_ = plane_->close();
        } else if (line == "- it is drained") {
            EXPECT_EQ(drained_.get().outcome, control::DrainReport::Outcome::drained);
        } else if (line == "- it is held") {
            plane_->wait_for_state(client_.pid(), "held");
            EXPECT_FALSE(client_.has_something());
        } else if (line == "- the client cancels") {
            client_.cancel();
        } else if (line == "- the gate opens") {
            plane_->give_up();
        } else {
            ADD_FAILURE() << "what does this mean?";
        }
    }

    RawClient& client_;
    Plane* plane_;
    std::string unsent_;
    std::string maybe_;
    bool half_ = false, kept_back_ = false;
    std::future<control::DrainReport> drained_;
};

class Trace : public testing::TestWithParam<fs::path> {
  protected:
    static void SetUpTestSuite() {
        server_ = std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .fsync = false});
        server_->execute("CREATE TABLE t (n int)");
    }
    static void TearDownTestSuite() { server_.reset(); }
    void SetUp() override { server_->execute("TRUNCATE t"); }

    static std::unique_ptr<support::Cluster> server_;
};

std::unique_ptr<support::Cluster> Trace::server_;

void play(const std::vector<std::string>& lines, RawClient& client, Plane* plane) {
    Player player(client, plane);
    for (const std::string& line : lines) {
        player.play(line);
        if (testing::Test::HasFailure()) return;
    }
    player.end();
}

TEST_P(Trace, IsWhatAServerSays) {
    const std::vector<std::string> lines = lines_of(GetParam());
    ASSERT_FALSE(lines.empty());
    if (!needs_a_gate(lines)) {
        SCOPED_TRACE("directly");
        RawClient client(server_->port(), "postgres", "postgres");
        play(lines, client, nullptr);
        server_->execute("TRUNCATE t");
    }
    SCOPED_TRACE("through the proxy");
    Plane plane(*server_, *server_);
    const auto client = plane.client();
    play(lines, *client, &plane);
}

std::vector<fs::path> traces() {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(TURNOUT_SOURCE_DIR "/tests/sessions/traces"))
        files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

INSTANTIATE_TEST_SUITE_P(Golden, Trace, testing::ValuesIn(traces()),
                         [](const auto& trace) { return trace.param.stem().string(); });

}  // namespace
}  // namespace turnout::test
