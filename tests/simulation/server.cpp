#include "tests/simulation/server.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace turnout::simulation {

using namespace std::chrono_literals;
using control::JournalRow;
using control::JournalState;

// ---------------------------------------------------------------------------------------------------------- statements

void Server::submit(Statement statement) {
    if (!up_ || statement.run != run_ || ended(statement)) return statement.lost();
    statements_.push_back(std::move(statement));
    carry_out_all();
}

/// Statements that wait for a lock are tried again; the others run in the order of their arrival.
void Server::carry_out_all() {
    if (!answers()) return;
    for (auto it = statements_.begin(); it != statements_.end();) {
        it = it->carry_out() ? statements_.erase(it) : std::next(it);
    }
    if (statements_.empty() || retries_) return;
    retries_ = true;
    world_.after(1ms, [this] {
        retries_ = false;
        carry_out_all();
    });
}

bool Server::ended(const Statement& statement) const {
    if (statement.client) return statement.owner < clients_from_;
    const auto epoch = control_epochs_.find(statement.owner);
    return statement.owner < control_from_ || (epoch != control_epochs_.end() && statement.epoch < epoch->second);
}

void Server::end_those_ended() {
    for (auto it = statements_.begin(); it != statements_.end();) {
        if (ended(*it)) {
            it->lost();
            it = statements_.erase(it);
        } else {
            ++it;
        }
    }
}

void Server::end_control(int owner, int before_epoch) {
    control_epochs_[owner] = before_epoch;
    end_those_ended();
}

void Server::end_control_before(int owner) {
    control_from_ = std::max(control_from_, owner);
    end_those_ended();
}

void Server::end_clients_before(int owner) {
    clients_from_ = std::max(clients_from_, owner);
    end_those_ended();
}

void Server::crash() {
    world_.tell(fmt::format("{} crashes, {} of {} flushed", name(side_), flushed_, log_.size()));
    up_ = false;
    ++run_;
    frozen_ = false;
    locked_until_ = {};
    for (Statement& statement : std::exchange(statements_, {})) statement.lost();
    log_.resize(flushed_);
    sequence = flushed_sequence_;
    subscription.progress = advanced_;
    for (const Entry& entry : log_) subscription.progress = std::max(subscription.progress, entry.source_position);
    // The slot is written at checkpoints only, and may be put back to any older position.
    slot = slot == 0 ? 0 : world_.pick(slot + 1);
    remake_rows();
}

void Server::start() { up_ = true; }

void Server::thaw() {
    frozen_ = false;
    carry_out_all();
}

void Server::remake_rows() {
    tokens_.clear();
    ids_.clear();
    beats_.clear();
    for (const Entry& entry : log_) {
        (entry.marker ? beats_ : tokens_).insert(entry.token);
        if (!entry.marker) ids_.insert(entry.id);
    }
}

// ---------------------------------------------------------------------------------------------------------------- data

void Server::append(Entry entry) {
    if (entry.marker) {
        beats_.insert(entry.token);
    } else {
        if (!tokens_.insert(entry.token).second || !ids_.insert(entry.id).second) {
            world_.violate(fmt::format("{}: duplicate key: {} token {}, id {}", name(side_),
                                       entry.local ? "own" : "applied", entry.token, entry.id));
        }
    }
    log_.push_back(entry);
}

std::int64_t Server::write(std::int64_t token) {
    append({false, true, token, ++sequence, 0});
    flush();
    return sequence;
}

std::size_t Server::commit_marker(std::int64_t beat) {
    append({true, true, beat, 0, 0});
    flush();
    return log_.size();
}

void Server::advance_origin(std::size_t position) {
    world_.tell(fmt::format("{}: origin from {} to {}, slot {}", name(side_), subscription.progress, position, slot));
    subscription.progress = advanced_ = position;
    flush();
}

/// Only what is flushed is sent. What was applied there is sent back, as before version 16: a wrong position shows.
void Server::apply_from(Server& source) {
    if (!subscription.enabled || !answers() || !source.answers()) return;
    std::size_t next = std::max(subscription.progress, source.slot);
    const std::size_t until = std::min(source.flushed_, next + 1 + world_.pick(20));
    for (; next < until; ++next) {
        const Entry& entry = source.log_[next];
        if (entry.marker ? !entry.local : subscription.narrowed) continue;
        append({entry.marker, false, entry.token, entry.id, next + 1});
        subscription.progress = next + 1;
    }
    // Applied commits are flushed by and by; the slot follows what is flushed here.
    if (world_.chance(0.05)) flush();
    if (flushed_ == log_.size()) source.slot = std::max(source.slot, next);
}

std::size_t Server::local_writes_after(std::size_t position) const {
    std::size_t count = 0;
    for (std::size_t i = position; i < log_.size(); ++i) count += log_[i].local && !log_[i].marker ? 1 : 0;
    return count;
}

// ------------------------------------------------------------------------------------------------------------- journal

namespace {

JournalRow* row_of(control::JournalView& view, std::int64_t generation) {
    for (JournalRow& row : view.rows) {
        if (row.id.generation == generation) return &row;
    }
    return nullptr;
}

void add_row(control::JournalView& view, control::AttemptId id, JournalState state) {
    JournalRow row;
    row.id = id;
    row.state = state;
    row.side = name(view.side);
    view.exists = true;
    view.rows.push_back(row);
    std::sort(view.rows.begin(), view.rows.end(),
              [](const JournalRow& a, const JournalRow& b) { return a.id.generation < b.id.generation; });
}

}  // namespace

bool Server::arm(control::AttemptId id) {
    JournalRow* row = row_of(journal_, id.generation);
    flush();
    if (row == nullptr) return add_row(journal_, id, JournalState::armed), true;
    if (row->state != JournalState::armed || row->id.attempt >= id.attempt) return false;
    row->id = id;
    return true;
}

std::optional<control::Lsn> Server::activate(control::AttemptId id) {
    JournalRow* row = row_of(journal_, id.generation);
    if (row == nullptr || row->id != id || row->state != JournalState::armed) return std::nullopt;
    row->state = JournalState::active;
    row->noted = control::Lsn(log_.size());
    flush();
    world_.tell(fmt::format("{} activates {} at {}", name(side_), id.generation, log_.size()));
    if (visible_late_ > 0us) {
        locked_until_ = world_.now() + std::exchange(visible_late_, Duration{0});
        locked_generation_ = id.generation;
    }
    return row->noted;
}

control::Verdict Server::void_or_obey(std::int64_t generation) {
    JournalRow* row = row_of(journal_, generation);
    if (row == nullptr) {
        add_row(journal_, {generation, 0}, JournalState::voided);
    } else if (row->state == JournalState::armed) {
        row->state = JournalState::voided;
    }
    flush();
    row = row_of(journal_, generation);
    return {row->state, row->noted};
}

void Server::retire(std::int64_t generation) {
    if (row_of(journal_, generation) == nullptr) add_row(journal_, {generation, 0}, JournalState::retired);
    if (journal_.intent && journal_.intent->generation <= generation) journal_.intent.reset();
    flush();
}

control::JournalView Server::view() const {
    control::JournalView view = journal_;
    if (!can_decide()) {
        JournalRow* row = row_of(view, locked_generation_);
        row->state = JournalState::armed;
        row->noted = {};
    }
    return view;
}

}  // namespace turnout::simulation
