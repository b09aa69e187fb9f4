// Every error that turnout itself tells somebody, found where the sources raise it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::house {

/// One place that raises an error. Texts have "…" for what is put in when it is raised.
struct ErrorSite {
    std::string file;      ///< "proxy/session_login.cpp"
    std::string sqlstate;  ///< five characters; empty: none, it is told to a shell or in a configuration's refusal
    std::string message;
    std::string remedy;    ///< the hint; empty: there is none, or the message itself says what to do
    std::string place{};   ///< where it stands, if nobody is told: "log", "condition", "event"; empty: somebody is
    std::string reason{};  ///< of a condition or an Event, as programs know it: "VerbFailed"
};

/// Those of one source. Calls that only pass on what another has said are left out.
std::vector<ErrorSite> errors_of(const std::string& file, std::string_view text);

/// Those of protocol/, proxy/, control/ and program/ below `root`, in the order of files and lines; with them the
/// warnings of the log and what the operator writes into the status of its objects.
std::vector<ErrorSite> all_errors(const std::filesystem::path& root);

/// The text of a source's string literals: adjacent ones are joined, escapes undone, one a line.
std::string literals_of(std::string_view text);

}  // namespace turnout::house
