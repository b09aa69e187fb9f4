#include "proxy/cancel_registry.hpp"

#include <openssl/crypto.h>

namespace turnout::proxy {
namespace {

bool same(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

void CancelRegistry::add(std::int32_t pid, std::string secret, std::weak_ptr<Session> session) {
    const std::lock_guard lock(mutex_);
    entries_.emplace(pid, Entry{std::move(secret), std::move(session)});
}

void CancelRegistry::remove(std::int32_t pid, std::string_view secret) {
    const std::lock_guard lock(mutex_);
    auto [at, end] = entries_.equal_range(pid);
    for (; at != end; ++at) {
        if (!same(at->second.secret, secret)) continue;
        entries_.erase(at);
        return;
    }
}

std::shared_ptr<Session> CancelRegistry::find(std::int32_t pid, std::string_view secret) const {
    const std::lock_guard lock(mutex_);
    auto [at, end] = entries_.equal_range(pid);
    for (; at != end; ++at) {
        if (same(at->second.secret, secret)) return at->second.session.lock();
    }
    return nullptr;
}

}  // namespace turnout::proxy
