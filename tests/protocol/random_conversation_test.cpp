#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/protocol/model_server.hpp"
#include "tests/protocol/trace.hpp"

namespace turnout::test {
namespace {

/// One client, one model server, the ledger between them; who acts next is chance.
class RandomConversation {
  public:
    RandomConversation(std::uint64_t seed, ModelServer::Version version) : random_(seed), server_(random_, version) {}

    /// Runs it; empty if all promises held, else what went wrong and how it came to it.
    std::string run(int steps) {
        for (int i = 0; i < steps && !server_.dead() && complaint_.empty(); ++i) {
            switch (number(0, 3)) {
                case 0: client(); break;
                case 1: server_.work(); break;
                default: deliver();
            }
            check();
        }
        // Whatever was begun comes to its end: the promises hold for the last state, too.
        while (!server_.dead() && complaint_.empty() && (server_.work() || !server_.output().empty())) {
            deliver();
            check();
        }
        return complaint_.empty() ? complaint_ : complaint_ + "\n" + trace_;
    }

    [[nodiscard]] bool was_unsure() const { return was_unsure_; }
    [[nodiscard]] bool was_probed() const { return was_probed_; }

  private:
    int number(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

    void send(const std::string& token) {
        trace_ += " >" + token;
        server_.receive(token);
    }

    void client() {
        const protocol::ReplyLedger& replies = ledger_.replies();
        if (replies.probing()) return;
        if (replies.can_probe() && number(0, 3) == 0) {
            from_client("probe", ledger_);
            was_probed_ = true;
            send("K");
            send("Y");
            return;
        }
        const bool copying = replies.copy() == protocol::CopyState::in;
        static constexpr const char* in_copy[] = {"d", "d", "d", "c", "c", "f", "S", "S", "H"};
        static constexpr const char* outside[] = {"P", "B", "Ds", "Dp", "E", "E", "Cs", "S",
                                                  "S", "S", "Q",  "Q",  "F", "H", "d",  "c"};
        const bool apt = copying && number(0, 99) > 0;
        const std::string token =
            apt ? in_copy[number(0, std::size(in_copy) - 1)] : outside[number(0, std::size(outside) - 1)];
        from_client(token, ledger_);
        send(token);
    }

    void deliver() {
        if (server_.output().empty()) return;
        const std::string token = server_.output().front();
        server_.output().pop_front();
        trace_ += " <" + token;
        const protocol::Reply reply = from_server(token, ledger_);
        if (reply.to == protocol::ReplyTo::unexpected) complaint_ = "the ledger did not expect this";
    }

    void check() {
        const protocol::ReplyLedger& replies = ledger_.replies();
        if (server_.dead()) return;
        was_unsure_ = was_unsure_ || replies.unsure();
        if (replies.safe() && !server_.safe()) complaint_ = "the ledger says safe and the server is not";
        if (replies.quiet() && !server_.silent()) complaint_ = "the ledger says quiet and more will come";
        // A COPY that is not known to have failed yet may have left Syncs to be answered.
        const bool counted = replies.copy() == protocol::CopyState::none;
        if (counted && replies.ready_owed() < server_.ready_under_way())
            complaint_ = "the ledger counts too few ReadyForQuery";
        if (server_.probe_did_harm()) complaint_ = "a probe was not harmless";
        const bool over = server_.silent() && !replies.unsure();
        if (over && !replies.quiet()) complaint_ = "the server is silent and the ledger waits";
        if (server_.safe() && !replies.unsure() && !replies.safe()) {
            // On 18 a Query in an open batch says T until the Sync; the model's own state is idle then.
            if (replies.status() == protocol::TransactionStatus::idle)
                complaint_ = "the server is safe and the ledger is not";
        }
    }

    std::mt19937_64 random_;
    ModelServer server_;
    protocol::SessionLedger ledger_;
    std::string trace_;
    std::string complaint_;
    bool was_unsure_ = false;
    bool was_probed_ = false;
};

std::uint64_t first_seed() {
    const char* given = std::getenv("TURNOUT_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

TEST(RandomConversation, TheLedgerNeverPromisesWhatTheServerBreaks) {
    const std::uint64_t seed = first_seed();
    RecordProperty("seed", std::to_string(seed));
    std::cout << "TURNOUT_SEED=" << seed << '\n';
    int unsure = 0;
    int probed = 0;
    constexpr int conversations = 40'000;
    for (std::uint64_t i = 0; i < conversations; ++i) {
        const ModelServer::Version version{.copy_eats_foreign = i % 3 == 0, .query_keeps_batch = i % 2 == 0};
        RandomConversation conversation{seed + i, version};
        const std::string complaint = conversation.run(120);
        ASSERT_EQ(complaint, "") << "TURNOUT_SEED=" << seed + i << " (first conversation)";
        unsure += conversation.was_unsure() ? 1 : 0;
        probed += conversation.was_probed() ? 1 : 0;
    }
    // The rare states must have been visited, or this test says little.
    EXPECT_GT(unsure, conversations / 100);
    EXPECT_GT(probed, conversations / 1000);
}

}  // namespace
}  // namespace turnout::test
