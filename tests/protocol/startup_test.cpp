#include "protocol/startup.hpp"

#include <gtest/gtest.h>

#include "protocol/message.hpp"
#include "tests/protocol/bytes.hpp"

namespace turnout::test {
namespace {

using namespace protocol;

/// A first packet: the length and what follows it.
std::string packet(std::string_view body) { return message('?', body).substr(1); }

std::string startup(std::string_view version, std::string_view parameters) {
    return packet(std::string{version}.append(parameters));
}

const std::string version_3_0 = "\0\3\0\0"_b;

std::string refusal(std::string_view bytes) {
    const Classified classified = classify_first_packet(bytes);
    const auto* bad = std::get_if<BadStartup>(&classified.packet);
    return bad == nullptr ? "accepted" : std::string{bad->sqlstate} + " " + bad->message;
}

TEST(FirstPacket, IsToldByItsBytes) {
    EXPECT_TRUE(std::holds_alternative<SSLRequest>(classify_first_packet("\0\0\0\x08\x04\xd2\x16\x2f"_b).packet));
    EXPECT_TRUE(std::holds_alternative<GSSENCRequest>(classify_first_packet("\0\0\0\x08\x04\xd2\x16\x30"_b).packet));
    EXPECT_TRUE(std::holds_alternative<DirectTLS>(classify_first_packet("\x16\3\1").packet));
    const std::string bytes = "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\7keys"_b;
    const Classified cancel = classify_first_packet(bytes);
    ASSERT_TRUE(std::holds_alternative<CancelRequest>(cancel.packet));
    EXPECT_EQ(std::get<CancelRequest>(cancel.packet).pid, 7);
    EXPECT_EQ(std::get<CancelRequest>(cancel.packet).secret, "keys");
}

TEST(FirstPacket, ParametersKeepTheirOrder) {
    const std::string bytes =
        startup(version_3_0, "user\0ann\0database\0app\0_pq_.new\0on\0options\0-c a=b\0options\0-c c=d\0\0"_b);
    const std::string with_more = bytes + "more";
    const Classified classified = classify_first_packet(with_more);
    EXPECT_EQ(classified.size, bytes.size());
    const auto& message = std::get<StartupMessage>(classified.packet);
    EXPECT_EQ(message.user(), "ann");
    EXPECT_EQ(message.database(), "app");
    ASSERT_EQ(message.parameters.size(), 4U);
    EXPECT_EQ(message.parameters[2].value, "-c a=b");
    EXPECT_EQ(message.find("options"), "-c c=d");
    EXPECT_EQ(message.find("absent"), std::nullopt);
    ASSERT_EQ(message.protocol_options.size(), 1U);
    EXPECT_EQ(message.protocol_options[0].name, "_pq_.new");
}

TEST(FirstPacket, TheDatabaseIsNamedLikeTheUser) {
    for (const std::string& parameters : {"user\0ann\0\0"_b, "user\0ann\0database\0\0\0"_b}) {
        const std::string bytes = startup(version_3_0, parameters);
        const Classified classified = classify_first_packet(bytes);
        EXPECT_EQ(std::get<StartupMessage>(classified.packet).database(), "ann");
    }
}

TEST(FirstPacket, SaysWhetherItWantsReplication) {
    using Kind = std::optional<ReplicationKind>;
    const struct {
        const char* value;
        Kind kind;
    } rows[] = {{"database", ReplicationKind::database},
                {"true", ReplicationKind::physical},
                {"T", ReplicationKind::physical},
                {"yes", ReplicationKind::physical},
                {"on", ReplicationKind::physical},
                {"1", ReplicationKind::physical},
                {"false", ReplicationKind::none},
                {"n", ReplicationKind::none},
                {"oFF", ReplicationKind::none},
                {"of", ReplicationKind::none},
                {"0", ReplicationKind::none},
                {"o", std::nullopt},
                {"Database", std::nullopt},
                {"", std::nullopt},
                {"truely", std::nullopt},
                {"2", std::nullopt}};
    for (const auto& row : rows) {
        StartupMessage message;
        message.parameters = {{"user", "ann"}, {"replication", row.value}};
        EXPECT_EQ(message.replication(), row.kind) << row.value;
    }
    EXPECT_EQ(StartupMessage{}.replication(), ReplicationKind::none);
}

TEST(FirstPacket, AsksForMoreAtEveryByte) {
    const std::string bytes = startup(version_3_0, "user\0ann\0\0"_b);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const Classified classified = classify_first_packet(std::string_view{bytes}.substr(0, size));
        const auto* more = std::get_if<NeedsMore>(&classified.packet);
        ASSERT_NE(more, nullptr) << size;
        EXPECT_EQ(size + more->bytes, size < 4 ? 4 : bytes.size());
    }
    EXPECT_EQ(classify_first_packet(bytes).size, bytes.size());
}

TEST(FirstPacket, IsRefusedWithAReason) {
    EXPECT_EQ(refusal("\0\0\0\7"_b), "08P01 invalid length of startup packet");
    EXPECT_EQ(refusal("\0\0\x27\x11"_b), "08P01 invalid length of startup packet");
    EXPECT_EQ(refusal("\xff\xff\xff\xff"_b), "08P01 invalid length of startup packet");
    EXPECT_EQ(refusal("G"), "08P01 invalid length of startup packet");  // GET / HTTP/1.1
    EXPECT_EQ(refusal(packet("\x04\xd2\x16\x2fx"_b)), "08P01 invalid length of an encryption request");
    EXPECT_EQ(refusal(packet("\x04\xd2\x16\x2e\0\0\0\7key"_b)), "08P01 invalid length of the key in a cancel request");
    EXPECT_EQ(refusal(packet("\x04\xd2\x16\x2e\0\0\0\7"_b + std::string(257, 'k'))),
              "08P01 invalid length of the key in a cancel request");
    EXPECT_EQ(refusal(startup("\0\2\0\0"_b, "\0"_b)),
              "0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.2");
    EXPECT_EQ(refusal(startup("\0\4\0\1"_b, "user\0ann\0\0"_b)),
              "0A000 unsupported frontend protocol 4.1: server supports 3.0 to 3.2");
    EXPECT_EQ(refusal(startup(version_3_0, "database\0app\0\0"_b)),
              "28000 no PostgreSQL user name specified in startup packet");
    EXPECT_EQ(refusal(startup(version_3_0, "user\0\0\0"_b)),
              "28000 no PostgreSQL user name specified in startup packet");
    const std::string layout = "08P01 invalid startup packet layout: expected terminator as last byte";
    EXPECT_EQ(refusal(startup(version_3_0, "user\0ann\0"_b)), layout);
    EXPECT_EQ(refusal(startup(version_3_0, "user\0ann"_b)), layout);
    EXPECT_EQ(refusal(startup(version_3_0, "user\0ann\0\0x"_b)), layout);
    EXPECT_EQ(refusal(startup(version_3_0, "")), layout);
}

TEST(FirstPacket, TheLargestIsRead) {
    const std::string head = "\0\3\0\0user\0"_b;
    const std::string name(max_startup_length - 4 - head.size() - 2, 'a');
    const std::string bytes = packet(head + name + "\0\0"_b);
    ASSERT_EQ(bytes.size(), max_startup_length);
    const Classified classified = classify_first_packet(bytes);
    EXPECT_EQ(std::get<StartupMessage>(classified.packet).user(), name);
}

struct Offer {
    std::uint16_t asked;
    std::uint16_t answered;
    bool send;
};

TEST(Negotiation, AnswersTheNewestMinorThatIsNotAbove) {
    for (const Offer& offer :
         {Offer{0, 0, false}, Offer{1, 0, true}, Offer{2, 2, false}, Offer{3, 2, true}, Offer{9999, 2, true}}) {
        StartupMessage message;
        message.version.minor = offer.asked;
        const Negotiation negotiation = negotiate(message);
        EXPECT_EQ(negotiation.version.minor, offer.answered) << offer.asked;
        EXPECT_EQ(negotiation.send, offer.send) << offer.asked;
    }
}

TEST(Negotiation, NamesEveryOptionItDoesNotKnow) {
    StartupMessage message;
    message.protocol_options = {{"_pq_.a", "1"}, {"_pq_.b", "2"}};
    const Negotiation negotiation = negotiate(message);
    EXPECT_TRUE(negotiation.send);
    std::string out;
    append(out, negotiation);
    EXPECT_EQ(out, turnout::test::message('v', "\0\3\0\0\0\0\0\2_pq_.a\0_pq_.b\0"_b));
}

TEST(FirstPacket, IsWrittenAsItIsRead) {
    StartupMessage sent;
    sent.version.minor = 2;
    sent.parameters = {{"user", "ann"}, {"application_name", "x"}};
    sent.protocol_options = {{"_pq_.a", "1"}};
    std::string bytes;
    append(bytes, sent);
    const Classified classified = classify_first_packet(bytes);
    const auto& read = std::get<StartupMessage>(classified.packet);
    EXPECT_EQ(read.version, sent.version);
    EXPECT_EQ(read.find("application_name"), "x");
    EXPECT_EQ(read.protocol_options.size(), 1U);

    std::string others;
    append(others, SSLRequest{});
    append(others, GSSENCRequest{});
    append(others, CancelRequest{9, "12345678"});
    EXPECT_EQ(others,
              "\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x08\x04\xd2\x16\x30\0\0\0\x14\x04\xd2\x16\x2e\0\0\0\x09"
              "12345678"_b);
}

}  // namespace
}  // namespace turnout::test
