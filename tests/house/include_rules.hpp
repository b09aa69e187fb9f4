// Who may include what: the cut between bytes, sessions and decisions, as the top README draws it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::house {

/// One #include line of a source.
struct Include {
    std::string name;     ///< what stands between the brackets or quotes
    bool quoted = false;  ///< "ours", as opposed to <theirs>
    int line = 0;
};

/// The #include lines of a source's text, in order; those in comments that begin a line do not count.
std::vector<Include> includes_of(std::string_view text);

/// Why the file at `path` (from the root of the sources, "proxy/worker.cpp") must not include this, as a sentence that
/// says what it may include instead; nothing if it may, or if no rule is made for its folder.
std::optional<std::string> complaint(std::string_view path, const Include& include);

}  // namespace turnout::house
