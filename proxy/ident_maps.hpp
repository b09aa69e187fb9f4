// Which system name (of a certificate, of a Unix socket's peer) may log in as which role: a file in pg_ident.conf's
// format, read as PostgreSQL reads it (manual, "User Name Maps"; hba.c of 16 and later).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/name_pattern.hpp"

namespace turnout::proxy {

/// Immutable; used by all workers.
class IdentMaps {
  public:
    /// Without a file there is no map: only equal names fit.
    IdentMaps() = default;
    /// Throw RuleFileError with all that is wrong.
    static IdentMaps parse(std::string_view text, const std::filesystem::path& file);
    static IdentMaps load(const std::filesystem::path& file);

    /// True if `system_name` may log in as `user` by the map named, or, without a map, if the names are equal.
    bool allows(std::string_view map, std::string_view system_name, std::string_view user,
                const std::vector<std::string>& member_of) const;

  private:
    struct Line {
        std::string map;
        NamePattern system_name;
        NamePattern user;
    };
    static IdentMaps from(const std::vector<RuleLine>& lines, std::vector<RuleProblem>& problems);
    static bool fits(const Line& line, std::string_view system_name, std::string_view user,
                     const std::vector<std::string>& member_of);
    std::vector<Line> lines_;
};

}  // namespace turnout::proxy
