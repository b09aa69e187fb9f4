// Names to be looked at, each at most once at a time. Pure: the time is an argument.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace turnout::kubernetes {

class WorkQueue {
  public:
    using Time = std::chrono::steady_clock::time_point;

    /// Something was heard of it: look at once, or as soon as the present look is over.
    void add(const std::string& name, Time now) { due_at(name, now); }
    /// Look then, unless something is due before.
    void add_at(const std::string& name, Time when) { due_at(name, when); }
    /// The look failed: again after a while, which doubles with each failure in a row.
    void failed(const std::string& name, Time now);
    void succeeded(const std::string& name) { failures_.erase(name); }

    /// The first name that is due and not being looked at; it is, from now on.
    std::optional<std::string> take(Time now);
    /// The look is over.
    void done(const std::string& name) { looked_at_.erase(name); }
    /// When take() will give something; nothing: not before add().
    std::optional<Time> next() const;
    void forget(const std::string& name);

    static constexpr std::chrono::milliseconds kLeast{250};
    static constexpr std::chrono::milliseconds kMost{60'000};

  private:
    void due_at(const std::string& name, Time when);

    std::map<std::string, Time> due_;
    std::map<std::string, int> failures_;
    std::set<std::string> looked_at_;
};

}  // namespace turnout::kubernetes
