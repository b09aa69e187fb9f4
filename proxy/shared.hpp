// What all workers share. Everything here is either atomic, immutable once published, or behind its own lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "control/data_plane.hpp"
#include "proxy/cancel_registry.hpp"
#include "proxy/gate.hpp"
#include "proxy/hba_rules.hpp"
#include "proxy/ident_maps.hpp"
#include "proxy/tls.hpp"

namespace turnout::proxy {

/// The settings with what was made of them. Immutable; RELOAD publishes another.
struct Runtime {
    control::DataPlaneSettings settings;
    TlsContext server_tls;
    std::array<TlsContext, 2> client_tls;
    std::optional<HbaRules> rules;  ///< of the hba_file, if there is one
    IdentMaps maps;

    /// Throws std::runtime_error that names what could not be used.
    static std::shared_ptr<const Runtime> make(const control::DataPlaneSettings& settings);
    bool lists(const std::string& database) const;
};

/// Why nobody is served at present.
struct Refusal {
    std::string message;
    std::string hint;
};

struct Shared {
    explicit Shared(control::RoleDirectory& roles) : directory(roles) {}

    control::RoleDirectory& directory;
    control::ConsoleDoor console;  ///< set before the workers start
    Gate gate;
    CancelRegistry cancels;
    std::atomic<bool> served{false};
    /// When control last showed that it works on its claim.
    std::atomic<control::Clock::rep> claim_fed{0};
    std::atomic<bool> shutting_down{false};
    std::atomic<std::size_t> clients{0};
    std::atomic<std::uint64_t> next_session{1};
    /// Sessions that finish a read-only transaction on the side that was left. As long as there are any, the backends
    /// there stay: what such a transaction notifies must be heard, and the locks that are held there stay theirs.
    std::atomic<std::size_t> left_behind{0};
    /// Called, on any worker's thread, when the last of these has come after.
    std::function<void()> nobody_left_behind;

    std::shared_ptr<const Runtime> runtime() const {
        const std::lock_guard lock(mutex_);
        return runtime_;
    }
    void publish(std::shared_ptr<const Runtime> runtime) {
        const std::lock_guard lock(mutex_);
        runtime_ = std::move(runtime);
    }
    Refusal refusal() const {
        const std::lock_guard lock(mutex_);
        return refusal_;
    }
    void refuse(Refusal refusal) {
        const std::lock_guard lock(mutex_);
        refusal_ = std::move(refusal);
    }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Runtime> runtime_;
    Refusal refusal_{"turnout has not yet found out which side is active", "Try again in a moment."};
};

}  // namespace turnout::proxy
