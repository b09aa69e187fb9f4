#include "control/auth_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

namespace turnout::control {
namespace {

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

/// Takes a "quoted" word off the front; nothing if there is none.
std::optional<std::string> take_quoted(std::string_view& line) {
    line = trimmed(line);
    if (!line.starts_with('"')) return std::nullopt;
    std::string word;
    for (std::size_t i = 1; i < line.size(); ++i) {
        if (line[i] != '"') {
            word += line[i];
        } else if (i + 1 < line.size() && line[i + 1] == '"') {
            word += line[i++];
        } else {
            line.remove_prefix(i + 1);
            return word;
        }
    }
    return std::nullopt;
}

bool is_verifier(std::string_view text) {
    constexpr std::size_t kMd5 = 35;  // "md5" and 32 hexadecimal digits
    return text.empty() || text.starts_with("SCRAM-SHA-256$") || (text.starts_with("md5") && text.size() == kMd5);
}

[[noreturn]] void refuse_line(const std::string& file, std::size_t line, const std::string& sentence) {
    throw AuthFileError(file + ":" + std::to_string(line) + ": " + sentence);
}

}  // namespace

Verifiers parse_auth_file(std::string_view text, const std::string& file) {
    Verifiers verifiers;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line.starts_with(';')) continue;
        const auto role = take_quoted(line);
        auto verifier = role ? take_quoted(line) : std::nullopt;
        if (!verifier || role->empty()) refuse_line(file, number, "a line must be \"role\" \"verifier\"");
        if (!is_verifier(*verifier))
            refuse_line(file, number,
                        "the password of \"" + *role +
                            "\" is in the clear: put its verifier there (SELECT rolpassword FROM pg_authid)");
        if (!verifiers.emplace(*role, std::move(*verifier)).second)
            refuse_line(file, number, "role \"" + *role + "\" is there twice: leave one of the lines");
    }
    return verifiers;
}

Verifiers load_auth_file(const std::filesystem::path& path) {
    if (path.empty()) return {};
    std::ifstream stream(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    if (!stream.is_open() || std::filesystem::is_directory(path))
        throw AuthFileError(path.string() + ": the auth_file cannot be read: " + std::strerror(errno));
    return parse_auth_file(text, path.string());
}

AuthFileDirectory::AuthFileDirectory(RoleDirectory& servers, Verifiers verifiers)
    : servers_(servers), verifiers_(std::make_shared<const Verifiers>(std::move(verifiers))) {}

std::shared_ptr<const Verifiers> AuthFileDirectory::verifiers() const {
    const std::lock_guard lock(mutex_);
    return verifiers_;
}

void AuthFileDirectory::replace(Verifiers verifiers) {
    auto fresh = std::make_shared<const Verifiers>(std::move(verifiers));
    const std::lock_guard lock(mutex_);
    verifiers_ = std::move(fresh);
}

void AuthFileDirectory::look_up(Side side, std::string user, std::string database,
                                std::function<void(RoleAnswer)> done) {
    const auto known = verifiers();
    const auto found = known->find(user);
    if (found == known->end()) return servers_.look_up(side, std::move(user), std::move(database), std::move(done));
    servers_.look_up(side, std::move(user), std::move(database),
                     [verifier = found->second, done = std::move(done)](RoleAnswer answer) {
                         if (auto* facts = std::get_if<RoleFacts>(&answer)) facts->verifier = verifier;
                         done(std::move(answer));
                     });
}

}  // namespace turnout::control
