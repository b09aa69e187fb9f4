// Results and COPYs that are larger than what a proxy should ever hold, readers that are slow, and the others
// meanwhile.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iostream>
#include <thread>

#include "plane.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/startup.hpp"
#include "protocol/writer.hpp"
#include "socket.hpp"

namespace turnout::test {
namespace {

constexpr std::size_t kMegabyte = 1024 * 1024;
constexpr std::size_t kVolume = 512 * kMegabyte;
// Read buffers of two workers, sockets, the heap's own slack: a tenth of this is used.
constexpr std::size_t kFlat = 48 * kMegabyte;

/// Memory of this process, the proxy and its clients in it, that is in use now.
std::size_t resident() {
    std::ifstream file("/proc/self/statm");
    std::size_t total = 0, pages = 0;
    file >> total >> pages;
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Looks at the memory again and again, from a thread of its own.
class Watch {
  public:
    Watch()
        : thread_([this] {
              while (!over_.load()) {
                  peak_ = std::max(peak_, resident());
                  std::this_thread::yield();
              }
          }) {}
    ~Watch() {
        over_ = true;
        if (thread_.joinable()) thread_.join();
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    void expect_flat(const std::string& what) {
        over_ = true;
        thread_.join();
        const std::size_t grown = peak_ > before_ ? peak_ - before_ : 0;
        std::cout << fmt::format("{}: memory grew by {} KB at most\n", what, grown / 1024);
        EXPECT_LT(grown, kFlat) << what;
    }

  private:
    std::size_t before_ = resident();
    std::size_t peak_ = 0;
    std::atomic<bool> over_{false};
    std::thread thread_;
};

class Volume : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        server_ = std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .fsync = false});
        // Rows go into it and nowhere from there.
        server_->execute(
            "CREATE TABLE sink (s text); CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RETURN NULL; END'; CREATE TRIGGER swallow BEFORE INSERT ON sink FOR EACH ROW EXECUTE FUNCTION "
            "swallow()");
    }
    static void TearDownTestSuite() { server_.reset(); }

    void SetUp() override { plane_ = std::make_unique<Plane>(*server_, *server_); }

    /// A session that has logged in and read its greeting.
    Socket session() {
        Socket socket(plane_->port());
        protocol::StartupMessage startup;
        startup.parameters = {{"user", "postgres"}, {"database", "postgres"}};
        std::string bytes;
        append(bytes, startup);
        socket.send(bytes);
        std::string greeting;
        while (!greeting.ends_with(kReady)) greeting += socket.receive();
        return socket;
    }

    /// Reads up to the next ReadyForQuery that says `I`; returns the bytes that came.
    static std::size_t read_to_ready(const Socket& socket) {
        std::size_t sum = 0;
        std::string end;
        while (!end.ends_with(kReady)) {
            const std::string got = socket.receive(kMegabyte, 60'000);
            if (got.empty()) throw std::runtime_error("the result broke off");
            sum += got.size();
            end = end.substr(end.size() - std::min(end.size(), kReady.size())) + got;
        }
        return sum;
    }

    static std::string query(std::string_view sql) { return simple({sql}); }

    /// On every worker somebody asks and is answered.
    void serve_the_others() {
        for (auto& other : others_) EXPECT_EQ(other->value("SELECT 7"), "7");
    }
    void let_others_in() {
        for (int i = 0; i < 4; ++i) others_.push_back(plane_->client());
    }

    static constexpr std::string_view kReady{"Z\0\0\0\5I", 6};
    static constexpr const char* kHalfGigabyte = "SELECT repeat('x', 1024 * 1024) FROM generate_series(1, 512)";
    static std::unique_ptr<support::Cluster> server_;
    std::unique_ptr<Plane> plane_;
    std::vector<std::unique_ptr<RawClient>> others_;
};

std::unique_ptr<support::Cluster> Volume::server_;

TEST_F(Volume, AResultOfHalfAGigabyteLeavesTheMemoryFlat) {
    const Socket reader = session();
    Watch watch;
    reader.send(query(kHalfGigabyte));
    EXPECT_GT(read_to_ready(reader), kVolume);
    watch.expect_flat("a result of 512 MB");
}

TEST_F(Volume, OneRowOfManyMegabytesIsStreamed) {
    const Socket reader = session();
    Watch watch;
    reader.send(query("SELECT repeat('x', 128 * 1024 * 1024)"));
    EXPECT_GT(read_to_ready(reader), 128 * kMegabyte);
    watch.expect_flat("a row of 128 MB");
}

TEST_F(Volume, ACopyOfHalfAGigabyteLeavesTheMemoryFlat) {
    const Socket writer = session();
    writer.send(query("COPY sink FROM STDIN"));
    writer.receive();
    const std::string line = std::string(kMegabyte - 1, 'x') + '\n';
    std::string data;
    protocol::Writer(data).begin(protocol::FrontendType::copy_data).bytes(line).end();
    Watch watch;
    for (std::size_t sent = 0; sent < kVolume; sent += line.size()) ASSERT_TRUE(writer.send(data));
    std::string done;
    protocol::append_copy_done(done);
    writer.send(done);
    read_to_ready(writer);
    watch.expect_flat("a COPY of 512 MB");
}

TEST_F(Volume, AStreamThatNeverEndsDoesNotStallTheOthersOfItsWorker) {
    const Socket reader = session();
    let_others_in();
    std::atomic<bool> served{false};
    std::size_t results = 0;
    std::thread reading([&] {
        // It reads as fast as it can for as long as the others have not had their turns.
        for (; !served.load(); ++results) {
            reader.send(query("SELECT repeat('x', 1024 * 1024) FROM generate_series(1, 64)"));
            read_to_ready(reader);
        }
    });
    for (int round = 0; round < 100; ++round) serve_the_others();
    served = true;
    reading.join();
    EXPECT_GT(results, 0U);
}

TEST_F(Volume, ASlowReaderHoldsNobodyUpAndNothingInMemory) {
    const Socket reader = session();
    let_others_in();
    Watch watch;
    reader.send(query(kHalfGigabyte));
    reader.receive(1);  // it has begun
    for (int round = 0; round < 20; ++round) serve_the_others();
    for (int i = 0; i < 64; ++i) reader.receive(1024);
    serve_the_others();
    EXPECT_GT(read_to_ready(reader) + kMegabyte, kVolume);
    watch.expect_flat("a slow reader of 512 MB");
}

TEST_F(Volume, WhoPipelinesAndNeverReadsIsMadeToWait) {
    const Socket talker = session();
    let_others_in();
    std::string batch;
    for (int i = 0; i < 1000; ++i) {
        append(batch, protocol::Parse{"", "SELECT repeat('x', 1000)" + std::string(1000, ' '), {}});
        append(batch, protocol::Bind{});
        append(batch, protocol::Execute{});
        protocol::append_sync(batch);
    }
    Watch watch;
    std::thread talking([&] {
        while (talker.send(batch)) {
        }
    });
    // It is held up when a session that began before it has been served all this while.
    for (int round = 0; round < 100; ++round) serve_the_others();
    watch.expect_flat("pipelining without reading");
    talker.hang_up();
    talking.join();
}

}  // namespace
}  // namespace turnout::test
