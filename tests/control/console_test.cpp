// The admin socket as clients meet it: libpq over a real Unix socket, by the simple and the extended protocol.
#include "control/console.hpp"

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/console_fixture.hpp"

namespace turnout::control {
namespace {

namespace asio = boost::asio;
using turnout::support::ServedConsole;

struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Connection = std::unique_ptr<PGconn, Finish>;
struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, Clear>;

Connection connect(const std::string& directory, const std::string& more = "dbname=turnout") {
    return Connection(PQconnectdb(("host=" + directory + " port=6432 user=me " + more).c_str()));
}

Result exec(const Connection& connection, const std::string& text) {
    return Result(PQexec(connection.get(), text.c_str()));
}

std::string field(const Result& result, int code) {
    const char* value = PQresultErrorField(result.get(), code);
    return value == nullptr ? "" : value;
}

std::string exit_status(const Connection& connection) {
    const char* status = PQparameterStatus(connection.get(), "turnout.exit_status");
    return status == nullptr ? "none" : status;
}

void collect_notice(void* notices, const PGresult* notice) {
    static_cast<std::vector<std::string>*>(notices)->emplace_back(PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY));
}

/// Answers like a controller would, without one.
asio::awaitable<Answer> fake(Command command, Progress progress) {
    switch (command.verb) {
        case Verb::show:
            if (command.topic == Topic::config) {
                co_return table_answer({columns_of(command),
                                        {{"switch.max_pause", "50ms", "100ms", "yes"}, {"a", std::nullopt, "", "no"}}});
            }
            if (command.topic == Topic::lag)
                co_return table_answer({columns_of(command), {{"app", "-3", "0.5", "streaming", "0", "reserved"}}});
            co_return object_answer({{"active", "blue"}, {"generation", 1}});
        case Verb::switch_over: {
            progress("closing the gate");
            progress("opening the gate");
            Answer answer = object_answer({{"outcome", "switched"}, {"window_us", 1180}}, "switched in 1.180 ms\n");
            co_return answer;
        }
        case Verb::rollback: {
            Answer answer =
                refusal(sqlstate::given_up, "no good moment within 60s", "Try again.", "waited for pid 4711");
            answer.json = boost::json::object{{"outcome", "given_up"}};
            co_return answer;
        }
        case Verb::check: {
            Answer answer =
                table_answer({columns_of(command), {{"refuse", "wal_level", "blue", "it is replica", "..."}}});
            answer.exit_status = ExitStatus::refused;
            co_return answer;
        }
        case Verb::verify: throw std::runtime_error("something unforeseen");
        default: co_return Answer{};
    }
}

TEST(Console, GreetsLikeAServer) {
    ServedConsole served(fake);
    const Connection connection = connect(served.directory());
    ASSERT_EQ(PQstatus(connection.get()), CONNECTION_OK) << PQerrorMessage(connection.get());
    EXPECT_EQ(PQserverVersion(connection.get()), 130000);
    EXPECT_STREQ(PQparameterStatus(connection.get(), "client_encoding"), "UTF8");
    EXPECT_STREQ(PQparameterStatus(connection.get(), "standard_conforming_strings"), "on");
    EXPECT_NE(std::string(PQparameterStatus(connection.get(), "server_version")).find("turnout 0.0.test"),
              std::string::npos);
    EXPECT_EQ(PQstatus(connect(served.directory(), "dbname=pgbouncer").get()), CONNECTION_OK);
}

TEST(Console, RefusesOtherDatabases) {
    ServedConsole served(fake);
    const Connection connection = connect(served.directory(), "dbname=app");
    EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
    EXPECT_NE(std::string(PQerrorMessage(connection.get())).find("the console has no database \"app\""),
              std::string::npos);
}

TEST(Console, SimpleQueryGivesRows) {
    ServedConsole served(fake);
    const Connection connection = connect(served.directory());
    const Result config = exec(connection, "SHOW CONFIG;");
    ASSERT_EQ(PQresultStatus(config.get()), PGRES_TUPLES_OK) << PQresultErrorMessage(config.get());
    EXPECT_STREQ(PQcmdStatus(config.get()), "SHOW");
    EXPECT_EQ(PQnfields(config.get()), 4);
    EXPECT_STREQ(PQfname(config.get(), 3), "changeable");
    EXPECT_EQ(PQntuples(config.get()), 2);
    EXPECT_STREQ(PQgetvalue(config.get(), 0, 1), "50ms");
    EXPECT_EQ(PQgetisnull(config.get(), 1, 1), 1);
    EXPECT_EQ(exit_status(connection), "0");
    const Result json = exec(connection, "show status as json");
    EXPECT_STREQ(PQgetvalue(json.get(), 0, 0), R"({"active":"blue","generation":1})");
    EXPECT_EQ(PQftype(json.get(), 0), 114U);
    const Result text = exec(connection, "show status as text");
    EXPECT_STREQ(PQgetvalue(text.get(), 0, 0), "active      blue\ngeneration  1\n");
}

TEST(Console, ProgressComesAsNotices) {
    ServedConsole served(fake);
    const Connection connection = connect(served.directory());
    std::vector<std::string> notices;
    PQsetNoticeReceiver(connection.get(), collect_notice, &notices);
    const Result result = exec(connection, "SWITCH");
    EXPECT_STREQ(PQcmdStatus(result.get()), "SWITCH");
    EXPECT_EQ(notices, (std::vector<std::string>{"closing the gate", "opening the gate"}));
    EXPECT_STREQ(PQgetvalue(result.get(), 0, 0), "outcome");
    EXPECT_STREQ(PQgetvalue(result.get(), 0, 1), "switched");
}

TEST(Console, ErrorsHaveSqlstateDetailAndHint) {
    ServedConsole served(fake);
    const Connection connection = connect(served.directory());
    const Result refused = exec(connection, "ROLLBACK");
    EXPECT_EQ(PQresultStatus(refused.get()), PGRES_FATAL_ERROR);
    EXPECT_EQ(field(refused, PG_DIAG_SEVERITY_NONLOCALIZED), "ERROR");
    EXPECT_EQ(field(refused, PG_DIAG_SQLSTATE), "55P03");
    EXPECT_EQ(field(refused, PG_DIAG_MESSAGE_PRIMARY), "no good moment within 60s");
    EXPECT_EQ(field(refused, PG_DIAG_MESSAGE_DETAIL), "waited for pid 4711");
    EXPECT_EQ(field(refused, PG_DIAG_MESSAGE_HINT), "Try again.");
    EXPECT_EQ(exit_status(connection), "1");
    EXPECT_EQ(field(exec(connection, "ROLLBACK AS JSON"), PG_DIAG_MESSAGE_DETAIL), R"({"outcome":"given_up"})");

    EXPECT_EQ(field(exec(connection, "SWICTH"), PG_DIAG_SQLSTATE), "42601");
    EXPECT_EQ(exit_status(connection), "2");
    EXPECT_EQ(field(exec(connection, "VERIFY"), PG_DIAG_SQLSTATE), "XX000");
    EXPECT_EQ(field(exec(connection, "VERIFY"), PG_DIAG_MESSAGE_PRIMARY), "something unforeseen");

    const Result check = exec(connection, "CHECK");
    EXPECT_EQ(PQresultStatus(check.get()), PGRES_TUPLES_OK);
    EXPECT_EQ(exit_status(connection), "1") << "a check that found something is an answer, and exit status 1";
}

TEST(Console, SeveralCommandsStopAtTheFirstError) {
    ServedConsole served(fake);
    const Connection connection = connect(served.directory());
    ASSERT_EQ(PQsendQuery(connection.get(), "SHOW STATUS; PAUSE; ROLLBACK; SHOW CONFIG"), 1);
    std::vector<ExecStatusType> statuses;
    while (Result result{PQgetResult(connection.get())}) statuses.push_back(PQresultStatus(result.get()));
    EXPECT_EQ(statuses, (std::vector<ExecStatusType>{PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_FATAL_ERROR}));
    EXPECT_EQ(PQresultStatus(exec(connection, "").get()), PGRES_EMPTY_QUERY);
    EXPECT_EQ(PQresultStatus(exec(connection, ";").get()), PGRES_EMPTY_QUERY);
    EXPECT_EQ(PQresultStatus(exec(connection, "SET extra_float_digits = 3").get()), PGRES_COMMAND_OK);
}

TEST(Console, ExtendedProtocolGivesTheSame) {
    ServedConsole served(fake);
    const Connection connection = connect(served.directory());
    const Result text(PQexecParams(connection.get(), "SHOW CONFIG", 0, nullptr, nullptr, nullptr, nullptr, 0));
    EXPECT_EQ(PQntuples(text.get()), 2) << PQresultErrorMessage(text.get());
    EXPECT_STREQ(PQgetvalue(text.get(), 0, 0), "switch.max_pause");

    const Result prepared(PQprepare(connection.get(), "lag", "SHOW LAG", 0, nullptr));
    EXPECT_EQ(PQresultStatus(prepared.get()), PGRES_COMMAND_OK);
    const Result described(PQdescribePrepared(connection.get(), "lag"));
    EXPECT_EQ(PQnparams(described.get()), 0);
    EXPECT_STREQ(PQfname(described.get(), 1), "bytes");
    EXPECT_EQ(PQftype(described.get(), 1), 20U);
    const Result binary(PQexecPrepared(connection.get(), "lag", 0, nullptr, nullptr, nullptr, 1));
    ASSERT_EQ(PQntuples(binary.get()), 1);
    EXPECT_EQ(std::string_view(PQgetvalue(binary.get(), 0, 0), 3), "app");
    ASSERT_EQ(PQgetlength(binary.get(), 0, 1), 8);
    EXPECT_EQ(std::string_view(PQgetvalue(binary.get(), 0, 1), 8), "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFD");

    const Result pause(PQexecParams(connection.get(), "PAUSE", 0, nullptr, nullptr, nullptr, nullptr, 0));
    EXPECT_EQ(PQresultStatus(pause.get()), PGRES_COMMAND_OK);
    const Result empty(PQexecParams(connection.get(), "", 0, nullptr, nullptr, nullptr, nullptr, 0));
    EXPECT_EQ(PQresultStatus(empty.get()), PGRES_EMPTY_QUERY);
}

TEST(Console, ExtendedProtocolErrorsLeaveTheSessionUsable) {
    ServedConsole served(fake);
    const Connection connection = connect(served.directory());
    const auto run = [&connection](const char* text, int parameters = 0) {
        const char* values[] = {"1"};
        return Result(PQexecParams(connection.get(), text, parameters, nullptr, values, nullptr, nullptr, 0));
    };
    EXPECT_EQ(field(run("NONSENSE"), PG_DIAG_SQLSTATE), "42601");
    EXPECT_EQ(field(run("PAUSE; RESUME"), PG_DIAG_SQLSTATE), "42601");
    EXPECT_EQ(field(run("PAUSE; RESUME"), PG_DIAG_MESSAGE_PRIMARY),
              "several commands cannot be one prepared statement");
    EXPECT_EQ(field(run("SHOW STATUS", 1), PG_DIAG_SQLSTATE), "08P01");
    EXPECT_EQ(field(run("SHOW STATUS", 1), PG_DIAG_MESSAGE_PRIMARY), "commands of the console have no parameters");
    EXPECT_EQ(field(run("ROLLBACK"), PG_DIAG_SQLSTATE), "55P03");
    const Result missing(PQexecPrepared(connection.get(), "nobody", 0, nullptr, nullptr, nullptr, 0));
    EXPECT_EQ(field(missing, PG_DIAG_SQLSTATE), "26000");
    EXPECT_EQ(field(missing, PG_DIAG_MESSAGE_PRIMARY), "prepared statement \"nobody\" does not exist");
    for (const char* sqlstate : {"", "42P05"}) {
        const Result prepared(PQprepare(connection.get(), "twice", "SHOW LAG", 0, nullptr));
        EXPECT_EQ(field(prepared, PG_DIAG_SQLSTATE), sqlstate);
    }
    EXPECT_NE(std::string(PQerrorMessage(connection.get())).find("prepared statement \"twice\" exists already"),
              std::string::npos);
    const Result portal(PQdescribePortal(connection.get(), "nobody"));
    EXPECT_EQ(field(portal, PG_DIAG_SQLSTATE), "34000");
    EXPECT_EQ(field(portal, PG_DIAG_MESSAGE_PRIMARY), "nothing is prepared under the name \"nobody\"");
    EXPECT_EQ(PQntuples(run("SHOW CONFIG").get()), 2);
    EXPECT_EQ(PQtransactionStatus(connection.get()), PQTRANS_IDLE);
}

TEST(Console, PipelinedBatchesAreAnsweredInOrder) {
    ServedConsole served(fake);
    const Connection connection = connect(served.directory());
    ASSERT_EQ(PQenterPipelineMode(connection.get()), 1);
    for (const char* text : {"SHOW CONFIG", "ROLLBACK", "SHOW LAG"})
        PQsendQueryParams(connection.get(), text, 0, nullptr, nullptr, nullptr, nullptr, 0);
    PQpipelineSync(connection.get());
    PQsendQueryParams(connection.get(), "SHOW LAG", 0, nullptr, nullptr, nullptr, nullptr, 0);
    PQpipelineSync(connection.get());
    std::vector<ExecStatusType> statuses;
    while (statuses.size() < 6) {
        const Result result(PQgetResult(connection.get()));
        if (result) statuses.push_back(PQresultStatus(result.get()));
    }
    EXPECT_EQ(statuses, (std::vector<ExecStatusType>{PGRES_TUPLES_OK, PGRES_FATAL_ERROR, PGRES_PIPELINE_ABORTED,
                                                     PGRES_PIPELINE_SYNC, PGRES_TUPLES_OK, PGRES_PIPELINE_SYNC}));
}

/// A verb that runs until it is cancelled, then undoes what it began.
struct Endless {
    std::promise<void> begun;
    std::promise<void> undone;

    CommandHandler handler() {
        return [this](Command command, Progress) -> asio::awaitable<Answer> {
            if (command.verb != Verb::sync) co_return Answer{};
            asio::steady_timer forever(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
            begun.set_value();
            try {
                co_await forever.async_wait(asio::use_awaitable);
            } catch (const boost::system::system_error&) {
                undone.set_value();
            }
            co_return refusal(sqlstate::cancelled, "cancelled; nothing was left behind");
        };
    }
};

TEST(Console, ACancelRequestCancelsTheRunningVerbWhichAnswersWhenItIsUndone) {
    Endless endless;
    ServedConsole served(endless.handler());
    const Connection connection = connect(served.directory());
    ASSERT_EQ(PQsendQuery(connection.get(), "SYNC"), 1);
    endless.begun.get_future().wait();
    const std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> cancel(PQgetCancel(connection.get()), &PQfreeCancel);
    std::array<char, 256> problem{};
    ASSERT_EQ(PQcancel(cancel.get(), problem.data(), problem.size()), 1) << problem.data();
    const Result result(PQgetResult(connection.get()));
    EXPECT_EQ(field(result, PG_DIAG_SQLSTATE), "57014");
    EXPECT_EQ(field(result, PG_DIAG_MESSAGE_PRIMARY), "cancelled; nothing was left behind");
    EXPECT_EQ(PQgetResult(connection.get()), nullptr);
    EXPECT_EQ(PQresultStatus(exec(connection, "PAUSE").get()), PGRES_COMMAND_OK);
}

TEST(Console, AClientThatGoesAwayCancelsItsVerb) {
    Endless endless;
    ServedConsole served(endless.handler());
    Connection connection = connect(served.directory());
    ASSERT_EQ(PQsendQuery(connection.get(), "SYNC"), 1);
    endless.begun.get_future().wait();
    connection.reset();
    endless.undone.get_future().wait();
}

TEST(Console, AnotherSessionWorksWhileAVerbRuns) {
    Endless endless;
    ServedConsole served(endless.handler());
    const Connection busy = connect(served.directory());
    ASSERT_EQ(PQsendQuery(busy.get(), "SYNC"), 1);
    endless.begun.get_future().wait();
    EXPECT_EQ(PQresultStatus(exec(connect(served.directory()), "PAUSE").get()), PGRES_COMMAND_OK);
}

/// Sends raw bytes and reads until the console closes.
std::string raw(const std::string& path, std::string_view bytes) {
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    // The console may hang up before it has read all.
    EXPECT_GT(::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    std::string answer;
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; (got = ::read(descriptor, buffer.data(), buffer.size())) > 0;)
        answer.append(buffer.data(), static_cast<std::size_t>(got));
    ::close(descriptor);
    return answer;
}

TEST(Console, BytesThatAreNoProtocolAreRefused) {
    using namespace std::string_view_literals;
    ServedConsole served(fake);
    EXPECT_NE(raw(served.socket_path(), "GET / HTTP/1.1\r\n\r\n"sv).find("FATAL"), std::string::npos);
    constexpr std::string_view kLogin = "\0\0\0\x22\0\3\0\0user\0me\0database\0turnout\0\0"sv;
    static_assert(kLogin.size() == 0x22);
    const std::string huge = std::string(kLogin) + std::string("Q\x3F\xFF\xFF\xF0"sv) + std::string(600'000, 'x');
    EXPECT_NE(raw(served.socket_path(), huge).find("the message is too long for the console"), std::string::npos);
    const auto said = [&](std::string_view message) {
        return raw(served.socket_path(), std::string(kLogin) + std::string(message) + std::string("X\0\0\0\4"sv));
    };
    EXPECT_NE(said("F\0\0\0\x0E\0\0\0\1\0\0\0\0\0\0"sv).find("the console has no functions"), std::string::npos);
    EXPECT_NE(said("E\0\0\0\x0Dnone\0\0\0\0\0S\0\0\0\4"sv).find("portal \"none\" does not exist"), std::string::npos);
    EXPECT_NE(raw(served.socket_path(), std::string(kLogin) + std::string("\x01\0\0\0\4"sv)).find("08P01"),
              std::string::npos);
    EXPECT_EQ(PQresultStatus(exec(connect(served.directory()), "PAUSE").get()), PGRES_COMMAND_OK);
}

TEST(Console, AStaleSocketIsReplacedALiveOneIsNot) {
    ServedConsole served(fake);
    ConsoleSettings settings;
    settings.directory = served.directory();
    asio::io_context context;
    Console second(context.get_executor(), settings, fake);
    try {
        second.open();
        FAIL() << "two consoles at one socket";
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("another process answers at " + served.socket_path()),
                  std::string::npos);
    }
    served.close();
    EXPECT_FALSE(std::filesystem::exists(served.socket_path()));

    const int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    served.socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(stale, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(stale);  // the file stays, as after a crash
    EXPECT_NO_THROW(second.open());
}

TEST(Console, SessionsAreToldOfTheEnd) {
    ServedConsole served(fake);
    const Connection connection = connect(served.directory());
    ASSERT_EQ(PQstatus(connection.get()), CONNECTION_OK);
    served.close();
    const Result result = exec(connection, "SHOW STATUS");
    EXPECT_NE(std::string(PQerrorMessage(connection.get())).find("FATAL:  turnout is shutting down"),
              std::string::npos);
    EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
}

TEST(Console, OnlyItsOwnerMayReachTheSocket) {
    ServedConsole served(fake);
    const auto permissions = std::filesystem::status(served.socket_path()).permissions();
    EXPECT_EQ(permissions & (std::filesystem::perms::group_all | std::filesystem::perms::others_all),
              std::filesystem::perms::none);
}

}  // namespace
}  // namespace turnout::control
