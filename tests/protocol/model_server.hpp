/// \file
/// A PostgreSQL server reduced to the order of its replies: its main loop, COPY, skipping. What a statement does is
/// chance.
#pragma once

#include <deque>
#include <random>
#include <string>

namespace turnout::test {

/// Reads tokens in trace.hpp's notation, one at a time, and writes tokens. Written from PostgreSQL's main loop, without
/// a look at the ledger that it tests.
class ModelServer {
  public:
    /// How versions differ.
    struct Version {
        bool copy_eats_foreign = false;  ///< before 14: a message that has no place in a COPY is eaten by its failure
        bool query_keeps_batch = false;  ///< from 18: a Query does not end an open batch's implicit transaction
    };

    ModelServer(std::mt19937_64& random, Version version) : random_(random), version_(version) {}

    /// A message arrives.
    void receive(std::string token) { input_.push_back(std::move(token)); }
    /// Does one step of work; false if there is nothing to do.
    bool work();
    /// Replies not yet taken.
    std::deque<std::string>& output() noexcept { return output_; }

    /// Nothing more will come unless something more is sent.
    [[nodiscard]] bool silent() const noexcept;
    /// silent(), idle, outside of COPY, not skipping, no open batch.
    [[nodiscard]] bool safe() const noexcept { return silent() && !batch_open_ && !skipping_ && status_ == 'I'; }
    /// ReadyForQuery that are on their way already.
    [[nodiscard]] std::size_t ready_under_way() const noexcept;
    /// The session was ended for a violation.
    [[nodiscard]] bool dead() const noexcept { return dead_; }
    /// A Close of a probe met a COPY or was skipped: the probe did harm.
    [[nodiscard]] bool probe_did_harm() const noexcept { return probe_did_harm_; }

  private:
    enum class Copy { none, in };

    bool chance(int percent) { return std::uniform_int_distribution<int>(1, 100)(random_) <= percent; }
    void say(std::string token) { output_.push_back(std::move(token)); }
    void ready();
    void fail(bool extended);
    void extended(const std::string& token);
    void describe(const std::string& token);
    void execute();
    void query_commands();
    void end_simple();
    void in_copy(const std::string& token);
    void copy_done();
    void copy_failed();

    std::mt19937_64& random_;
    Version version_;
    std::deque<std::string> input_;
    std::deque<std::string> output_;
    Copy copy_ = Copy::none;
    bool copy_is_extended_ = false;
    bool skipping_ = false;
    bool batch_open_ = false;
    bool dead_ = false;
    bool probe_did_harm_ = false;
    char status_ = 'I';
};

}  // namespace turnout::test
