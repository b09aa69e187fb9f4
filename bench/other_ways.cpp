#include "bench/other_ways.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <future>
#include <utility>

#include "bench/conventional.hpp"
#include "bench/interrupt.hpp"
#include "bench/peers.hpp"
#include "bench/pq.hpp"
#include "bench/program.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::bench {

namespace {

using namespace std::chrono_literals;

constexpr auto kAfterwards = 300ms;

std::unique_ptr<support::Cluster> make_server(int major, const std::string& name) {
    support::ClusterOptions options;
    options.major = major;
    options.name = name;
    options.tls = true;  // peers name its certificate in their configurations
    options.settings = {{"shared_buffers", "256MB"}, {"max_wal_size", "4GB"}};
    return std::make_unique<support::Cluster>(std::move(options));
}

void make_application(const support::Cluster& server) {
    server.execute("CREATE ROLE app LOGIN PASSWORD 'app'");
    server.execute("CREATE DATABASE app OWNER app");
}

std::string at_port(std::uint16_t port) {
    return fmt::format("host=127.0.0.1 port={} user=app password=app dbname=app sslmode=disable", port);
}

/// Two servers of which one follows the other.
class Followed {
  public:
    explicit Followed(const OtherWaysPlan& plan) {
        auto green = std::async(std::launch::async, make_server, plan.green, "green");
        from_ = make_server(plan.blue, "blue");
        to_ = green.get();
        for (const auto* server : {from_.get(), to_.get()}) {
            make_application(*server);
            install_ledger(at_port(server->port()));
            server->execute("CREATE PUBLICATION everything FOR ALL TABLES", "app");
        }
        follow();
    }

    const support::Cluster& from() const { return *from_; }
    const support::Cluster& to() const { return *to_; }

    /// The new side has what the old one has written so far.
    void catch_up() {
        const std::string position = value(old_.get(), "SELECT pg_current_wal_lsn()").value_or("");
        while (value(old_.get(), fmt::format("SELECT 1 FROM pg_stat_replication WHERE application_name = 'follow' "
                                             "AND replay_lsn >= '{}'",
                                             position)) == std::nullopt)
            check_interrupted();
    }

    void carry_sequences() {
        const auto statements =
            value(old_.get(),
                  "SELECT string_agg(format('SELECT pg_catalog.setval(%L, %s)', format('%I.%I', schemaname, "
                  "sequencename), last_value), ';') FROM pg_sequences WHERE last_value IS NOT NULL");
        if (statements) bench::run(new_.get(), *statements);
    }

    void stop_following() { bench::run(connect(to_->conninfo("app")).get(), "DROP SUBSCRIPTION IF EXISTS follow"); }

    /// The old side becomes the one that follows, with a fresh copy; nobody may write meanwhile.
    void turn_round() {
        stop_following();
        std::swap(from_, to_);
        follow();
    }

  private:
    void follow() {
        to_->execute("TRUNCATE ledger_entries, ledger_counters, ledger_balances", "app");
        old_ = connect(from_->conninfo("app"));
        new_ = connect(to_->conninfo("app"));
        bench::run(new_.get(), fmt::format("CREATE SUBSCRIPTION follow CONNECTION $${}$$ PUBLICATION everything",
                                           from_->conninfo("app")));
        while (number(new_.get(), "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'") > 0) rest(10ms);
        catch_up();
    }

    std::unique_ptr<support::Cluster> from_;
    std::unique_ptr<support::Cluster> to_;
    Connection old_;
    Connection new_;
};

std::int64_t entries(const support::Cluster& server) {
    return number(connect(server.conninfo("app")).get(), "SELECT count(*) FROM ledger_entries");
}

/// As an operator does it: peers/pgbouncer_switch.sh, which calls psql.
class ByScript {
  public:
    explicit ByScript(const Peer& pgbouncer) : pgbouncer_(pgbouncer) {}
    void make_ready(const Followed& sides) { next_ = pgbouncer_.prepare_for(sides.to()); }
    void change(Followed& sides) {
        must_run({.arguments = {peers_file("pgbouncer_switch.sh").string()},
                  .environment = {{"PSQL", client_program("psql")},
                                  {"CONSOLE", with(at_port(pgbouncer_.port()), "dbname", "pgbouncer")},
                                  {"OLD", sides.from().socket_conninfo("app")},
                                  {"NEW", sides.to().socket_conninfo("app")},
                                  {"DATABASE", "app"},
                                  {"CONFIGURATION", pgbouncer_.configuration().string()},
                                  {"NEXT_CONFIGURATION", next_.string()}}});
    }

  private:
    const Peer& pgbouncer_;
    std::filesystem::path next_;
};

/// The same steps by connections that are open already, looking without a pause: nothing that speaks to PgBouncer's
/// console can be faster.
class ByProgram {
  public:
    explicit ByProgram(const Peer& pgbouncer)
        : pgbouncer_(pgbouncer), console_(connect(with(at_port(pgbouncer.port()), "dbname", "pgbouncer"))) {}
    void make_ready(const Followed& sides) { pgbouncer_.point_at(sides.to()); }
    void change(Followed& sides) {
        bench::run(console_.get(), "PAUSE app");
        sides.catch_up();
        sides.carry_sequences();
        bench::run(console_.get(), "RELOAD");
        bench::run(console_.get(), "RESUME app");
    }

  private:
    const Peer& pgbouncer_;
    const Connection console_;
};

/// `Teller` changes PgBouncer from one of the servers to the other; it is made ready before anybody waits.
template <class Teller>
OtherWay by_pgbouncer(const OtherWaysPlan& plan, const std::string& program, std::string name) {
    OtherWay way{.name = std::move(name)};
    Followed sides(plan);
    const Peer pgbouncer("PgBouncer", sides.from(), {program, "{directory}/pgbouncer_switch.ini"},
                         "pgbouncer_switch.ini");
    Teller teller(pgbouncer);
    LedgerSettings settings = plan.load;
    settings.conninfo = at_port(pgbouncer.port());
    settings.modes = {Mode::simple, Mode::extended};  // transaction pooling forgets what was prepared
    Ledger ledger(settings);
    ledger.start();
    for (unsigned i = 1; i <= plan.changes; ++i) {
        rest(plan.pause);
        plan.tell(fmt::format("{}: {} of {}", way.name, i, plan.changes));
        teller.make_ready(sides);
        const Clock::time_point started = Clock::now();
        teller.change(sides);
        rest(kAfterwards);
        way.longest_waits.push_back(ledger.waits(started, Clock::now()).statements.max);
        ledger.hold();
        sides.turn_round();
        ledger.release();
    }
    ledger.stop();
    way.totals = ledger.totals();
    way.audit = audit({&ledger}, at_port(sides.from().port()));
    return way;
}

OtherWay by_nginx(const OtherWaysPlan& plan, const std::string& program) {
    OtherWay way{.name = "nginx, its stream reloaded"};
    Followed sides(plan);
    const Peer nginx("nginx", sides.from(),
                     {program, "-e", "stderr", "-p", "{directory}", "-c", "{directory}/nginx_switch.conf"},
                     "nginx_switch.conf");
    LedgerSettings settings = plan.load;
    settings.conninfo = at_port(nginx.port());
    Ledger ledger(settings);
    ledger.start();
    rest(plan.pause);
    plan.tell(way.name);
    nginx.point_at(sides.to());
    sides.catch_up();
    const Clock::time_point started = Clock::now();
    sides.carry_sequences();
    const std::int64_t before = entries(sides.from());
    if (::kill(nginx.pid(), SIGHUP) != 0) throw std::runtime_error("nginx is gone");
    const auto on_the_old_side = [&] {
        return number(connect(sides.from().conninfo()).get(),
                      "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'");
    };
    while (on_the_old_side() > 0) rest(10ms);
    rest(kAfterwards);
    way.longest_waits.push_back(ledger.waits(started, Clock::now()).statements.max);
    way.stray = static_cast<std::uint64_t>(std::max<std::int64_t>(entries(sides.from()) - before, 0));
    sides.stop_following();
    ledger.stop();
    way.totals = ledger.totals();
    way.audit = audit({&ledger}, at_port(sides.to().port()));
    return way;
}

OtherWay by_dump(const OtherWaysPlan& plan) {
    OtherWay way{.name = "stop, dump, restore, verify, restart"};
    plan.tell(way.name);
    const auto from = make_server(plan.blue, "blue");
    const auto to = make_server(plan.green, "green");
    make_application(*from);
    install_ledger(at_port(from->port()));
    ConventionalPlan conventional;
    conventional.from = from.get();
    conventional.to = to.get();
    conventional.database = "app";
    conventional.role = "app";
    conventional.password = "app";
    conventional.load = plan.load;
    conventional.tell = [](std::string_view) {};
    const ConventionalOutcome outcome = change_conventionally(conventional);
    way.longest_waits.push_back(outcome.downtime);
    way.totals = outcome.totals;
    way.audit = outcome.audit;
    return way;
}

}  // namespace

std::vector<OtherWay> take_other_ways(const OtherWaysPlan& plan, std::vector<std::string>& missing) {
    std::vector<OtherWay> ways;
    const auto pgbouncer = installed("/usr/sbin/pgbouncer");
    const auto nginx = installed("/usr/sbin/nginx");
    if (std::filesystem::exists(pgbouncer)) {
        ways.push_back(by_pgbouncer<ByScript>(plan, pgbouncer.string(), "PgBouncer, told by a shell script"));
        ways.push_back(
            by_pgbouncer<ByProgram>(plan, pgbouncer.string(), "PgBouncer, told by a program with warm connections"));
    } else {
        missing.emplace_back("PgBouncer");
    }
    if (std::filesystem::exists(nginx))
        ways.push_back(by_nginx(plan, nginx.string()));
    else
        missing.emplace_back("nginx");
    ways.push_back(by_dump(plan));
    return ways;
}

}  // namespace turnout::bench
