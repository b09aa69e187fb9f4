#include "proxy/planning.hpp"

#include "protocol/frontend_messages.hpp"
#include "protocol/writer.hpp"

namespace turnout::proxy {
namespace {

constexpr std::string_view kName = "turnout_warm";
// A Bind begins to execute a SELECT, and one that would lock rows is refused where nothing may be written.
constexpr std::string_view kReadOnly = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY NOT DEFERRABLE";
constexpr std::string_view kReadWrite = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE";
// A table may be locked there, and a plan may take long: whoever moves meanwhile waits for it.
constexpr std::string_view kBound = "SET LOCAL statement_timeout = 100";

}  // namespace

Replay plan_statement(const protocol::UsedStatement& statement) {
    using protocol::FrontendType;
    Replay replay;
    std::string& out = replay.bytes;
    append_command(out, statement.locks_rows ? kReadWrite : kReadOnly);
    append_command(out, kBound);
    const bool made = !statement.name.empty();
    if (!made) protocol::Writer(out).begin(FrontendType::parse).bytes(kName).bytes(statement.parse).end();
    protocol::Writer(out)
        .begin(FrontendType::bind)
        .string(kName)
        .string(made ? std::string_view(statement.name) : kName)
        .bytes(statement.values)
        .end();
    protocol::append_sync(out);
    protocol::append(out, protocol::Close{protocol::Target::statement, kName});
    out += rollback_batch();
    out += unlock_all_batch();
    replay.ready = 3;
    return replay;
}

}  // namespace turnout::proxy
