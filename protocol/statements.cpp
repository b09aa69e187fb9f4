#include "protocol/statements.hpp"

#include <algorithm>
#include <cassert>
#include <optional>

#include "protocol/reader.hpp"

namespace turnout::protocol {

namespace {

/// The name in a Parse's body. Nothing if the server will refuse the message as malformed, which leaves all as it was.
/// Of a prefix only the name is asked for; a name without an end is taken as far as it goes.
std::optional<std::string_view> name_in_parse(std::string_view body, bool whole) noexcept {
    if (!whole) return body.substr(0, body.find('\0'));
    Reader reader{body};
    const std::string_view name = reader.string();
    (void)reader.string();
    const std::size_t types = reader.uint16();
    (void)reader.bytes(types * sizeof(std::uint32_t));
    return reader.finish() ? std::nullopt : std::optional{name};
}

}  // namespace

bool ends_unnamed(FrontendType type, std::string_view body) noexcept {
    if (type == FrontendType::parse) return name_in_parse(body, true) == "";
    if (type != FrontendType::query) return false;
    Reader reader{body};
    (void)reader.string();
    return !reader.finish();
}

StatementBook::StatementBook(std::size_t statement_limit, std::size_t total_limit) noexcept
    : statement_limit_(statement_limit), total_limit_(total_limit) {}

// ---- what has been forwarded and is not answered

StatementBook::Pending& StatementBook::push(std::uint64_t position, Action action) {
    if (pending_count_ == pending_.size()) {
        constexpr std::size_t first_size = 4;
        std::rotate(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(pending_head_), pending_.end());
        pending_head_ = 0;
        pending_.resize(pending_.empty() ? first_size : pending_.size() * 2);
    }
    Pending& slot = pending_[(pending_head_ + pending_count_) % pending_.size()];
    ++pending_count_;
    slot.position = position;
    slot.action = action;
    slot.keepable = true;
    slot.name.clear();
    slot.body.clear();
    return slot;
}

void StatementBook::drop_before(std::uint64_t position) noexcept {
    while (pending_count_ > 0 && pending_[pending_head_].position < position) drop_first();
}

void StatementBook::drop_first() noexcept {
    constexpr std::size_t slot_keeps = 4096;  // bytes
    constexpr std::size_t ring_keeps = 1024;  // slots
    std::string& body = pending_[pending_head_].body;
    pending_bytes_ -= body.size();
    if (body.capacity() > slot_keeps) std::string().swap(body);
    pending_head_ = (pending_head_ + 1) % pending_.size();
    if (--pending_count_ > 0 || pending_.size() <= ring_keeps) return;
    std::vector<Pending>().swap(pending_);
    pending_head_ = 0;
}

void StatementBook::on_frontend(FrontendType type, std::string_view body, bool whole, std::uint64_t position) {
    if (position == 0) return;  // the server will skip it
    if (type == FrontendType::parse) {
        const std::optional<std::string_view> name = name_in_parse(body, whole);
        if (!name) return;
        Pending& pending = push(position, Action::parse);
        pending.name = *name;
        pending.keepable = whole && body.size() <= statement_limit_ && pending_bytes_ + body.size() <= total_limit_;
        if (pending.keepable) pending.body = body;
        pending_bytes_ += pending.body.size();
    } else if (type == FrontendType::close) {
        if (!body.starts_with('S')) return;
        body.remove_prefix(1);
        push(position, Action::close).name = body.substr(0, body.find('\0'));
    } else if (type == FrontendType::query) {
        if (pending_count_ > 0 || find("") != nullptr) push(position, Action::query);
    }
}

// ---- what has been answered

void StatementBook::on_reply(const Reply& reply, BackendType type, std::string_view body, bool certain) {
    if (!certain && pending_count_ > 0) doubtful_ = true;
    if (reply.position > 0) {
        drop_before(reply.position);
        if (pending_count_ > 0 && pending_[pending_head_].position == reply.position) settle_first(reply);
    }
    if (type == BackendType::command_complete) on_tag(body.substr(0, body.find('\0')));
}

void StatementBook::settle_first(const Reply& reply) {
    Pending& pending = pending_[pending_head_];
    switch (pending.action) {
        case Action::query: end(""); break;
        case Action::close:
            if (!reply.failed) end(pending.name);
            break;
        case Action::parse:
            if (!reply.failed) {
                make_live(pending);
            } else if (pending.name.empty()) {
                end("");
            }
            break;
    }
    drop_first();
}

void StatementBook::on_tag(std::string_view tag) {
    if (tag == "DEALLOCATE ALL" || tag == "DISCARD ALL") {
        end_named();
    } else if (tag == "DEALLOCATE") {
        doubtful_ = doubtful_ || live_.size() > (find("") != nullptr ? 1U : 0U);
    }
}

void StatementBook::make_live(Pending& pending) {
    end(pending.name);
    if (pending.keepable && bytes_ + pending.body.size() > total_limit_) pending.keepable = false;
    LiveStatement* statement = nullptr;
    if (pending.name.empty() && !spare_.empty()) {
        statement = &live_.insert(std::move(spare_)).position->second;
    } else {
        statement = &live_[pending.name];
    }
    statement->keepable = pending.keepable;
    statement->born = ++epoch_;
    statement->parse.clear();
    if (pending.keepable) {
        pending_bytes_ -= pending.body.size();
        statement->parse.swap(pending.body);
        bytes_ += statement->parse.size();
    } else {
        ++unkeepable_;
    }
}

void StatementBook::end(std::string_view name) {
    const auto found = live_.find(name);
    if (found == live_.end()) return;
    const LiveStatement& statement = found->second;
    ++epoch_;
    bytes_ -= statement.parse.size();
    if (!statement.keepable) --unkeepable_;
    if (remembering_ && statement.born <= remembered_) buried_.emplace(name);
    if (name.empty()) {
        spare_ = live_.extract(found);
    } else {
        live_.erase(found);
    }
}

void StatementBook::pass_over_unnamed() {
    end("");
    const auto buried = buried_.find("");
    if (buried != buried_.end()) buried_.erase(buried);
}

void StatementBook::end_named() {
    while (!live_.empty() && !live_.rbegin()->first.empty()) end(std::string{live_.rbegin()->first});
}

void StatementBook::reconcile(const std::vector<std::string>& names) {
    std::vector<std::string> gone;
    for (const auto& [name, statement] : live_) {
        if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) gone.push_back(name);
    }
    for (const std::string& name : gone) end(name);
    for (const std::string& name : names) {
        if (name.empty() || live_.contains(name)) continue;
        live_[name] = {.parse = {}, .keepable = false, .born = ++epoch_};
        ++unkeepable_;
    }
    doubtful_ = false;
}

// ---- differences

std::uint64_t StatementBook::remember() {
    remembering_ = true;
    remembered_ = epoch_;
    buried_.clear();
    return epoch_;
}

void StatementBook::forget() noexcept {
    remembering_ = false;
    buried_.clear();
}

StatementDifference StatementBook::since(std::uint64_t epoch) const {
    assert(epoch == 0 || (remembering_ && epoch == remembered_));
    StatementDifference difference;
    if (epoch != 0) difference.close.assign(buried_.begin(), buried_.end());
    std::vector<const LiveStatement*> added;
    for (const auto& [name, statement] : live_) {
        if (statement.born <= epoch) continue;
        if (statement.keepable) {
            added.push_back(&statement);
        } else {
            difference.lost.push_back(name);
        }
    }
    std::sort(added.begin(), added.end(), [](auto* a, auto* b) { return a->born < b->born; });
    for (const LiveStatement* statement : added) difference.parse.push_back(statement->parse);
    return difference;
}

const LiveStatement* StatementBook::find(std::string_view name) const noexcept {
    const auto found = live_.find(name);
    return found == live_.end() ? nullptr : &found->second;
}

}  // namespace turnout::protocol
