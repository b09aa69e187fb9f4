#include "bench/rig.hpp"

#include <future>

#include "bench/ledger.hpp"
#include "bench/pq.hpp"

namespace turnout::bench {

namespace {

constexpr const char* kRole = "app";
constexpr const char* kPassword = "app";

std::unique_ptr<support::Cluster> make_server(const RigPlan& plan, int major, const std::string& name) {
    support::ClusterOptions options;
    options.major = major;
    options.name = name;
    options.settings = plan.settings;
    return std::make_unique<support::Cluster>(std::move(options));
}

}  // namespace

Rig::Rig(RigPlan plan, Terminal& terminal) {
    terminal.live("starting two servers and turnout, copying");
    auto green = std::async(std::launch::async, [&] { return make_server(plan, plan.green, "green"); });
    blue_ = make_server(plan, plan.blue, "blue");
    green_ = green.get();
    blue_->execute("CREATE ROLE app LOGIN PASSWORD 'app'");
    blue_->execute("CREATE DATABASE app OWNER app");
    install_ledger(with(with(blue_->conninfo("app"), "user", kRole), "password", kPassword));
    if (plan.fill) plan.fill(*blue_);
    plan.served.blue = blue_->conninfo("");
    plan.served.green = green_->conninfo("");
    turnout_ = std::make_unique<Served>(std::move(plan.served));
    turnout_->report({"sync"}, [&](std::string_view line) { terminal.live(line); });
}

std::string Rig::conninfo() const { return turnout_->conninfo(kRole, kPassword); }

}  // namespace turnout::bench
