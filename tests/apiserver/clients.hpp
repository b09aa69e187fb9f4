// The application of a stage: a ledger of four that write through the Service `postgres` and keep account.
#pragma once

#include <optional>

#include "bench/ledger.hpp"
#include "bench/pq.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {

class Clients {
  public:
    /// Their tables are made; they are not there yet.
    explicit Clients(Stage& stage);

    /// From now on a copy waits until they come: so they are there before any switch. Before the operator is started.
    void hold_the_copy();
    /// They come as soon as the Service leads to the proxy, and write. False, and the test fails: it never did, or they
    /// cannot.
    bool come();
    /// They go. Expects that they saw no error, and that nothing was lost or doubled.
    void leave();

  private:
    support::Cluster& old() { return stage_.kubelet->server("deployments/postgres-old"); }

    Stage& stage_;
    bench::Ledger ledger_;
    std::optional<bench::Connection> holder_;
};

}  // namespace turnout::apiserver
