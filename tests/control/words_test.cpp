// Small texts that people read and write: durations, addresses, misspelt words, passwords that must not be seen, lines
// of the log.
#include <gtest/gtest.h>

#include <spdlog/spdlog.h>
#include <unistd.h>
#include <array>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "control/duration.hpp"
#include "control/listen_address.hpp"
#include "control/log.hpp"
#include "control/nearest_word.hpp"
#include "control/secrets.hpp"

namespace turnout::control {
namespace {

using std::chrono::milliseconds;

TEST(Duration, IsReadWithItsUnit) {
    EXPECT_EQ(parse_duration("100ms"), milliseconds(100));
    EXPECT_EQ(parse_duration("60s"), milliseconds(60'000));
    EXPECT_EQ(parse_duration("10m"), milliseconds(600'000));
    EXPECT_EQ(parse_duration("10 min"), milliseconds(600'000));
    EXPECT_EQ(parse_duration("2h"), milliseconds(7'200'000));
    EXPECT_EQ(parse_duration("1d"), milliseconds(86'400'000));
    EXPECT_EQ(parse_duration("5000us"), milliseconds(5));
    EXPECT_EQ(parse_duration("0"), milliseconds(0));
    for (const char* wrong : {"", "50", "ms", "-1s", "1.5s", "1 week", "1ms ", "1us", "99999999999999999999s",
                              "9223372036854775807d", "0x10s"})
        EXPECT_EQ(parse_duration(wrong), std::nullopt) << wrong;
}

TEST(Duration, IsWrittenSoThatItIsReadBack) {
    for (const long value : {0L, 1L, 100L, 1500L, 60'000L, 90'000L, 3'600'000L, 86'400'000L, 86'400'001L})
        EXPECT_EQ(parse_duration(duration_text(milliseconds(value))), milliseconds(value)) << value;
    EXPECT_EQ(duration_text(milliseconds(60'000)), "1m");
    EXPECT_EQ(duration_text(milliseconds(1500)), "1500ms");
}

TEST(ListenAddress, IsHostAndPort) {
    EXPECT_EQ(parse_host_and_port("127.0.0.1:6432")->host, "127.0.0.1");
    EXPECT_EQ(parse_host_and_port("[::1]:0")->host, "::1");
    EXPECT_EQ(parse_host_and_port("localhost:9632")->port, 9632);
    for (const char* wrong : {"", ":1", "host", "host:", "host:x", "host:65536", "::1:6432", "[]:1", "[::1:5", "h:1x"})
        EXPECT_FALSE(parse_host_and_port(wrong)) << wrong;
}

TEST(NearestWord, IsFoundForTyposOnly) {
    constexpr std::array<std::string_view, 3> kKnown{"max_pause", "deadline", "pinned"};
    EXPECT_EQ(nearest_word("max_puase", kKnown), "max_pause");
    EXPECT_EQ(nearest_word("maxpause", kKnown), "max_pause");
    EXPECT_EQ(nearest_word("dedline", kKnown), "deadline");
    EXPECT_EQ(nearest_word("colour", kKnown), std::nullopt);
    EXPECT_EQ(nearest_word("", kKnown), std::nullopt);
    EXPECT_EQ(nearest_word(std::string(10'000, 'x'), kKnown), std::nullopt);
}

TEST(Secrets, AreHiddenWhereverAConnectionStringMayStand) {
    const std::array<std::array<const char*, 2>, 10> cases{{
        {"host=a password=s3cret user=b", "host=a password=*** user=b"},
        {"host=a password = 's3 cr\\'et' user=b", "host=a password = *** user=b"},
        {"PASSWORD=s3cret", "PASSWORD=***"},
        {"sslpassword=s3cret", "sslpassword=***"},
        {"postgresql://u:s3cret@host/db", "postgresql://u:***@host/db"},
        {"postgres://u:s3:cr@et@host", "postgres://u:***@host"},
        {"postgresql://host/db?user=u&password=s3cret&x=1", "postgresql://host/db?user=u&password=***&x=1"},
        {"CREATE SUBSCRIPTION s CONNECTION 'host=a password=s3cret'",
         "CREATE SUBSCRIPTION s CONNECTION 'host=a password=***"},
        {"password authentication failed", "password authentication failed"},
        {"see http://localhost:9632/metrics", "see http://localhost:9632/metrics"},
    }};
    for (const auto& [text, hidden] : cases) EXPECT_EQ(hide_passwords(text), hidden);
}

TEST(LogLine, IsJsonWhateverIsInIt) {
    const std::string nasty = "quote \" backslash \\ line\nfeed \x01 tab\t bell\a";
    const std::string line = log_line(LogFormat::json, "2026-01-31T12:00:00.123Z", "info", nasty, 7);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto object = boost::json::parse(line).as_object();
    EXPECT_EQ(object.at("message").as_string(), nasty);
    EXPECT_EQ(object.at("level").as_string(), "info");
    EXPECT_EQ(object.at("time").as_string(), "2026-01-31T12:00:00.123Z");
}

TEST(LogLine, SaysOfWhichSwitchItIs) {
    const LogContext context{"2026-01-31T120000.123Z-switch", "moment", "blue", "16/B374D848"};
    const auto object = boost::json::parse(log_line(LogFormat::json, "T", "info", "m", 7, context)).as_object();
    EXPECT_EQ(object.at("switch").as_string(), context.switch_id);
    EXPECT_EQ(object.at("phase").as_string(), "moment");
    EXPECT_EQ(object.at("side").as_string(), "blue");
    EXPECT_EQ(object.at("position").as_string(), "16/B374D848");
    EXPECT_EQ(log_line(LogFormat::text, "T", "info", "m", 7, {"it", "moment", "blue", ""}),
              "T info    m [switch=it phase=moment side=blue]");
}

TEST(LogLine, ForPeopleIsOneLineWithoutControlCharacters) {
    EXPECT_EQ(log_line(LogFormat::text, "T", "info", "a\nb\x1b[31m", 7), "T info    a\\nb\\x1b[31m");
}

TEST(Log, WritesToItsFileAndReopensIt) {
    const std::filesystem::path file =
        std::filesystem::temp_directory_path() / ("turnout-log-" + std::to_string(::getpid()));
    const auto read = [&file] {
        std::ifstream stream(file);
        return std::string(std::istreambuf_iterator<char>(stream), {});
    };
    LogConfig config;
    config.file = file.string();
    config.format = LogFormat::json;
    set_up_log(config);
    spdlog::info("connecting to {}", "host=a password=hunter2");
    spdlog::debug("not written");
    EXPECT_NE(read().find("connecting to host=a password=***"), std::string::npos);
    EXPECT_EQ(read().find("not written"), std::string::npos);
    std::filesystem::remove(file);  // as logrotate does
    set_up_log(config);
    spdlog::info("after");
    EXPECT_NE(read().find("after"), std::string::npos);
    EXPECT_EQ(read().find("hunter2"), std::string::npos);
    std::filesystem::remove(file);
    config.file = "/dev/null/log";
    EXPECT_THROW(set_up_log(config), std::runtime_error);
    set_up_log(LogConfig{});
}

}  // namespace
}  // namespace turnout::control
