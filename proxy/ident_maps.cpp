#include "proxy/ident_maps.hpp"

#include <algorithm>
#include <stdexcept>

#include "proxy/hba_rules.hpp"

namespace turnout::proxy {

bool IdentMaps::fits(const Line& line, std::string_view system_name, std::string_view user,
                     const std::vector<std::string>& member_of) {
    if (!line.system_name.is_expression())
        return line.system_name.token().text == system_name && role_fits(line.user, user, member_of);
    const auto found = line.system_name.search(system_name);
    if (!found) return false;
    std::string wanted = line.user.token().text;
    const std::size_t reference = wanted.find("\\1");
    if (reference == std::string::npos) return role_fits(line.user, user, member_of);
    // What came from the certificate is a name, never a keyword or a group.
    return found->group && wanted.replace(reference, 2, *found->group) == user;
}

bool IdentMaps::allows(std::string_view map, std::string_view system_name, std::string_view user,
                       const std::vector<std::string>& member_of) const {
    if (system_name.empty()) return false;
    if (map.empty()) return system_name == user;
    return std::any_of(lines_.begin(), lines_.end(),
                       [&](const Line& line) { return line.map == map && fits(line, system_name, user, member_of); });
}

IdentMaps IdentMaps::from(const std::vector<RuleLine>& lines, std::vector<RuleProblem>& problems) {
    IdentMaps maps;
    for (const RuleLine& line : lines) {
        if (line.fields.size() < 3) {
            problems.push_back(
                RuleProblem{line.file, line.line,
                            "missing entry at end of line: a line is map-name system-username database-username"});
            continue;
        }
        if (std::any_of(line.fields.begin(), line.fields.begin() + 3, [](const auto& f) { return f.size() > 1; })) {
            problems.push_back(
                RuleProblem{line.file, line.line, "multiple values in ident field: write a line for each"});
            continue;
        }
        try {
            maps.lines_.push_back({line.fields[0].front().text, NamePattern(line.fields[1].front()),
                                   NamePattern(line.fields[2].front())});
        } catch (const std::invalid_argument& error) {
            problems.push_back({line.file, line.line, error.what()});
        }
    }
    if (!problems.empty()) throw RuleFileError(problems);
    return maps;
}

IdentMaps IdentMaps::parse(std::string_view text, const std::filesystem::path& file) {
    std::vector<RuleProblem> problems;
    const std::vector<RuleLine> lines = split_rules(text, file, problems);
    return from(lines, problems);
}

IdentMaps IdentMaps::load(const std::filesystem::path& file) {
    std::vector<RuleProblem> problems;
    const std::vector<RuleLine> lines = read_rules(file, problems);
    return from(lines, problems);
}

}  // namespace turnout::proxy
