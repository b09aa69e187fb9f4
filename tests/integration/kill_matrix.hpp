// The kill matrix: whatever dies or freezes, at whichever moment of a switch, nothing acknowledged is lost or doubled,
// one side is writable, traffic goes on, and nothing is left over.
//
// The proxy is `turnout_halting`: it stops itself (SIGSTOP) at the moment of the cell, the blow is struck, and what
// still lives goes on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/ledger.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {

/// What happens. `active` and `standby` are the roles before the switch.
enum class Blow {
    kill_proxy,     ///< SIGKILL, then started again
    replace_proxy,  ///< SIGSTOP; another one takes over on another port, then the first one wakes
    kill_active,    ///< SIGKILL of every process of the server, then started again
    kill_standby,
    freeze_active,  ///< SIGSTOP of every process of the server, then SIGCONT
    freeze_standby,
    kill_proxy_and_active,  ///< and the proxy comes back first
    kill_proxy_and_standby,
    cut_active,  ///< the network between the proxy and it, and mended later
    cut_standby,
    part_servers,  ///< the network between the two
};
std::string_view name(Blow blow);
inline constexpr int kBlows = 11;

struct Cell {
    std::string_view moment;  ///< "before", "within", "after"
    std::string_view step;    ///< as control::name(SwitchStep)
    Blow blow = Blow::kill_proxy;
    std::string text() const;
};

/// The steps of a switch that succeeds, in order. Each can be met once, or for the second time ("2 …").
const std::vector<std::string_view>& matrix_steps();
const std::vector<std::string_view>& matrix_moments();

/// Two servers, the proxies, and a ledger that writes all the time.
class Arena {
  public:
    Arena();
    ~Arena();

    /// Begins a switch, strikes, lets everything recover, and looks at all promises; failures are reported to
    /// GoogleTest. Where the clients went: "old side", "new side", and ", 57P03 meanwhile" if nobody could be served
    /// for a time.
    std::string play(const Cell& cell);
    /// A switch without a blow, so that the next cell goes the other way.
    void change();
    bool on_blue();
    /// The account at the end.
    std::string summary();
    /// The ends of what the servers and the proxy have written.
    std::string logs();

  private:
    bench::Served& proxy() { return *proxies_[current_]; }
    support::Cluster& server(bool blue) { return blue ? pair_.blue() : pair_.green(); }
    std::string conninfo() const;
    std::string active();
    bool stopped();
    void wake();
    std::string strike(const Cell& cell, support::Cluster& from, support::Cluster& to);
    void freeze(const Cell& cell, support::Cluster& victim);
    void cut(const Cell& cell, const support::Cluster& from);
    void while_standby_is_away(const Cell& cell);
    std::string restart_without(support::Cluster& away);
    void replace();
    void expect_served_or_told();
    void await_steady();
    std::string not_steady();
    void expect_one_writable_side();
    void expect_clean_account();
    void await_writes(std::uint64_t more, const char* what);

    Pair pair_;
    std::vector<std::unique_ptr<bench::Served>> own_;  ///< the second proxy
    std::vector<bench::Served*> proxies_;
    std::size_t current_ = 0;
    std::unique_ptr<bench::Ledger> ledger_;
    std::map<bool, std::vector<std::string>> objects_;  ///< of each side, after sync
};

}  // namespace turnout::integration
