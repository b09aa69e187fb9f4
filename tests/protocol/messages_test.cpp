#include "protocol/messages.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "tests/protocol/bytes.hpp"
#include "tests/protocol/named.hpp"

namespace turnout::test {
namespace {

using namespace protocol;

/// A message in its bytes, and its parser followed by its writer: what comes out must be what went in.
struct Sample {
    const char* name;
    char type;
    std::string body;
    std::function<std::optional<std::string>(std::string_view)> again;
    bool any_length = false;  ///< the body ends with bytes of any number: cutting it is no error
};

void PrintTo(const Sample& sample, std::ostream* out) { *out << sample.name; }

template <class Message>
std::optional<std::string> again(std::string_view body) {
    Message parsed;
    if (parse(body, parsed)) return std::nullopt;
    std::string out;
    if constexpr (requires { append(out, BackendType::error_response, parsed); }) {
        append(out, BackendType::error_response, parsed);
    } else if constexpr (requires { append(out, parsed); }) {
        append(out, parsed);
    }
    return out;
}

std::optional<std::string> copy_again(std::string_view body) {
    CopyResponse parsed;
    if (parse(body, parsed)) return std::nullopt;
    std::string out;
    append(out, BackendType::copy_in_response, parsed);
    return out;
}

std::optional<std::string> authentication_again(std::string_view body) {
    Authentication parsed;
    if (parse(body, parsed)) return std::nullopt;
    std::string out;
    switch (parsed.kind) {
        case AuthenticationKind::ok: append_authentication_ok(out); break;
        case AuthenticationKind::cleartext_password: append_authentication_cleartext(out); break;
        case AuthenticationKind::md5_password: append_authentication_md5(out, parsed.salt); break;
        case AuthenticationKind::sasl:
            append_authentication_sasl(out, {parsed.mechanisms.at(0), parsed.mechanisms.at(1)});
            break;
        case AuthenticationKind::sasl_continue: append_authentication_sasl_continue(out, parsed.data); break;
        default: append_authentication_sasl_final(out, parsed.data);
    }
    return out;
}

const Sample samples[] = {
    {"Query", 'Q', "select 1\0"_b, again<Query>},
    {"EmptyQuery", 'Q', "\0"_b, again<Query>},
    {"Parse", 'P', "s\0select $1\0\0\2\0\0\0\x17\0\0\0\0"_b, again<Parse>},
    {"UnnamedParse", 'P', "\0select 1\0\0\0"_b, again<Parse>},
    {"Bind", 'B', "p\0s\0\0\2\0\0\0\1\0\2\0\0\0\3abc\xff\xff\xff\xff\0\1\0\1"_b, again<Bind>},
    {"BindNothing", 'B', "\0\0\0\0\0\0\0\0"_b, again<Bind>},
    {"DescribeStatement", 'D', "Sname\0"_b, again<Describe>},
    {"DescribePortal", 'D', "P\0"_b, again<Describe>},
    {"Close", 'C', "Sname\0"_b, again<Close>},
    {"Execute", 'E', "p\0\0\0\1\0"_b, again<Execute>},
    {"FunctionCall", 'F', "\0\0\4\xd2\0\1\0\1\0\1\0\0\0\2xy\0\1"_b, again<FunctionCall>},
    {"CopyFail", 'f', "why\0"_b, again<CopyFail>},
    {"PasswordMessage", 'p', "secret\0"_b, again<PasswordMessage>},
    {"SASLInitialResponse", 'p', "SCRAM-SHA-256\0\0\0\0\3n,,"_b, again<SASLInitialResponse>},
    {"SASLInitialResponseWithoutData", 'p', "X\0\xff\xff\xff\xff"_b, again<SASLInitialResponse>},
    {"SASLResponse", 'p', "c=biws"_b, again<SASLResponse>, true},
    {"ReadyForQuery", 'Z', "T", again<ReadyForQuery>},
    {"ParameterStatus", 'S', "TimeZone\0UTC\0"_b, again<ParameterStatus>},
    {"BackendKeyData", 'K', "\0\0\x12\x34keys"_b, again<BackendKeyData>},
    {"BackendKeyDataOf32", 'K', "\0\0\x12\x34"_b + std::string(256, 'k'), again<BackendKeyData>, true},
    {"CommandComplete", 'C', "INSERT 0 1\0"_b, again<CommandComplete>},
    {"NotificationResponse", 'A', "\0\0\0\7channel\0payload\0"_b, again<NotificationResponse>},
    {"RowDescription", 'T', "\0\1name\0\0\0\0\1\0\2\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"_b, again<RowDescription>},
    {"DataRow", 'D', "\0\3\0\0\0\1x\xff\xff\xff\xff\0\0\0\0"_b, again<DataRow>},
    {"ParameterDescription", 't', "\0\2\0\0\0\x17\0\0\0\x19"_b, again<ParameterDescription>},
    {"CopyInResponse", 'G', "\1\0\2\0\1\0\0"_b, copy_again},
    {"NegotiateProtocolVersion", 'v', "\0\3\0\2\0\0\0\1_pq_.x\0"_b, again<NegotiateProtocolVersion>},
    {"ErrorResponse", 'E', "SERROR\0VERROR\0C42601\0Msyntax\0\0"_b, again<ErrorFields>},
    {"AuthenticationOk", 'R', "\0\0\0\0"_b, authentication_again},
    {"AuthenticationCleartext", 'R', "\0\0\0\3"_b, authentication_again},
    {"AuthenticationMD5", 'R', "\0\0\0\5salt"_b, authentication_again},
    {"AuthenticationSASL", 'R', "\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"_b, authentication_again},
    {"AuthenticationSASLContinue", 'R', "\0\0\0\x0br=x"_b, authentication_again, true},
    {"AuthenticationSASLFinal", 'R', "\0\0\0\x0cv=x"_b, authentication_again, true},
};

class Message : public testing::TestWithParam<Sample> {};

TEST_P(Message, ComesOutAsItWentIn) {
    const auto out = GetParam().again(GetParam().body);
    ASSERT_TRUE(out);
    EXPECT_EQ(*out, message(GetParam().type, GetParam().body));
}

TEST_P(Message, IsRefusedWhenCutAnywhere) {
    if (GetParam().any_length) return;
    const std::string& body = GetParam().body;
    for (std::size_t size = 0; size < body.size(); ++size) {
        // A copy of exact size lets the sanitizer see a read behind its end.
        const std::vector<char> cut(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(GetParam().again({cut.data(), cut.size()})) << "cut to " << size;
    }
}

TEST_P(Message, IsRefusedWithBytesBehindIt) {
    if (GetParam().any_length || GetParam().type == 'K') return;
    EXPECT_FALSE(GetParam().again(GetParam().body + "x"));
}

TEST_P(Message, IsReadSafelyWhateverItsBytes) {
    for (std::size_t at = 0; at < GetParam().body.size(); ++at) {
        for (const char value : {'\0', '\x7f', '\x80', '\xff'}) {
            std::string body = GetParam().body;
            body[at] = value;
            const std::vector<char> exact(body.begin(), body.end());
            if (GetParam().type == 'R' && at < 4) continue;  // another kind of Authentication
            if (GetParam().name == std::string_view{"AuthenticationSASL"}) continue;
            (void)GetParam().again({exact.data(), exact.size()});
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Wire, Message, testing::ValuesIn(samples), name_of);

TEST(Messages, WithoutABody) {
    std::string out;
    append_sync(out);
    append_flush(out);
    append_terminate(out);
    append_copy_done(out);
    append_empty(out, BackendType::parse_complete);
    EXPECT_EQ(out, message('S', "") + message('H', "") + message('X', "") + message('c', "") + message('1', ""));
}

TEST(Messages, FieldsOfABind) {
    Bind bind;
    const std::string body = "p\0s\0\0\1\0\1\0\2\0\0\0\3abc\xff\xff\xff\xff\0\0"_b;
    ASSERT_FALSE(parse(body, bind));
    EXPECT_EQ(bind.portal, "p");
    EXPECT_EQ(bind.statement, "s");
    ASSERT_EQ(bind.parameters.size(), 2U);
    EXPECT_EQ(bind.parameters[0], "abc");
    EXPECT_EQ(bind.parameters[1], std::nullopt);
    EXPECT_EQ(bind.format_of(0), 1);
    EXPECT_EQ(bind.format_of(1), 1);
    bind.parameter_formats = {0, 1};
    EXPECT_EQ(bind.format_of(0), 0);
    EXPECT_EQ(bind.format_of(1), 1);
    bind.parameter_formats.clear();
    EXPECT_EQ(bind.format_of(0), 0);
}

TEST(Messages, AnAnnouncedCountIsNotBelieved) {
    DataRow row;
    EXPECT_TRUE(parse("\xff\xff\0\0\0\1x"_b, row));
    EXPECT_LE(row.values.capacity(), 8U);
    NegotiateProtocolVersion version;
    EXPECT_TRUE(parse("\0\3\0\0\xff\xff\xff\xff"_b, version));
}

TEST(Messages, TellWhatIsWrong) {
    ReadyForQuery ready;
    EXPECT_STREQ(parse("x", ready).what, "unknown transaction status");
    Query query;
    EXPECT_STREQ(parse("select", query).what, "a string is not terminated");
    Describe describe;
    EXPECT_STREQ(parse("Xname\0"_b, describe).what, "the target is neither a statement nor a portal");
    BackendKeyData key;
    EXPECT_STREQ(parse("\0\0\0\1abc"_b, key).what, "the cancel key is too short");
    EXPECT_STREQ(parse("\0\0\0\1"_b + std::string(257, 'x'), key).what, "the cancel key is too long");
    DataRow row;
    EXPECT_STREQ(parse("\0\1\xff\xff\xff\xfe"_b, row).what, "a value has a negative length");
}

TEST(Messages, AStringWithAZeroByteIsCutWhenWritten) {
    std::string out;
    append(out, Query{"a\0b"_b});
    EXPECT_EQ(out, message('Q', "a\0"_b));
}

TEST(Messages, TextColumns) {
    std::string out;
    append_text_columns(out, {"side", "lag"});
    RowDescription row;
    ASSERT_FALSE(parse(body_of(out), row));
    ASSERT_EQ(row.fields.size(), 2U);
    EXPECT_EQ(row.fields[1].type, 25U);
}

TEST(Errors, HaveTheirFieldsInPostgresOrder) {
    const std::string out = make_error(Severity::fatal, "57P03", "cannot connect now", "", "Try again.");
    EXPECT_EQ(out, message('E', "SFATAL\0VFATAL\0C57P03\0Mcannot connect now\0HTry again.\0\0"_b));
}

TEST(Errors, NoticesAreNotErrors) {
    EXPECT_EQ(make_error(Severity::notice, "00000", "hello").front(), 'N');
    EXPECT_EQ(make_error(Severity::warning, "01000", "hello").front(), 'N');
    EXPECT_EQ(make_error(Severity::error, "XX000", "hello").front(), 'E');
}

TEST(Errors, OfAHostileServerAreReadToo) {
    struct Hostile {
        std::string body;
        bool fatal;
    };
    for (const Hostile& hostile :
         {Hostile{"\0"_b, false}, Hostile{"C4260\0\0"_b, false}, Hostile{"C4260x\0\0"_b, false},
          Hostile{"SFATAL\0\0"_b, true}, Hostile{"SFATALE\0VPANIC\0\0"_b, true}}) {
        ErrorFields fields;
        ASSERT_FALSE(parse(hostile.body, fields));
        EXPECT_EQ(fields.sqlstate(), "");
        EXPECT_EQ(fields.fatal(), hostile.fatal);
    }
}

TEST(Errors, SqlstateIsFoundWithoutParsingAll) {
    const std::string cut = "SERROR\0C57014\0Mcut off he"_b;
    EXPECT_EQ(sqlstate_of(cut), "57014");
    const std::string without = "SERROR\0Mno state\0\0"_b;
    EXPECT_EQ(sqlstate_of(without), "");
    EXPECT_EQ(sqlstate_of("SERROR"), "");
    EXPECT_EQ(sqlstate_of(""), "");
}

}  // namespace
}  // namespace turnout::test
