#include "protocol/framing.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/protocol/bytes.hpp"
#include "tests/protocol/named.hpp"

namespace turnout::test {
namespace {

using namespace protocol;

/// A message as a relay saw it: type and full size from where it started, the bytes from all its steps.
struct Seen {
    char type = 0;
    std::uint64_t size = 0;
    std::string bytes;
    friend bool operator==(const Seen&, const Seen&) = default;
};
void PrintTo(const Seen& seen, std::ostream* out) { *out << seen.type << seen.size; }

/// The recipe at the top of framing.hpp, with a peer that sends in pieces.
class Relay {
  public:
    explicit Relay(FrameScanner scanner) : scanner_(scanner) {}

    void receive(std::string_view piece) {
        const std::string bytes = stash_.append(piece);
        std::string_view rest = bytes;
        for (;;) {
            const Frame frame = scanner_.next(rest);
            if (frame.state == FrameState::broken) {
                error = frame.error;
                return;
            }
            if (frame.state == FrameState::incomplete) {
                EXPECT_GT(frame.missing, 0U);
                missing = frame.missing;
                break;
            }
            if (frame.starts()) seen.push_back({frame.type, frame.message, {}});
            seen.back().bytes += rest.substr(0, frame.size);
            EXPECT_EQ(frame.finished, seen.back().bytes.size() == seen.back().size);
            EXPECT_EQ(frame.finished, !scanner_.mid_message());
            rest.remove_prefix(frame.size);
        }
        stash_ = rest;
        longest_stash = std::max(longest_stash, stash_.size());
    }

    std::vector<Seen> seen;
    std::string error;
    std::size_t missing = 0;
    std::size_t longest_stash = 0;

  private:
    FrameScanner scanner_;
    std::string stash_;
};

std::string stream() {
    return message('Q', "select 1\0"_b) + message('S', "") + message('d', std::string(300, 'x')) +
           message('P', std::string(500, 'y')) + message('B', std::string(27, 'z')) + message('X', "");
}

constexpr std::uint32_t small_limit = 32;

std::vector<Seen> in_one_piece() {
    Relay relay{FrameScanner{Stream::frontend, small_limit}};
    relay.receive(stream());
    return relay.seen;
}

TEST(FrameScanner, FindsEachMessage) {
    const std::vector<Seen> seen = in_one_piece();
    std::string types;
    std::string all;
    for (const Seen& one : seen) {
        types += one.type;
        all += one.bytes;
        EXPECT_EQ(one.bytes.size(), one.size);
    }
    EXPECT_EQ(types, "QSdPBX");
    EXPECT_EQ(all, stream());
}

TEST(FrameScanner, OneByteAtATimeIsTheSame) {
    Relay relay{FrameScanner{Stream::frontend, small_limit}};
    for (const char byte : stream()) relay.receive({&byte, 1});
    EXPECT_EQ(relay.seen, in_one_piece());
    EXPECT_LT(relay.longest_stash, small_limit);
}

TEST(FrameScanner, PiecesOfAnySizeAreTheSame) {
    std::mt19937 random{1};
    const std::string bytes = stream();
    for (int round = 0; round < 500; ++round) {
        Relay relay{FrameScanner{Stream::frontend, small_limit}};
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t size = std::uniform_int_distribution<std::size_t>{1, 90}(random);
            relay.receive(std::string_view{bytes}.substr(at, size));
            at += size;
        }
        ASSERT_EQ(relay.seen, in_one_piece());
    }
}

TEST(FrameScanner, TellsHowMuchIsMissing) {
    FrameScanner scanner{Stream::frontend};
    const std::string bytes = message('Q', "select 1\0"_b);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const Frame frame = scanner.next(std::string_view{bytes}.substr(0, size));
        ASSERT_EQ(frame.state, FrameState::incomplete);
        EXPECT_EQ(size + frame.missing, size < header_size ? header_size : bytes.size());
    }
    EXPECT_EQ(scanner.next(bytes).state, FrameState::whole);
}

TEST(FrameScanner, OpensALargeMessageAtTheLimit) {
    FrameScanner scanner{Stream::frontend, small_limit};
    const std::string bytes = message('P', std::string(100, 'x'));
    const Frame early = scanner.next(std::string_view{bytes}.substr(0, 20));
    EXPECT_EQ(early.state, FrameState::incomplete);
    EXPECT_EQ(early.missing, small_limit - 20);
    const Frame opening = scanner.next(std::string_view{bytes}.substr(0, 40));
    EXPECT_EQ(opening.state, FrameState::opening);
    EXPECT_EQ(opening.message, bytes.size());
    EXPECT_EQ(opening.body.size(), 35U);
    EXPECT_TRUE(scanner.mid_message());
    EXPECT_EQ(scanner.remaining(), bytes.size() - 40);
    EXPECT_EQ(scanner.next({}).missing, 1U);
    const Frame rest = scanner.next(std::string_view{bytes}.substr(40));
    EXPECT_EQ(rest.state, FrameState::continuing);
    EXPECT_EQ(rest.type, 'P');
    EXPECT_TRUE(rest.finished);
    EXPECT_FALSE(scanner.mid_message());
}

TEST(FrameScanner, NeverHoldsBackWhatNobodyReads) {
    const std::string row = message('D', std::string(20, 'x'));
    FrameScanner backend{Stream::backend};
    EXPECT_EQ(backend.next(row.substr(0, 6)).state, FrameState::opening);
    FrameScanner frontend{Stream::frontend};
    EXPECT_EQ(frontend.next(row.substr(0, 6)).state, FrameState::incomplete);  // here it is Describe
    const std::string data = message('d', "0123456789");
    EXPECT_EQ(frontend.next(data.substr(0, 5)).state, FrameState::opening);
}

TEST(FrameScanner, RunsOfRowsEndWhereSomethingElseOrARestBegins) {
    const FrameScanner backend{Stream::backend};
    const std::string row = message('D', "one row");
    const std::string rows = row + message('D', "") + row;
    EXPECT_EQ(backend.run_of('D', ""), 0U);
    EXPECT_EQ(backend.run_of('D', rows), rows.size());
    EXPECT_EQ(backend.run_of('D', rows + message('C', "SELECT 3\0"_b)), rows.size());
    EXPECT_EQ(backend.run_of('D', rows + message('d', "data")), rows.size());
    for (std::size_t size = 1; size < row.size(); ++size) {
        EXPECT_EQ(backend.run_of('D', rows + row.substr(0, size)), rows.size()) << size;
    }
    // No row, but an invalid length: next() is to find it.
    EXPECT_EQ(backend.run_of('D', rows + "D\0\0\0\x03"_b), rows.size());
    EXPECT_EQ(backend.run_of('C', message('C', "SELECT 3\0"_b)), 0U);
    const FrameScanner frontend{Stream::frontend};
    EXPECT_EQ(frontend.run_of('D', message('D', "Sname\0"_b)), 0U);  // here it is Describe
    EXPECT_EQ(frontend.run_of('d', message('d', "data")), message('d', "data").size());
    FrameScanner inside{Stream::backend};
    ASSERT_EQ(inside.next(row.substr(0, 6)).state, FrameState::opening);
    EXPECT_EQ(inside.run_of('D', rows), 0U);
}

TEST(FrameScanner, CountsTheLargestMessageInSixtyFourBits) {
    FrameScanner scanner{Stream::backend};
    const std::string head = "D\x3f\xff\xff\xff"_b;
    const Frame opening = scanner.next(head);
    EXPECT_EQ(opening.state, FrameState::opening);
    EXPECT_EQ(opening.message, std::uint64_t{max_message_length} + 1);
    std::uint64_t left = max_message_length - 4;
    const std::string chunk(1U << 20U, 'x');
    while (scanner.mid_message()) left -= scanner.next(chunk).size;
    EXPECT_EQ(left, 0U);
    EXPECT_EQ(scanner.next(message('C', "x\0"_b)).type, 'C');
}

struct Broken {
    const char* name;
    Stream stream;
    std::string bytes;
    const char* error;
};
void PrintTo(const Broken& broken, std::ostream* out) { *out << broken.name; }
class BrokenStream : public testing::TestWithParam<Broken> {};

TEST_P(BrokenStream, StaysBroken) {
    FrameScanner scanner{GetParam().stream};
    const Frame frame = scanner.next(GetParam().bytes);
    EXPECT_EQ(frame.state, FrameState::broken);
    EXPECT_STREQ(frame.error, GetParam().error);
    EXPECT_EQ(scanner.next(message('S', "")).state, FrameState::broken);
}

const Broken broken_streams[] = {
    {"TypeOfAClient", Stream::frontend, "y", "invalid message type"},
    {"TypeAndLength", Stream::frontend, "y\0\0\0\4"_b, "invalid message type"},
    {"PasswordInASession", Stream::frontend, "p\0\0\0\4"_b, "invalid message type"},
    {"QueryInALogin", Stream::frontend_login, "Q\0\0\0\4"_b, "invalid message type"},
    {"TypeOfAServer", Stream::backend, "\x16\3\1\1\1"_b, "invalid message type"},
    {"LengthThree", Stream::frontend, "Q\0\0\0\3"_b, "invalid message length"},
    {"LengthZero", Stream::backend, "Z\0\0\0\0"_b, "invalid message length"},
    {"TooLong", Stream::frontend, "Q\x40\0\0\0"_b, "invalid message length"},
    {"NegativeLength", Stream::backend, "D\xff\xff\xff\xff"_b, "invalid message length"},
    {"TooLongForALogin", Stream::frontend_login, "p\0\1\0\0"_b, "invalid message length"},
};
INSTANTIATE_TEST_SUITE_P(FrameScanner, BrokenStream, testing::ValuesIn(broken_streams), name_of);

TEST(FrameScanner, GoesFromLoginToSession) {
    FrameScanner scanner{Stream::frontend_login};
    EXPECT_EQ(scanner.next(message('p', "x\0"_b)).state, FrameState::whole);
    scanner.change_stream(Stream::frontend);
    EXPECT_EQ(scanner.next(message('Q', "x\0"_b)).state, FrameState::whole);
}

TEST(FrameScanner, CarriesMessagesOfNewerServers) {
    FrameScanner scanner{Stream::backend};
    EXPECT_EQ(scanner.next(message('y', "news")).state, FrameState::whole);
}

}  // namespace
}  // namespace turnout::test
