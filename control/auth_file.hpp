// Verifiers from a file, for servers that hide pg_authid from control's role.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>

#include "control/data_plane.hpp"

namespace turnout::control {

/// The file cannot be used; what() has its name, the line and a sentence, and no verifier.
class AuthFileError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Verifiers by role, in PgBouncer's format: a line is `"role" "verifier"`, with "" for a quote; what follows is
/// ignored, and so are empty lines and those that begin with `;`. Verifiers are as pg_authid.rolpassword has them
/// (SCRAM-SHA-256$... or md5...): a password in the clear is refused, because it cannot be carried to the servers.
using Verifiers = std::map<std::string, std::string, std::less<>>;
/// `file` is the name used in messages. Throws AuthFileError.
Verifiers parse_auth_file(std::string_view text, const std::string& file);
/// An empty path gives no verifiers. Throws AuthFileError.
Verifiers load_auth_file(const std::filesystem::path& path);

/// Puts the file's verifiers in front of what the servers say; all else about a role is still asked of them.
class AuthFileDirectory final : public RoleDirectory {
  public:
    /// `servers` must outlive this.
    AuthFileDirectory(RoleDirectory& servers, Verifiers verifiers);

    void look_up(Side side, std::string user, std::string database, std::function<void(RoleAnswer)> done) override;
    /// Any thread; logins that come later see the new ones.
    void replace(Verifiers verifiers);

  private:
    std::shared_ptr<const Verifiers> verifiers() const;

    RoleDirectory& servers_;
    mutable std::mutex mutex_;
    std::shared_ptr<const Verifiers> verifiers_;
};

}  // namespace turnout::control
