// The program as a person or a script meets it: verbs against an admin socket whose answers the test makes up, exit
// statuses, what goes to standard output and what to standard error.
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "bench/program.hpp"
#include "control/command.hpp"
#include "tests/support/console_fixture.hpp"

namespace turnout {
namespace {

namespace asio = boost::asio;
using bench::Exit;
using control::Answer;
using control::Command;
using control::ExitStatus;
using control::Progress;
using control::Verb;

Exit turnout(std::vector<std::string> arguments, std::vector<std::pair<std::string, std::string>> environment = {}) {
    arguments.insert(arguments.begin(), TURNOUT_PROGRAM);
    return bench::run_program({.arguments = std::move(arguments), .environment = std::move(environment)});
}

asio::awaitable<Answer> fake(Command command, Progress progress) {
    switch (command.verb) {
        case Verb::switch_over: {
            progress("switch: drain");
            const auto pause = command.options.max_pause.value_or(control::Milliseconds(0)).count();
            co_return control::object_answer({{"outcome", "switched"}, {"max_pause", pause}}, "switched\n");
        }
        case Verb::rollback: {
            Answer answer = control::refusal(control::sqlstate::given_up, "no good moment", "Try again.", "pid 4711");
            answer.json = boost::json::object{{"outcome", "given_up"}};
            co_return answer;
        }
        case Verb::check: {
            Answer answer = control::object_answer({{"outcome", "refused"}}, "FAIL  wal_level\n");
            answer.exit_status = ExitStatus::refused;
            co_return answer;
        }
        case Verb::finish: {
            Answer answer = control::refusal(control::sqlstate::needs_person, "nobody knows who is active");
            answer.exit_status = ExitStatus::needs_person;
            co_return answer;
        }
        case Verb::sync: {
            asio::steady_timer forever(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
            progress("copying");
            try {
                co_await forever.async_wait(asio::use_awaitable);
            } catch (const boost::system::system_error&) {
                progress("undone");
            }
            co_return control::refusal(control::sqlstate::cancelled, "SYNC was cancelled");
        }
        default: co_return control::object_answer({{"verb", control::tag(command.verb)}});
    }
    co_return Answer{};
}

TEST(CommandLine, AnAnswerIsPrintedWithStatusZeroAndProgressOnStandardError) {
    support::ServedConsole served(fake);
    const Exit exit = turnout({"switch", "--admin", served.directory()});
    EXPECT_EQ(exit.status, 0) << exit.err;
    EXPECT_EQ(exit.out, "switched\n");
    EXPECT_EQ(exit.err, "switch: drain\n");
}

TEST(CommandLine, JsonIsOneObjectWhateverTheOutcome) {
    support::ServedConsole served(fake);
    const Exit exit = turnout({"switch", "--json", "--max-pause", "50ms", "--admin", served.directory()});
    EXPECT_EQ(exit.out, "{\"outcome\":\"switched\",\"max_pause\":50}\n");
    const Exit given_up = turnout({"rollback", "--json", "--admin", served.directory()});
    EXPECT_EQ(given_up.status, 1);
    EXPECT_EQ(given_up.out, "{\"outcome\":\"given_up\"}\n");
    EXPECT_EQ(given_up.err, "turnout: no good moment\nhint: Try again.\n");
}

TEST(CommandLine, TheAdminSocketMayComeFromTheEnvironment) {
    support::ServedConsole served(fake);
    EXPECT_EQ(turnout({"switch"}, {{"TURNOUT_ADMIN", served.directory()}}).status, 0);
}

TEST(CommandLine, ExitStatusesTellTheOutcome) {
    support::ServedConsole served(fake);
    const Exit refused = turnout({"rollback", "--admin", served.directory()});
    EXPECT_EQ(refused.status, 1);
    EXPECT_EQ(refused.out, "");
    EXPECT_EQ(refused.err, "turnout: no good moment\ndetail: pid 4711\nhint: Try again.\n");
    const Exit check = turnout({"check", "--admin", served.directory()});
    EXPECT_EQ(check.status, 1) << "an answer that found something";
    EXPECT_EQ(check.out, "FAIL  wal_level\n");
    EXPECT_EQ(turnout({"finish", "--admin", served.directory()}).status, 3);
}

TEST(CommandLine, MisuseIsStatusTwoAndSaysWhatWasMeant) {
    const Exit verb = turnout({"swicth"});
    EXPECT_EQ(verb.status, 2);
    EXPECT_EQ(verb.err, "turnout: unknown verb 'swicth'\nhint: Did you mean switch?\n");
    EXPECT_EQ(turnout({"status"}).err, "turnout: unknown verb 'status'\nhint: Did you mean show status?\n");
    EXPECT_EQ(turnout({"nonsense"}).err, "turnout: unknown verb 'nonsense'\nhint: turnout --help lists them.\n");
    EXPECT_EQ(turnout({}).status, 2);
    const Exit option = turnout({"switch", "--max-puase", "1s"});
    EXPECT_EQ(option.status, 2);
    EXPECT_NE(option.err.find("--max-puase"), std::string::npos) << option.err;
    EXPECT_NE(option.err.find("hint: turnout switch --help"), std::string::npos) << option.err;
    EXPECT_EQ(turnout({"switch", "--pinned", "never"}).status, 2);
    EXPECT_EQ(turnout({"show", "nonsense"}).status, 2);
    EXPECT_EQ(turnout({"force-active"}).status, 2);
    EXPECT_EQ(turnout({"serve"}).status, 2);
    const Exit duration = turnout({"switch", "--max-pause", "50"});
    EXPECT_EQ(duration.status, 2);
    EXPECT_NE(duration.err.find("MAX_PAUSE cannot be '50'"), std::string::npos) << duration.err;
    const Exit injection = turnout({"switch", "--max-pause", "1s'; SHUTDOWN; --"});
    EXPECT_EQ(injection.status, 2) << injection.err;
}

TEST(CommandLine, HelpNamesEveryVerb) {
    const Exit help = turnout({"--help"});
    EXPECT_EQ(help.status, 0);
    for (const control::VerbDescription& verb : control::verb_descriptions()) {
        if (verb.verb == Verb::set) continue;
        EXPECT_NE(help.out.find("\n  " + control::dashed(verb.words) + " "), std::string::npos) << verb.words;
    }
    EXPECT_NE(turnout({"switch", "--help"}).out.find("--max-pause"), std::string::npos);
    EXPECT_EQ(turnout({"--version"}).out.substr(0, 8), "turnout ");
}

TEST(CommandLine, WithoutAProxyASentenceSaysWhatToDo) {
    const Exit exit = turnout({"show", "status", "--admin", "/nonexistent"});
    EXPECT_EQ(exit.status, 1);
    EXPECT_TRUE(exit.err.starts_with("turnout: no proxy answers at /nonexistent: ")) << exit.err;
    EXPECT_NE(exit.err.find("turnout serve --config FILE"), std::string::npos) << exit.err;
}

TEST(CommandLine, AnInterruptCancelsTheVerbAndWaitsUntilItIsUndone) {
    support::ServedConsole served(fake);
    bench::Program sync({.arguments = {TURNOUT_PROGRAM, "sync", "--admin", served.directory()}});
    ASSERT_TRUE(sync.read_until(
        [](const std::string& err, const std::string&) { return err.find("copying\n") != std::string::npos; }));
    sync.signal(SIGINT);
    const Exit exit = sync.wait();
    EXPECT_EQ(exit.status, 1);
    EXPECT_EQ(exit.err,
              "copying\nturnout: cancelling; waiting until it is undone\nundone\nturnout: SYNC was cancelled\n");
}

TEST(CommandLine, AProxyThatEndsMeanwhileLeavesTheOutcomeToAPerson) {
    auto served = std::make_unique<support::ServedConsole>(fake);
    bench::Program sync({.arguments = {TURNOUT_PROGRAM, "sync", "--admin", served->directory()}});
    ASSERT_TRUE(sync.read_until(
        [](const std::string& err, const std::string&) { return err.find("copying\n") != std::string::npos; }));
    served.reset();
    const Exit exit = sync.wait();
    EXPECT_EQ(exit.status, 3) << exit.err;
    EXPECT_NE(exit.err.find("the outcome is not known"), std::string::npos) << exit.err;
}

/// The program at a terminal of its own; `typed` is typed when it asks.
Exit at_a_terminal(std::vector<std::string> arguments, const std::string& typed, const char* no_colour = "") {
    arguments.insert(arguments.begin(), TURNOUT_PROGRAM);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ::setenv("TERM", "xterm", 1);
    ::setenv("NO_COLOR", no_colour, 1);  // empty is as if it were not there
    int terminal = -1;
    const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (child == 0) {
        ::execv(pointers[0], pointers.data());
        ::_exit(127);
    }
    Exit exit;
    bool asked = false;
    char buffer[1024];
    for (ssize_t got = 0; (got = ::read(terminal, buffer, sizeof buffer)) > 0;) {
        exit.out.append(buffer, static_cast<std::size_t>(got));
        if (asked || exit.out.find("[y/N]") == std::string::npos) continue;
        asked = true;
        EXPECT_EQ(::write(terminal, typed.data(), typed.size()), static_cast<ssize_t>(typed.size()));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(terminal);
    exit.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return exit;
}

TEST(CommandLine, APersonAtATerminalIsAskedBeforeWhatMatters) {
    support::ServedConsole served(fake);
    const std::string& admin = served.directory();
    const Exit no = at_a_terminal({"switch", "--admin", admin}, "n\n");
    EXPECT_EQ(no.status, 1) << no.out;
    EXPECT_NE(no.out.find("switch: make the standby the active side? [y/N]"), std::string::npos) << no.out;
    EXPECT_NE(no.out.find("nothing was done"), std::string::npos) << no.out;
    EXPECT_EQ(at_a_terminal({"switch", "--admin", admin}, "y\n").status, 0);
    EXPECT_EQ(at_a_terminal({"switch", "--yes", "--admin", admin}, "n\n").status, 0);
    const Exit dry = at_a_terminal({"switch", "--dry-run", "--admin", admin}, "n\n");
    EXPECT_EQ(dry.status, 0) << dry.out;
    EXPECT_EQ(dry.out.find("[y/N]"), std::string::npos) << "nothing would be changed";
    EXPECT_NE(at_a_terminal({"check", "--admin", admin}, "").out.find("\033[31;1mFAIL\033[0m  wal_level"),
              std::string::npos);
    const std::string plain = at_a_terminal({"check", "--admin", admin}, "", "1").out;
    EXPECT_NE(plain.find("FAIL  wal_level"), std::string::npos) << plain;
    EXPECT_EQ(plain.find('\033'), std::string::npos) << plain;
}

TEST(CommandLine, QuietSaysNothingOnTheWay) {
    support::ServedConsole served(fake);
    const Exit exit = turnout({"switch", "--quiet", "--admin", served.directory()});
    EXPECT_EQ(exit.out, "switched\n");
    EXPECT_EQ(exit.err, "");
}

TEST(CommandLine, OperandsReachTheProxyAsTheyAreWritten) {
    support::ServedConsole served([](Command command, Progress) -> asio::awaitable<Answer> {
        co_return control::object_answer({{"verb", control::tag(command.verb)}, {"operand", command.operand}});
    });
    EXPECT_EQ(turnout({"disable", "My 'Shop'", "--json", "--admin", served.directory()}).out,
              "{\"verb\":\"DISABLE\",\"operand\":\"My 'Shop'\"}\n");
    EXPECT_EQ(turnout({"pause", "--json", "--admin", served.directory()}).out,
              "{\"verb\":\"PAUSE\",\"operand\":\"\"}\n");
    EXPECT_EQ(turnout({"show", "stats-totals", "--json", "--admin", served.directory()}).out,
              "{\"verb\":\"SHOW\",\"operand\":\"\"}\n");
    EXPECT_EQ(turnout({"kill-client", "--admin", served.directory()}).status, 2);
}

TEST(CommandLine, WatchIsALineForEachLook) {
    support::ServedConsole served([](Command, Progress) -> asio::awaitable<Answer> {
        co_return control::object_answer({{"active", "blue"},
                                          {"generation", 1},
                                          {"phase", "synced"},
                                          {"lag_bytes", {{"app", 1500}}},
                                          {"sessions", 64},
                                          {"in_transaction", 3},
                                          {"oldest_transaction_seconds", 1.25},
                                          {"pinned", 1},
                                          {"transactions_per_second", 812.4}});
    });
    EXPECT_EQ(
        turnout({"watch", "--count", "1", "--admin", served.directory()}).out,
        "blue active (generation 1), synced | lag 1.5 kB | 64 sessions, 3 in transaction (oldest 1.2 s), 1 pinned | "
        "812 transactions/s\n");
    EXPECT_EQ(turnout({"watch", "--count", "1", "--json", "--admin", served.directory()}).out.substr(0, 16),
              "{\"active\":\"blue\"");
    EXPECT_EQ(turnout({"watch", "--count", "1", "--admin", "/nonexistent"}).status, 1);
}

}  // namespace
}  // namespace turnout
