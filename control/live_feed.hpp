// What the status page is told, from control's thread to the listener's. Costs nothing while nobody looks.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

namespace turnout::control {

/// Thread-safe.
class LiveFeed {
  public:
    /// While one lives, somebody looks.
    class Watcher {
      public:
        explicit Watcher(LiveFeed& feed) : feed_(feed) { ++feed_.watchers_; }
        ~Watcher() { --feed_.watchers_; }
        Watcher(const Watcher&) = delete;
        Watcher& operator=(const Watcher&) = delete;

        /// What was published since the last call, if anything: the newest only.
        std::optional<std::string> news();

      private:
        LiveFeed& feed_;
        std::uint64_t seen_ = 0;
    };

    /// How many look; to be asked before something is made for them.
    unsigned watchers() const { return watchers_; }

    /// One JSON object, on one line.
    void publish(std::string event);

  private:
    std::atomic<unsigned> watchers_{0};
    mutable std::mutex mutex_;
    std::uint64_t number_ = 0;
    std::string event_;
};

}  // namespace turnout::control
