#include "control/admin_client.hpp"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <ostream>
#include <string_view>

#include "control/console_wire.hpp"
#include "control/progress_printer.hpp"

namespace turnout::control {
namespace {

struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Connection = std::unique_ptr<PGconn, Finish>;

struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, Clear>;

/// Turns SIGINT and SIGTERM into something that poll() sees, for as long as it lives.
class SignalWatch {
  public:
    SignalWatch() {
        sigset_t watched;
        sigemptyset(&watched);
        sigaddset(&watched, SIGINT);
        sigaddset(&watched, SIGTERM);
        sigprocmask(SIG_BLOCK, &watched, &before_);
        descriptor_ = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    ~SignalWatch() {
        if (descriptor_ >= 0) close(descriptor_);
        sigprocmask(SIG_SETMASK, &before_, nullptr);
    }
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

    int descriptor() const { return descriptor_; }
    bool take() const {
        signalfd_siginfo info;
        return read(descriptor_, &info, sizeof info) == static_cast<ssize_t>(sizeof info);
    }

  private:
    sigset_t before_{};
    int descriptor_ = -1;
};

void print_notice(void* printer, const PGresult* notice) {
    const char* message = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    if (message != nullptr) static_cast<ProgressPrinter*>(printer)->show(message, ProgressPrinter::Clock::now());
}

Connection connect(const AdminRequest& request) {
    const std::string port = std::to_string(request.port);
    const std::array<const char*, 7> keywords{"host", "port", "dbname", "user", "sslmode", "gssencmode", nullptr};
    const std::array<const char*, 7> values{
        request.directory.c_str(), port.c_str(), "turnout", "turnout", "disable", "disable", nullptr};
    return Connection(PQconnectdbParams(keywords.data(), values.data(), 0));
}

/// libpq's message without its trailing line feed.
std::string error_of(const Connection& connection) {
    std::string message = PQerrorMessage(connection.get());
    while (message.ends_with('\n')) message.pop_back();
    return message;
}

/// As an answer of the proxy's that is an error is told.
void complain_to(std::ostream& err, const std::string& message, std::string_view hint) {
    err << "turnout: " << message << "\nhint: " << hint << std::endl;
}

void cancel(const Connection& connection, std::ostream& err) {
    const std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> handle(PQgetCancel(connection.get()), &PQfreeCancel);
    std::array<char, 256> problem{};
    if (!handle || PQcancel(handle.get(), problem.data(), static_cast<int>(problem.size())) == 0)
        complain_to(err, std::string("the verb cannot be cancelled: ") + problem.data(),
                    "It goes on; Ctrl-C again leaves it, and turnout show status tells how far it is.");
    else
        err << "turnout: cancelling; waiting until it is undone" << std::endl;
}

enum class Waited { result, lost, left };

/// Waits until a result can be taken without blocking.
Waited wait(const Connection& connection, const SignalWatch& signals, bool& cancelled, std::ostream& err) {
    while (PQisBusy(connection.get()) != 0) {
        std::array<pollfd, 2> polled{pollfd{PQsocket(connection.get()), POLLIN, 0},
                                     pollfd{signals.descriptor(), POLLIN, 0}};
        if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return Waited::lost;
        if (signals.take()) {
            if (cancelled) {
                err << "turnout: left; what was begun is being undone, see turnout show status" << std::endl;
                return Waited::left;
            }
            cancelled = true;
            cancel(connection, err);
        }
        if (polled[0].revents != 0 && PQconsumeInput(connection.get()) == 0) return Waited::lost;
    }
    return Waited::result;
}

void print_field(std::ostream& err, const Result& result, int field, std::string_view label) {
    const char* text = PQresultErrorField(result.get(), field);
    if (text != nullptr && *text != '\0') err << label << text << std::endl;
}

void print_failure(const Result& result, bool json, std::ostream& out, std::ostream& err) {
    print_field(err, result, PG_DIAG_MESSAGE_PRIMARY, "turnout: ");
    const char* detail = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_DETAIL);
    if (json && detail != nullptr && *detail == '{')
        out << detail << std::endl;
    else
        print_field(err, result, PG_DIAG_MESSAGE_DETAIL, "detail: ");
    print_field(err, result, PG_DIAG_MESSAGE_HINT, "hint: ");
}

void print_rows(const Result& result, bool colour, std::ostream& out) {
    for (int row = 0; row < PQntuples(result.get()); ++row) {
        const std::string_view value(PQgetvalue(result.get(), row, 0),
                                     static_cast<std::size_t>(PQgetlength(result.get(), row, 0)));
        out << (colour ? coloured(value) : std::string(value));
        if (!value.ends_with('\n')) out << '\n';
    }
    out.flush();
}

ExitStatus reported_status(const Connection& connection, bool failed) {
    const char* status = PQparameterStatus(connection.get(), std::string(kExitStatusParameter).c_str());
    if (status == nullptr) return failed ? ExitStatus::refused : ExitStatus::done;
    return static_cast<ExitStatus>(std::atoi(status));
}

ExitStatus ended_meanwhile(const AdminRequest& request, const Connection& connection, std::ostream& err) {
    if (request.command.starts_with("SHUTDOWN")) return ExitStatus::done;
    complain_to(err, "the proxy ended while it worked on this, so the outcome is not known: " + error_of(connection),
                "Start it again: it finds out which side is active, and turnout show status tells.");
    return ExitStatus::needs_person;
}

}  // namespace

ExitStatus run_admin_command(const AdminRequest& request, std::ostream& out, std::ostream& err) {
    const Connection connection = connect(request);
    if (PQstatus(connection.get()) != CONNECTION_OK) {
        complain_to(err, "no proxy answers at " + request.directory + ": " + error_of(connection),
                    "Start it with turnout serve --config FILE, or name its [admin] socket with --admin DIR.");
        return ExitStatus::refused;
    }
    ProgressPrinter printer(err, request.quiet, request.terminal);
    PQsetNoticeReceiver(connection.get(), print_notice, &printer);
    const SignalWatch signals;
    if (PQsendQuery(connection.get(), request.command.c_str()) == 0) return ended_meanwhile(request, connection, err);
    bool failed = false;
    bool cancelled = false;
    for (;;) {
        const Waited waited = wait(connection, signals, cancelled, err);
        if (waited == Waited::left) return ExitStatus::refused;
        if (waited == Waited::lost) return ended_meanwhile(request, connection, err);
        const Result result(PQgetResult(connection.get()));
        printer.end();
        if (!result) break;
        if (PQstatus(connection.get()) != CONNECTION_OK) return ended_meanwhile(request, connection, err);
        failed = PQresultStatus(result.get()) == PGRES_FATAL_ERROR;
        if (failed)
            print_failure(result, request.json, out, err);
        else if (PQresultStatus(result.get()) == PGRES_TUPLES_OK)
            print_rows(result, request.colour, out);
    }
    return reported_status(connection, failed);
}

}  // namespace turnout::control
