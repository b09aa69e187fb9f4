#include "tests/protocol/model_server.hpp"

#include <algorithm>
#include <string_view>

namespace turnout::test {

namespace {

bool is_extended(char type) { return std::string_view{"PBDECK"}.find(type) != std::string_view::npos; }

}  // namespace

bool ModelServer::silent() const noexcept {
    const bool ignorable = std::all_of(input_.begin(), input_.end(), [this](const std::string& token) {
        const bool owes_nothing = std::string_view{"Hdcf"}.find(token.front()) != std::string_view::npos;
        return owes_nothing || (skipping_ && token.front() != 'S' && token.front() != 'Y');
    });
    return output_.empty() && ignorable && copy_ == Copy::none;
}

std::size_t ModelServer::ready_under_way() const noexcept {
    return static_cast<std::size_t>(
        std::count_if(output_.begin(), output_.end(), [](const std::string& token) { return token.front() == 'Z'; }));
}

void ModelServer::ready() { say(std::string{"Z("} + status_ + ")"); }

void ModelServer::fail(bool extended) {
    say("E");
    if (status_ == 'T') status_ = 'E';
    if (extended) {
        skipping_ = true;
    } else {
        batch_open_ = false;
        ready();
    }
}

bool ModelServer::work() {
    if (input_.empty() || dead_) return false;
    const std::string token = input_.front();
    input_.pop_front();
    const char type = token.front();
    if (copy_ == Copy::in) {
        in_copy(token);
        return true;
    }
    if (type == 'S' || type == 'Y') {
        const bool commit_fails = batch_open_ && !skipping_ && status_ == 'I' && chance(5);
        skipping_ = false;
        batch_open_ = false;
        if (commit_fails) say("E");
        ready();
    } else if (skipping_) {
        probe_did_harm_ = probe_did_harm_ || type == 'K';
    } else if (is_extended(type)) {
        extended(token);
    } else if (type == 'Q') {
        query_commands();
    } else if (type == 'F') {
        if (chance(10)) {
            fail(false);
        } else {
            say("V");
            end_simple();
        }
    }
    return true;
}

void ModelServer::extended(const std::string& token) {
    batch_open_ = true;
    const char type = token.front();
    if (type != 'K' && chance(10)) return fail(true);
    if (type == 'P') say("1");
    if (type == 'B') say("2");
    if (type == 'C' || type == 'K') say("3");
    if (type == 'D') describe(token);
    if (type == 'E') execute();
}

void ModelServer::describe(const std::string& token) {
    if (token.starts_with("Ds")) say("t");
    say(chance(50) ? "T" : "n");
}

void ModelServer::execute() {
    if (chance(30)) {
        say("G");
        copy_ = Copy::in;
        copy_is_extended_ = true;
        if (chance(10)) copy_failed();
    } else if (chance(10)) {
        for (const char* token : {"H", "d", "c", "C"}) say(token);
    } else if (chance(10)) {
        say("I");
    } else {
        if (chance(50)) say("D");
        if (chance(10)) return fail(true);
        say(chance(20) ? "s" : "C");
    }
}

/// A Query's commands, or those that are left behind a COPY.
void ModelServer::query_commands() {
    while (chance(50)) {
        if (chance(10)) return fail(false);
        if (chance(30)) {
            say("G");
            copy_ = Copy::in;
            copy_is_extended_ = false;
            if (chance(10)) copy_failed();
            return;
        }
        if (chance(20)) status_ = status_ == 'I' ? 'T' : 'I';
        say("C");
    }
    end_simple();
}

/// The end of a Query or a FunctionCall.
void ModelServer::end_simple() {
    if (batch_open_ && version_.query_keeps_batch && status_ == 'I') {
        say("Z(T)");
        return;
    }
    batch_open_ = false;
    ready();
}

void ModelServer::in_copy(const std::string& token) {
    switch (token.front()) {
        case 'S':
        case 'Y':
        case 'H': return;
        case 'd':
            if (chance(25)) copy_failed();
            return;
        case 'c': return copy_done();
        case 'f': return copy_failed();
        default: break;
    }
    probe_did_harm_ = probe_did_harm_ || token.front() == 'K';
    if (version_.copy_eats_foreign) {
        copy_failed();
    } else {
        say("E");
        dead_ = true;
    }
}

void ModelServer::copy_done() {
    copy_ = Copy::none;
    if (chance(10)) return fail(copy_is_extended_);
    say("C");
    if (!copy_is_extended_) query_commands();
}

void ModelServer::copy_failed() {
    copy_ = Copy::none;
    fail(copy_is_extended_);
}

}  // namespace turnout::test
