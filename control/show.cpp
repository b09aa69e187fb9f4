#include "control/show.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <utility>

#include "control/command.hpp"

namespace turnout::control {
namespace {

namespace json = boost::json;

std::vector<Column> columns(Topic topic) {
    const auto described = describe(topic).columns;
    return {described.begin(), described.end()};
}

std::string number(std::uint64_t value) { return std::to_string(value); }
std::string seconds(Microseconds duration) {
    return fmt::format("{:.6f}", std::chrono::duration<double>(duration).count());
}
std::string boolean(bool value) { return value ? "t" : "f"; }

std::string next_step(const StatusFacts& facts) {
    if (!facts.running.empty()) return "wait for " + facts.running + " to end";
    if (facts.paused) return "turnout resume";
    switch (facts.phase) {
        case LifePhase::fresh: return "turnout check, then turnout sync";
        case LifePhase::syncing: return "wait until the tables are copied";
        case LifePhase::synced: return "turnout check, then turnout switch";
        case LifePhase::switching: return "wait for the switch to end";
        case LifePhase::switched: return "turnout finish, or turnout rollback";
        case LifePhase::finished: return "stop turnout and let the applications connect to the active side";
        case LifePhase::uncertain: return facts.hint;
    }
    return {};
}

}  // namespace

std::vector<std::string> next_steps(LifePhase phase, bool paused) {
    if (paused) return {"turnout resume"};
    switch (phase) {
        case LifePhase::fresh: return {"turnout check", "turnout sync"};
        case LifePhase::syncing:
        case LifePhase::switching: return {"turnout watch"};
        case LifePhase::synced: return {"turnout check", "turnout switch --dry-run", "turnout switch"};
        case LifePhase::switched: return {"turnout verify", "turnout rollback", "turnout finish"};
        case LifePhase::finished: return {"turnout show status"};
        case LifePhase::uncertain: return {"turnout show status", "turnout show sides"};
    }
    return {};
}

void add_next_steps(Answer& answer, const std::vector<std::string>& steps) {
    if (answer.json.is_object()) answer.json.get_object()["next_steps"] = json::array(steps.begin(), steps.end());
    if (answer.text.empty() || steps.empty()) return;
    answer.text += "next: ";
    for (const std::string& step : steps) answer.text += (&step == &steps.front() ? "" : " | ") + step;
    answer.text += "\n";
}

std::string_view name(Movable movable) {
    switch (movable) {
        case Movable::now: return "now";
        case Movable::boundary: return "boundary";
        case Movable::pinned: return "pinned";
    }
    return "pinned";
}

Answer show_status(const StatusFacts& facts) {
    json::object status;
    if (facts.served) {
        status["active"] = name(facts.served->side);
        status["standby"] = name(other(facts.served->side));
        status["generation"] = facts.served->generation;
    } else {
        status["active"] = nullptr;
        status["standby"] = nullptr;
        status["generation"] = nullptr;
        status["reason"] = facts.reason;
        status["hint"] = facts.hint;
    }
    status["phase"] = name(facts.phase);
    status["running"] = facts.running.empty() ? json::value(nullptr) : json::value(facts.running);
    if (!facts.running.empty()) status["running_seconds"] = facts.running_seconds;
    if (!facts.progress.empty()) status["progress"] = facts.progress;
    if (!facts.watching.empty()) status["watching"] = facts.watching;
    status["paused"] = facts.paused;
    if (facts.stopping) status["stopping"] = true;
    if (!facts.lag.empty()) {
        json::object lag;
        for (const StreamLag& stream : facts.lag) lag[stream.database] = stream.bytes;
        status["lag_bytes"] = std::move(lag);
    }
    status["sessions"] = facts.sessions;
    status["pinned"] = facts.pinned;
    status["in_transaction"] = facts.in_transaction;
    status["oldest_transaction_seconds"] = facts.oldest_transaction_seconds;
    status["transactions_per_second"] = facts.transactions_per_second;
    if (!facts.unsettled.empty()) status["unsettled"] = json::array(facts.unsettled.begin(), facts.unsettled.end());
    status["version"] = facts.version;
    status["next_step"] = next_step(facts);
    const std::vector<std::string> steps = next_steps(facts.phase, facts.paused);
    status["next_steps"] = json::array(steps.begin(), steps.end());
    return object_answer(std::move(status));
}

Answer show_sessions(const std::vector<SessionView>& sessions) {
    Table table{columns(Topic::sessions), {}};
    for (const SessionView& s : sessions)
        table.rows.push_back({number(s.id), s.user, s.database, s.application, s.state, std::string(name(s.movable)),
                              s.reason, std::string(name(s.side)), s.address, boolean(s.tls), boolean(s.armed),
                              std::to_string(s.client_pid), std::to_string(s.server_pid), seconds(s.connected),
                              seconds(s.transaction), number(s.prepared_statements), number(s.queries), s.carries});
    return table_answer(std::move(table));
}

Answer show_lag(const std::vector<StreamLag>& lag) {
    Table table{columns(Topic::lag), {}};
    for (const StreamLag& stream : lag)
        table.rows.push_back({stream.database, std::to_string(stream.bytes), fmt::format("{:.6f}", stream.seconds),
                              stream.streaming ? "streaming" : "not streaming", std::to_string(stream.retained),
                              stream.wal_status});
    return table_answer(std::move(table));
}

Answer show_replication(const std::vector<StreamView>& streams) {
    Table table{columns(Topic::replication), {}};
    for (const StreamView& it : streams) {
        const Stream& stream = it.stream;
        const char* shape = stream.narrowed ? "probing" : "whole";
        Row row{stream.database,
                std::string(name(stream.subscriber)),
                stream.subscription,
                stream.slot,
                stream.enabled ? shape : "parked",
                it.lag ? Cell(it.lag->streaming ? "streaming" : "not streaming") : Cell("unknown"),
                std::to_string(it.tables),
                std::to_string(it.tables_ready)};
        if (it.lag)
            row.insert(row.end(), {std::to_string(it.lag->bytes), fmt::format("{:.6f}", it.lag->seconds),
                                   std::to_string(it.lag->retained), it.lag->wal_status});
        row.resize(table.columns.size());
        table.rows.push_back(std::move(row));
    }
    return table_answer(std::move(table));
}

Answer show_history(const std::vector<ReportSummary>& reports) {
    Table table{columns(Topic::history), {}};
    for (const ReportSummary& it : reports)
        table.rows.push_back({it.time, it.verb, it.outcome, it.from, it.to, std::to_string(it.generation),
                              it.window_us ? Cell(std::to_string(*it.window_us)) : std::nullopt,
                              std::to_string(it.stall_max_us), std::to_string(it.attempts), std::to_string(it.sessions),
                              std::to_string(it.held), it.path.empty() ? std::nullopt : Cell(it.path)});
    return table_answer(std::move(table));
}

Answer show_config(const Config& config) {
    Table table{columns(Topic::config), {}};
    for (const ConfigRow& row : config_rows(config))
        table.rows.push_back({row.key, row.value, row.default_value, row.changeable ? "yes" : "no"});
    return table_answer(std::move(table));
}

Answer show_help() {
    Table table{columns(Topic::help), {}};
    for (const VerbDescription& verb : verb_descriptions()) {
        std::string text(verb.words);
        if (verb.verb == Verb::show) continue;
        if (verb.operand != Operand::none) text.append(" ").append(operand_text(verb.operand));
        for (const OptionDescription* option : verb.options)
            text.append(" [").append(option->word).append(option->kind == OptionKind::flag ? "]" : " '...']");
        table.rows.push_back({text, std::string(verb.description)});
    }
    for (const TopicDescription& topic : topic_descriptions())
        table.rows.push_back({"SHOW " + std::string(topic.word), std::string(topic.description)});
    return table_answer(std::move(table));
}

Answer show_version(std::string_view version) {
    return table_answer({columns(Topic::version), {{"turnout " + std::string(version)}}});
}

}  // namespace turnout::control
