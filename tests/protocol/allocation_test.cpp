// Counts what the program allocates: a relay in steady state must not allocate for a message.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "protocol/framing.hpp"
#include "protocol/session_ledger.hpp"
#include "tests/protocol/bytes.hpp"

namespace {

std::atomic<std::size_t> allocations{0};

void* counted(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    void* memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) throw std::bad_alloc{};
    return memory;
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace turnout::test {
namespace {

using namespace protocol;

/// One round trip through both scanners and the ledger.
class RoundTrip {
  public:
    RoundTrip(std::string from_client, std::string from_server)
        : from_client_(std::move(from_client)), from_server_(std::move(from_server)) {}

    void run() {
        std::string_view bytes = from_client_;
        while (!bytes.empty()) {
            const Frame frame = frontend_.next(bytes);
            ledger_.on_frontend(frame);
            bytes.remove_prefix(frame.size);
        }
        bytes = from_server_;
        while (!bytes.empty()) {
            const Frame frame = backend_.next(bytes);
            ledger_.on_backend(frame);
            bytes.remove_prefix(frame.size);
        }
        ASSERT_TRUE(ledger_.replies().safe());
    }

  private:
    FrameScanner frontend_{Stream::frontend};
    FrameScanner backend_{Stream::backend};
    SessionLedger ledger_;
    std::string from_client_;
    std::string from_server_;
};

std::size_t allocations_in_steady_state(RoundTrip& trip) {
    for (int i = 0; i < 10; ++i) trip.run();
    const std::size_t before = allocations.load();
    for (int i = 0; i < 1000; ++i) trip.run();
    return allocations.load() - before;
}

TEST(SteadyState, QueriesAllocateNothing) {
    RoundTrip trip{message('Q', "select abalance from pgbench_accounts where aid = 4711\0"_b),
                   message('T', "\0\0"_b) + message('D', "\0\0"_b) + message('C', "SELECT 1\0"_b) + message('Z', "I")};
    EXPECT_EQ(allocations_in_steady_state(trip), 0U);
}

TEST(SteadyState, UnnamedStatementsAllocateNothing) {
    RoundTrip trip{message('P', "\0select abalance from pgbench_accounts where aid = $1\0\0\0"_b) +
                       message('B', "\0\0\0\0\0\0\0\0"_b) + message('D', "P\0"_b) + message('E', "\0\0\0\0\0"_b) +
                       message('S', ""),
                   message('1', "") + message('2', "") + message('T', "\0\0"_b) + message('D', "\0\0"_b) +
                       message('C', "SELECT 1\0"_b) + message('Z', "I")};
    EXPECT_EQ(allocations_in_steady_state(trip), 0U);
}

TEST(SteadyState, UnnamedStatementsBetweenQueriesAllocateNothing) {
    RoundTrip trip{message('P', "\0select abalance from pgbench_accounts where aid = $1\0\0\0"_b) + message('S', "") +
                       message('Q', "commit\0"_b),
                   message('1', "") + message('Z', "I") + message('C', "COMMIT\0"_b) + message('Z', "I")};
    EXPECT_EQ(allocations_in_steady_state(trip), 0U);
}

}  // namespace
}  // namespace turnout::test
