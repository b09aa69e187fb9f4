/// \file
/// What a session may have left behind on its backend since somebody last read it, from texts and tags.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/message.hpp"
#include "protocol/sql_words.hpp"

namespace turnout::protocol {

/// Collects Change flags and names of settings. A prepared statement's text counts each time that the statement is
/// bound or executed, not only when it is parsed: `SELECT set_config('app.tenant', $1, false)` is parsed once and run
/// for a week.
class SessionChanges {
  public:
    /// A client's message is forwarded. `body` may be a prefix: then `whole` is false.
    void on_frontend(FrontendType type, std::string_view body, bool whole = true);
    /// The server has answered CommandComplete with this body or tag.
    void on_command_complete(std::string_view tag);
    /// `standard_conforming_strings` has been reported with this value.
    void conforming_strings(bool on) noexcept { conforming_ = on; }

    /// Everything since the last clear().
    [[nodiscard]] Change since_read() const noexcept { return since_read_; }
    /// Everything since the session began.
    [[nodiscard]] Change ever() const noexcept { return ever_; }
    /// The session's state has been read at a safe point: forget what led there. Statements stay.
    void clear() noexcept { since_read_ = Change::none; }
    /// Names of settings that were ever set by name, in lower case, custom or not.
    [[nodiscard]] const std::set<std::string, std::less<>>& setting_names() const noexcept { return setting_names_; }
    /// More names came than are remembered: what the session has set can no longer be asked for.
    [[nodiscard]] bool names_lost() const noexcept { return names_lost_; }

  private:
    /// What running a statement may do; statements that do nothing of note are not kept.
    struct Effect {
        Change changes = Change::none;
        std::vector<std::uint16_t> name_parameters;
    };

    void add(Change changes) noexcept;
    SqlReading read(std::string_view text, bool whole);
    void on_parse(std::string_view body, bool whole);
    void on_bind(std::string_view body, bool whole);
    void keep(std::string_view name, Effect effect);
    void learn(std::string_view name);

    /// More statements than this are not told apart, so that a client cannot make us remember without end.
    static constexpr std::size_t most_effects = 1024;
    /// For the same reason: all names of settings together, in bytes.
    static constexpr std::size_t most_name_bytes = 64 * 1024;

    std::map<std::string, Effect, std::less<>> effects_;  // by statement name
    Change crowd_ = Change::none;                         // what statements beyond most_effects may do
    std::set<std::string, std::less<>> setting_names_;
    std::size_t name_bytes_ = 0;
    bool names_lost_ = false;
    Change sql_prepared_ = Change::none;  // what EXECUTE may run
    Change since_read_ = Change::none;
    Change ever_ = Change::none;
    bool conforming_ = true;
};

}  // namespace turnout::protocol
