// The demo: one version change and back on real servers, under load, with its figures; beside it the conventional way.
#pragma once

#include <boost/json.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/conventional.hpp"
#include "bench/ledger.hpp"
#include "bench/served.hpp"
#include "bench/terminal.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::bench {

struct DemoOptions {
    std::filesystem::path program;  ///< the executable `turnout`
    int blue = 15;                  ///< majors
    int green = 17;
    unsigned scale = 20;           ///< of pgbench: 100,000 accounts each
    unsigned writers = 16;         ///< besides the five of the thesis' client
    unsigned seconds_between = 3;  ///< of load before, between and after the switches
    bool conventional = true;
    std::filesystem::path json;  ///< where the figures are written as well; empty: nowhere
};

/// One switch or rollback: what turnout reports, and what the load saw of it.
struct DemoSwitch {
    std::string verb;
    boost::json::object report;
    Waits before;   ///< the load's waits in the second before the verb
    Waits during;   ///< while the verb ran
    Totals totals;  ///< counted from the verb's start to the audit
    Audit audit;    ///< what it found that no audit had found before
};

/// What a demo found out.
struct DemoOutcome {
    std::vector<DemoSwitch> switches;
    ConventionalOutcome conventional;
    bool with_conventional = false;
    Totals totals;                       ///< of the whole run through turnout
    Audit audit;                         ///< at its end
    std::vector<std::string> leftovers;  ///< turnout's objects that finish did not remove

    /// What must not have happened, in words; empty: nothing did.
    std::vector<std::string> failures() const;
};

/// Runs the demo. Its functions are its steps, in order; whatever is thrown, its servers, directories and processes go
/// with it.
class Demo {
  public:
    Demo(DemoOptions options, Terminal& terminal) : options_(std::move(options)), terminal_(terminal) {}

    /// Throws Interrupted, or std::runtime_error if a step is refused.
    DemoOutcome run();

  private:
    void start_servers();
    void load_data();
    void conventional();
    void start_turnout();
    void sync();
    void change(const std::string& verb);
    void finish();
    void check();
    Totals load_totals() const;
    Audit audit_now();
    std::string as_application(const std::string& conninfo_without_user) const;

    DemoOptions options_;
    Terminal& terminal_;
    DemoOutcome outcome_;
    std::unique_ptr<support::Cluster> blue_;
    std::unique_ptr<support::Cluster> green_;
    std::unique_ptr<support::Cluster> third_;  ///< the conventional strategy's new server
    std::unique_ptr<Served> turnout_;
    std::unique_ptr<Ledger> flat_out_;
    std::unique_ptr<Ledger> thesis_;
    Audit found_before_;
};

}  // namespace turnout::bench
