#include "tests/apiserver/clients.hpp"

#include <chrono>

namespace turnout::apiserver {

namespace {

bench::LedgerSettings settings(const Stage& stage) {
    bench::LedgerSettings settings;
    settings.conninfo = stage.conninfo();
    settings.writers = 4;
    settings.pace.think = std::chrono::milliseconds(5);
    return settings;
}

}  // namespace

Clients::Clients(Stage& stage) : stage_(stage), ledger_(settings(stage)) { bench::install_ledger(stage.conninfo()); }

void Clients::hold_the_copy() {
    old().execute("CREATE TABLE held (id bigint PRIMARY KEY)", "app");
    holder_.emplace(bench::connect(old().conninfo("app")));
    bench::run(holder_->get(), "BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE");
}

bool Clients::come() {
    const bool moved = stage_.until(
        [&] {
            const auto to = stage_.kubelet->network().leads_to("postgres", 5432);
            return to && *to != old().port();
        },
        "the Service leads to the proxy");
    if (!moved) return false;
    ledger_.start();
    const bool written = stage_.until([&] { return ledger_.totals().writes > 100; }, "clients write");
    holder_.reset();
    return written;
}

void Clients::leave() {
    ledger_.stop();
    stage_.expect_nothing_noticed(ledger_);
}

}  // namespace turnout::apiserver
