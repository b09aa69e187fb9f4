#include "bench/ledger_writer.hpp"

#include <sys/socket.h>

#include <algorithm>

namespace turnout::bench {

using namespace std::chrono_literals;

Totals& Totals::operator+=(const Totals& other) {
    writes += other.writes;
    reads += other.reads;
    errors += other.errors;
    reconnects += other.reconnects;
    unknown += other.unknown;
    back_in_time += other.back_in_time;
    unexplained += other.unexplained;
    for (const std::string& text : other.error_texts)
        if (error_texts.size() < kErrorTexts) error_texts.push_back(text);
    return *this;
}

Writer::Writer(Settings settings) : settings_(std::move(settings)), book_(settings_.writer), engine_(settings_.seed) {}

void Writer::start() {
    thread_ = std::jthread([this](const std::stop_token& stopping) {
        work(stopping);
        const std::lock_guard lock(mutex_);
        ended_ = true;
        changed_.notify_all();
    });
}

void Writer::stop(std::chrono::milliseconds patience) {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    std::unique_lock lock(mutex_);
    changed_.notify_all();
    while (!changed_.wait_for(lock, patience, [this] { return ended_; })) {
        // libpq's blocking calls end when their socket does. A login that is under way gets its socket in a moment.
        const int socket = socket_.load();
        if (socket >= 0) ::shutdown(socket, SHUT_RDWR);
        patience = 100ms;
    }
    lock.unlock();
    thread_.join();
}

bool Writer::hold(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    held_ = true;
    return changed_.wait_for(lock, patience, [this] { return !in_round_; });
}

void Writer::release() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
}

bool Writer::begin_round(const std::stop_token& stopping) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stopping, [this] { return !held_; });
    in_round_ = !stopping.stop_requested();
    return in_round_;
}

void Writer::end_round() {
    const std::lock_guard lock(mutex_);
    in_round_ = false;
    changed_.notify_all();
}

Totals Writer::totals() const {
    const std::lock_guard lock(mutex_);
    return totals_;
}

void Writer::work(const std::stop_token& stopping) {
    bool first = true;
    while (!stopping.stop_requested()) {
        const Connection connection = try_connect(settings_.conninfo);
        if (PQstatus(connection.get()) != CONNECTION_OK) {
            error(std::string("login: ") + PQerrorMessage(connection.get()));
            rest(stopping, Clock::now() + 50ms);
            continue;
        }
        if (!first) {
            const std::lock_guard lock(mutex_);
            ++totals_.reconnects;
        }
        first = false;
        socket_ = PQsocket(connection.get());
        serve_connection(connection.get(), stopping);
        socket_ = -1;
    }
}

void Writer::serve_connection(PGconn* connection, const std::stop_token& stopping) {
    Speaker speaker(connection, settings_.mode, waits_);
    const Pace& pace = settings_.pace;
    // Spread over the period, so that the connections do not speak in chorus.
    Clock::time_point next_read = Clock::now() + pace.read_every * random(1000) / 1000;
    Clock::time_point next_write = Clock::now() + pace.write_every * random(1000) / 1000;
    while (speaker.alive()) {
        bool reads = false;
        if (pace.by_the_clock()) {
            if (!rest(stopping, std::min(next_read, next_write))) return;
            reads = next_read <= next_write;
            (reads ? next_read : next_write) += reads ? pace.read_every : pace.write_every;
        }
        if (!begin_round(stopping)) return;
        round(speaker, reads);
        end_round();
        if (pace.think.count() > 0) rest(stopping, Clock::now() + pace.think);
    }
}

bool Writer::rest(const std::stop_token& stopping, Clock::time_point until) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, stopping, until, [] { return false; });
    return !stopping.stop_requested();
}

std::int64_t Writer::random(std::int64_t below) {
    return std::uniform_int_distribution<std::int64_t>(0, below - 1)(engine_);
}

void Writer::round(Speaker& speaker, bool read_only) {
    std::vector<Script> scripts;
    if (read_only)
        scripts.push_back(pick_read());
    else if (settings_.pace.by_the_clock())
        scripts.push_back(transaction(Statement::commit));
    else
        scripts = batch();
    const std::vector<std::vector<Reply>> replies = speaker.say(scripts);
    for (std::size_t i = 0; i < replies.size(); ++i) settle(scripts[i], replies[i]);
}

std::vector<Script> Writer::batch() {
    std::vector<Script> scripts;
    const std::int64_t size = settings_.mode == Mode::pipelined ? 1 + random(4) : 1;
    for (std::int64_t i = 0; i < size; ++i) scripts.push_back(random(100) < 15 ? pick_read() : pick_write());
    return scripts;
}

Script Writer::pick_read() {
    const std::optional<std::int64_t> last = book_.last_certain();
    if (!last || random(2) == 0) return {{{Statement::read_counter, {settings_.writer}, {}}}};
    return {{{Statement::read_entry, {settings_.writer, *last}, {}}}};
}

Script Writer::pick_write() {
    const std::int64_t dice = random(100);
    if (dice < 30) return transaction(Statement::commit);
    if (dice < 35) return transaction(Statement::rollback);
    if (dice < 40) return {{{Statement::draw, {}, {}}}};
    if (dice < 55) return {{{Statement::bump, {settings_.writer}, {Effect::Kind::bump_counter}}}};
    if (dice < 70) {
        if (const auto last = book_.last_certain())
            return {{{Statement::revise, {settings_.writer, *last}, {Effect::Kind::revise_entry, *last}}}};
    } else if (dice < 75) {
        if (const auto first = book_.first_certain())
            return {{{Statement::remove, {settings_.writer, *first}, {Effect::Kind::delete_entry, *first}}}};
    }
    const std::int64_t entry = book_.next_entry();
    const Statement insert = random(2) == 0 ? Statement::insert : Statement::insert_silent;
    return {{{insert, {settings_.writer, entry}, {Effect::Kind::insert_entry, entry}}}};
}

Script Writer::transaction(Statement end) {
    // Everyone locks in the same order (its own rows, one balance, one account): no deadlock is of the load's making.
    const bool joined = settings_.mode == Mode::simple && end == Statement::commit && random(2) == 0;
    const std::int64_t entry = book_.next_entry();
    const std::int64_t amount = 1 + random(9);
    Script script;
    script.joined = joined;
    if (!joined) script.calls.push_back({Statement::begin, {}, {}});
    script.calls.push_back({Statement::insert, {settings_.writer, entry}, {Effect::Kind::insert_entry, entry}});
    if (const auto last = book_.last_certain())
        script.calls.push_back({Statement::read_entry, {settings_.writer, *last}, {}});
    script.calls.push_back({Statement::bump, {settings_.writer}, {Effect::Kind::bump_counter}});
    if (settings_.balances > 0) {
        const std::int64_t balance = random(settings_.balances);
        script.calls.push_back(
            {Statement::balance, {balance, amount}, {Effect::Kind::add_to_balance, balance, amount}});
    }
    if (settings_.accounts > 0) {
        const std::int64_t account = 1 + random(settings_.accounts);
        script.calls.push_back(
            {Statement::account, {account, amount}, {Effect::Kind::add_to_account, account, amount}});
    }
    if (!joined) script.calls.push_back({end, {}, {}});
    return script;
}

namespace {
bool removed_by_itself(const Book& book, const Effect& effect) {
    const bool of_entry = effect.kind == Effect::Kind::revise_entry || effect.kind == Effect::Kind::delete_entry;
    return of_entry && book.judge_entry(effect.key, std::nullopt) == Verdict::as_told;
}
}  // namespace

void Writer::settle(const Script& script, const std::vector<Reply>& replies) {
    const Outcome outcome = outcome_of(script, replies);
    bool changes = false;
    for (std::size_t i = 0; i < script.calls.size(); ++i) {
        const Call& call = script.calls[i];
        const Reply& reply = replies[i];
        if (call.effect.kind == Effect::Kind::none) {
            if (reply.kind == Reply::Kind::done) judge(call, reply);
            continue;
        }
        changes = true;
        // A statement that found no row changed none. Unless this writer has deleted the row itself (in the same
        // pipeline), that is an older state than it was told of.
        const bool missed = reply.kind == Reply::Kind::done && reply.affected == 0;
        if (missed && !removed_by_itself(book_, call.effect)) {
            const std::lock_guard lock(mutex_);
            ++totals_.back_in_time;
        }
        book_.settle(call.effect, missed ? Outcome::refused : outcome);
        if (call.statement == Statement::insert && reply.row && outcome != Outcome::refused)
            book_.drew((*reply.row)[1], call.arguments[1]);
    }
    count_failures(replies);
    const std::lock_guard lock(mutex_);
    if (outcome == Outcome::acknowledged) ++(changes ? totals_.writes : totals_.reads);
    if (outcome == Outcome::unknown && changes) ++totals_.unknown;
}

void Writer::judge(const Call& call, const Reply& reply) {
    Verdict verdict = Verdict::as_told;
    const auto first = reply.row ? std::optional((*reply.row)[0]) : std::nullopt;
    if (call.statement == Statement::draw && first) book_.drew(*first);
    if (call.statement == Statement::read_entry) verdict = book_.judge_entry(call.arguments[1], first);
    if (call.statement == Statement::read_counter) verdict = book_.judge_counter(first.value_or(-1));
    if (verdict == Verdict::as_told) return;
    const std::lock_guard lock(mutex_);
    ++(verdict == Verdict::back_in_time ? totals_.back_in_time : totals_.unexplained);
}

void Writer::count_failures(const std::vector<Reply>& replies) {
    for (const Reply& reply : replies) {
        if (reply.kind == Reply::Kind::refused || reply.kind == Reply::Kind::lost) {
            error(reply.error);
            return;  // what follows it is its consequence
        }
    }
}

void Writer::error(const std::string& text) {
    const std::lock_guard lock(mutex_);
    ++totals_.errors;
    if (totals_.error_texts.size() < Totals::kErrorTexts) totals_.error_texts.push_back(text);
}

}  // namespace turnout::bench
