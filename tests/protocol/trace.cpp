#include "tests/protocol/trace.hpp"

namespace turnout::test {

using protocol::BackendType;
using protocol::CopyState;
using protocol::FrontendType;
using protocol::TransactionStatus;

std::string describe(const protocol::ReplyLedger& ledger) {
    if (ledger.safe()) return "safe";
    std::string out = ledger.quiet() ? "quiet" : "owes " + std::to_string(ledger.ready_owed());
    const auto add = [&out](bool holds, std::string_view word) {
        if (holds) out.append(" ").append(word);
    };
    add(ledger.status() == TransactionStatus::in_transaction, "T");
    add(ledger.status() == TransactionStatus::failed, "E");
    add(ledger.batch_open(), "open");
    add(ledger.skipping(), "skips");
    add(ledger.copy() == CopyState::in, "copy-in");
    add(ledger.copy() == CopyState::out, "copy-out");
    add(ledger.copy() == CopyState::both, "copy-both");
    add(ledger.unsure(), "unsure");
    add(ledger.probing(), "probing");
    add(ledger.derailed(), "derailed");
    return out;
}

std::vector<std::string> tokens_of(std::string_view script) {
    std::vector<std::string> tokens(1);
    int depth = 0;
    for (const char c : script) {
        if (c == '[' || c == '(') ++depth;
        if (c == ']' || c == ')') --depth;
        if (depth == 0 && (c == ' ' || c == '\n')) {
            if (!tokens.back().empty()) tokens.emplace_back();
        } else {
            tokens.back() += c;
        }
    }
    if (tokens.back().empty()) tokens.pop_back();
    return tokens;
}

namespace {

/// What stands in a token's parentheses.
std::string_view argument(std::string_view token) {
    const std::size_t open = token.find('(');
    return open == std::string_view::npos ? std::string_view{} : token.substr(open + 1, token.size() - open - 2);
}

std::string frontend_body(std::string_view token) {
    const std::string name{argument(token)};
    const char type = token.front();
    if (type == 'P') return name + '\0' + "select 1" + std::string(3, '\0');
    if (type == 'D' || type == 'C')
        return std::string{token.starts_with("Ds") || token.starts_with("Cs") ? "S" : "P"} + name + '\0';
    return {};
}

}  // namespace

void from_client(std::string_view token, protocol::SessionLedger& ledger) {
    if (token == "probe") return ledger.replies().begin_probe();
    ledger.on_frontend(static_cast<FrontendType>(token.front()), frontend_body(token));
}

protocol::Reply from_server(std::string_view token, protocol::SessionLedger& ledger) {
    return ledger.on_backend(static_cast<BackendType>(token.front()), std::string{argument(token)} + '\0');
}

std::vector<std::string> play(std::string_view script, protocol::SessionLedger& ledger) {
    std::vector<std::string> complaints;
    bool client = true;
    std::string so_far;
    for (const std::string& token : tokens_of(script)) {
        so_far += token + ' ';
        if (token == "|") {
            client = !client;
        } else if (token.front() == '[') {
            const std::string expected = token.substr(1, token.size() - 2);
            const std::string found = describe(ledger.replies());
            if (found != expected) complaints.push_back(so_far + ": expected " + expected + ", found " + found);
        } else if (client) {
            from_client(token, ledger);
        } else if (from_server(token, ledger).to == protocol::ReplyTo::unexpected) {
            complaints.push_back(so_far + ": unexpected");
        }
    }
    return complaints;
}

}  // namespace turnout::test
