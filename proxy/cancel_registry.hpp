// Who is meant by a CancelRequest. The key that a client was handed survives every move: its pid is that of the first
// backend (tools take it for pg_backend_pid()), its secret is our own. Pids repeat (two servers, reuse by the kernel),
// so a key is the pair.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace turnout::proxy {

class Session;

/// Thread-safe.
class CancelRegistry {
  public:
    void add(std::int32_t pid, std::string secret, std::weak_ptr<Session> session);
    void remove(std::int32_t pid, std::string_view secret);
    /// The session with exactly this key, or null. Secrets are compared in constant time.
    std::shared_ptr<Session> find(std::int32_t pid, std::string_view secret) const;

  private:
    struct Entry {
        std::string secret;
        std::weak_ptr<Session> session;
    };
    mutable std::mutex mutex_;
    std::unordered_multimap<std::int32_t, Entry> entries_;
};

}  // namespace turnout::proxy
