// The life of a pair of servers and their proxies: founded, troubled, then at peace until everything has come to rest,
// and the account in the end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/proxy.hpp"

namespace turnout::simulation {

/// Sanitizers look for other faults, and take their time: they get a part of the lives.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

class Life {
  public:
    explicit Life(Ground& ground);

    /// An operator who switches whenever that is possible, until peace().
    void operate(Duration longest_pause);
    /// Something happens to a process or a server, again and again, until peace().
    void trouble(Duration longest_pause);
    /// Nothing more happens to anybody.
    void peace() { peaceful_ = true; }

    /// Until no switch runs, everything is settled and both sides have caught up; `longest` at most.
    void rest(Duration longest);
    /// What is wrong now, or nothing.
    std::string account() const;

    Proxy& process() { return *process_; }
    /// The process ends, or is stopped and wakes later as a zombie; another one takes its place.
    void replace_process(bool killed, Duration zombie_wakes_after);

  private:
    void found_the_pair();
    void apply();
    void make_trouble(Duration longest_pause);
    bool at_rest() const;

    World& world_;
    Ground& ground_;
    std::shared_ptr<Proxy> process_;
    std::vector<std::shared_ptr<Proxy>> zombies_;
    bool peaceful_ = false;
};

}  // namespace turnout::simulation
