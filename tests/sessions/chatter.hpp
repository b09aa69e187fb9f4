// Random conversations of a session: everything that it can set, prepare, listen to and lock, in every form that the
// protocol has for saying it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::test {

/// Bytes that are sent together, and how many ReadyForQuery they bring.
struct Step {
    std::string bytes;
    unsigned ready = 0;
    std::string said;  ///< for people
};

/// From outside of a transaction to outside of a transaction.
using Block = std::vector<Step>;

/// Makes blocks. The same seed makes the same ones.
class Chatter {
  public:
    /// `functions`: also calls functions that change session state behind a plain SELECT (kChatterSchema has them).
    Chatter(std::uint64_t seed, bool functions) : random_(seed), functions_(functions) {}

    Block block();
    /// A number below `bound`.
    unsigned pick(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

  private:
    enum class Form { simple, extended, pipelined };

    std::string one_of(std::initializer_list<std::string_view> choices);
    std::string statement();
    std::string setting();
    std::string custom_setting();
    std::string role();
    std::string sql_statement();
    std::string listening();
    std::string lock();
    std::string look();
    void say(Block& block, Form form, const std::vector<std::string>& texts);
    void transaction(Block& block);
    void protocol_statements(Block& block);
    void parameters(Block& block);

    std::mt19937_64 random_;
    bool functions_;
};

/// Roles and functions that the blocks use; for a superuser, on each server.
extern const char* const kChatterSchema;

/// Questions whose answers tell all that a session has, in an order.
std::vector<std::string> chatter_inventory();

}  // namespace turnout::test
