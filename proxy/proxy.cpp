#include "proxy/proxy.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "proxy/inherited_sockets.hpp"
#include "proxy/listener.hpp"
#include "proxy/thread_slice.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {

namespace {

/// Without authorities to check them by, a rule that wants client certificates lets nobody in.
void refuse_client_certs(const HbaRules& rules) {
    std::vector<RuleProblem> problems;
    for (const HbaRule& rule : rules.rules()) {
        if (rule.client_cert == ClientCert::off) continue;
        problems.push_back(
            RuleProblem{rule.file, rule.line,
                        "client certificates can only be checked if client_ca in [proxy.tls] names their "
                        "authorities"});
    }
    if (!problems.empty()) throw RuleFileError(problems);
}

}  // namespace

std::shared_ptr<const Runtime> Runtime::make(const control::DataPlaneSettings& settings) {
    auto runtime = std::make_shared<Runtime>();
    runtime->settings = settings;
    runtime->server_tls = make_server_tls(settings.tls);
    for (std::size_t side = 0; side < 2; ++side) runtime->client_tls[side] = make_client_tls(settings.sides[side]);
    if (!settings.hba_file.empty()) runtime->rules = HbaRules::load(settings.hba_file);
    if (!settings.ident_file.empty()) runtime->maps = IdentMaps::load(settings.ident_file);
    if (runtime->rules && runtime->server_tls && settings.tls.client_ca.empty()) refuse_client_certs(*runtime->rules);
    return runtime;
}

bool Runtime::lists(const std::string& database) const {
    const auto& listed = settings.databases;
    return std::find(listed.begin(), listed.end(), database) != listed.end();
}

namespace {

using control::ArmReport;
using control::DrainReport;
using control::MoveReport;
using control::SessionView;

constexpr std::size_t kNamed = 20;
constexpr unsigned kMovesAtOnce = 32;
constexpr unsigned kWarmedAtOnce = 16;

DrainReport merge(std::vector<DrainReport> parts) {
    using Outcome = DrainReport::Outcome;
    DrainReport sum;
    sum.outcome = Outcome::drained;
    for (DrainReport& part : parts) {
        sum.closed_at = part.closed_at;
        sum.busy_at_close += part.busy_at_close;
        if (part.outcome == Outcome::expired || sum.outcome == Outcome::drained) sum.outcome = part.outcome;
        for (SessionView& view : part.holding_up) {
            if (sum.holding_up.size() < kNamed) sum.holding_up.push_back(std::move(view));
        }
    }
    return sum;
}

ArmReport merge(std::vector<ArmReport> parts) {
    ArmReport sum;
    for (ArmReport& part : parts) {
        sum.total += part.total;
        sum.armed += part.armed;
        std::move(part.not_movable.begin(), part.not_movable.end(), std::back_inserter(sum.not_movable));
    }
    return sum;
}

MoveReport merge(std::vector<MoveReport> parts) {
    MoveReport sum;
    for (MoveReport& part : parts) {
        sum.total += part.total;
        sum.held += part.held;
        sum.moved += part.moved;
        sum.ended += part.ended;
        sum.recovered += part.recovered;
        sum.failed += part.failed;
        sum.left_behind += part.left_behind;
        sum.stalls.insert(sum.stalls.end(), part.stalls.begin(), part.stalls.end());
    }
    return sum;
}

std::vector<SessionView> merge(std::vector<std::vector<SessionView>> parts) {
    std::vector<SessionView> sum;
    for (auto& part : parts) std::move(part.begin(), part.end(), std::back_inserter(sum));
    std::sort(sum.begin(), sum.end(), [](const SessionView& a, const SessionView& b) { return a.id < b.id; });
    return sum;
}

control::Clock::time_point merge(std::vector<control::Clock::time_point> parts) {
    return *std::max_element(parts.begin(), parts.end());
}

class Proxy final : public control::DataPlane {
  public:
    Proxy(boost::asio::any_io_executor control, control::RoleDirectory& directory)
        : control_(std::move(control)), shared_(directory), drain_timer_(control_), lull_timer_(control_) {
        shared_.nobody_left_behind = [this] { for_each_worker([](Worker& worker) { worker.leave_formers(); }); };
    }
    ~Proxy() override { stop_workers(); }

    void start(const control::DataPlaneSettings& settings) override {
        shared_.publish(Runtime::make(settings));
        const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
        const unsigned count = settings.workers > 0 ? settings.workers : cores;
        for (unsigned number = 0; number < count; ++number) workers_.push_back(std::make_unique<Worker>(shared_));
        for (const std::string& address : settings.listen) {
            for (BoundSocket& bound : bind_all(address)) {
                listeners_.push_back(
                    std::make_shared<Listener>(workers_.front()->context(), std::move(bound),
                                               [this](int socket, int family) { hand_out(socket, family); }));
            }
        }
        for (const std::string& address : drop_inherited_sockets())
            spdlog::warn("{} was passed as a listening socket, but [proxy] listen does not name it", address);
        for (auto& listener : listeners_) listener->start();
        for (auto& worker : workers_) worker->start();
    }

    void open_console(control::ConsoleDoor door) override { shared_.console = std::move(door); }

    void serve(Side side, std::uint64_t generation) override {
        spdlog::info("serving {} (generation {})", name(side), generation);
        shared_.gate.set_side(side);
        shared_.served.store(true);
    }

    void serve_nobody(std::string message, std::string hint) override {
        shared_.refuse({std::move(message), std::move(hint)});
        shared_.served.store(false);
        for_each_worker([](Worker& worker) { worker.end_served(); });
    }

    std::optional<std::string> reload(const control::DataPlaneSettings& settings) override {
        try {
            shared_.publish(Runtime::make(settings));
        } catch (const std::runtime_error& error) {
            return error.what();
        }
        for_each_worker([](Worker& worker) { worker.settings_changed(); });
        return std::nullopt;
    }

    void hurry(bool on) override {
        shorten_slices(on);
        for_each_worker([on](Worker&) { shorten_slices(on); });
    }

    void arm(const control::ArmRequest& request, Callback<ArmReport> done) override {
        const unsigned count = static_cast<unsigned>(workers_.size());
        const unsigned each = std::max(1U, (request.simultaneous_logins + count - 1) / count);
        auto gather = gathering<ArmReport>(std::move(done));
        for_each_worker([request, each, gather](Worker& worker) { worker.arm(request, each, gather); });
    }

    void warm(Callback<> done) override {
        const unsigned each = std::max(1U, kWarmedAtOnce / static_cast<unsigned>(workers_.size()));
        auto gather = gathering_nothing(std::move(done));
        for_each_worker([each, gather](Worker& worker) { worker.warm(each, gather); });
    }

    void disarm() override {
        for_each_worker([](Worker& worker) { worker.disarm(); });
    }

    void close_gate(const control::CloseRequest& request, Callback<DrainReport> done) override {
        auto gather = gathering<DrainReport>(std::move(done));
        const auto asked = control::Clock::now();
        if (!request.lull_until) return close_now(request, asked, gather);
        // Who is busy then is waited for, for milliseconds: a moment with nobody is worth most of the patience.
        const auto learnt = asked + (*request.lull_until - asked) * 3 / 4;
        lull_ = std::make_shared<Lull>(workers_.size(), learnt,
                                       [this, request, asked, gather](bool) { close_now(request, asked, gather); });
        lull_timer_.expires_at(*request.lull_until);
        lull_timer_.async_wait([lull = lull_](boost::system::error_code error) {
            if (!error) lull->give_up();
        });
        for (std::size_t i = 0; i < workers_.size(); ++i) {
            workers_[i]->post([lull = lull_, i, worker = workers_[i].get()] { worker->look_for(lull, i); });
        }
    }

    void want_lull(bool now) override {
        if (lull_) lull_->want(now);
    }

    void interrupt_lock_waiters(std::uint64_t attempt, const std::vector<control::LockWaiter>& waiters) override {
        for_each_worker([attempt, waiters](Worker& worker) { worker.interrupt_lock_waiters(attempt, waiters); });
    }

    bool is_gate_open() const override { return shared_.gate.view().state == Gate::State::open; }

    bool claim(std::uint64_t attempt) override {
        claim_alive(attempt);
        return shared_.gate.claim(attempt);
    }

    void claim_alive(std::uint64_t /*attempt*/) override {
        shared_.claim_fed.store(control::Clock::now().time_since_epoch().count(), std::memory_order_release);
    }

    void give_up(std::uint64_t attempt) override {
        shared_.gate.give_up(attempt);
        if (lull_) lull_->give_up();
        for_each_worker([](Worker& worker) { worker.gate_changed(); });
    }

    void open_to(std::uint64_t attempt, Side side, std::uint64_t generation,
                 Callback<control::Clock::time_point> done) override {
        if (!shared_.gate.open_to(attempt, side)) {
            spdlog::critical(
                "attempt {} was activated without a claim (generation {}): ending the process, so that recovery "
                "decides",
                attempt, generation);
            spdlog::shutdown();
            std::_Exit(70);
        }
        auto gather = gathering<control::Clock::time_point>(std::move(done));
        for_each_worker([gather](Worker& worker) { worker.opened_to_new_side(gather); });
    }

    void finish_moves(Callback<MoveReport> done) override {
        const unsigned each = std::max(1U, kMovesAtOnce / static_cast<unsigned>(workers_.size()));
        auto gather = gathering<MoveReport>(std::move(done));
        for_each_worker([each, gather](Worker& worker) { worker.finish_moves(each, gather); });
    }

    void pause(Callback<> done) override {
        shared_.gate.set_paused(true);
        auto gather = gathering_nothing(std::move(done));
        for_each_worker([gather](Worker& worker) { worker.paused(gather); });
    }

    void resume() override {
        shared_.gate.set_paused(false);
        for_each_worker([](Worker& worker) { worker.gate_changed(); });
    }

    void sessions(Callback<std::vector<SessionView>> done) override {
        auto gather = gathering<std::vector<SessionView>>(std::move(done));
        for_each_worker([gather](Worker& worker) { worker.views(gather); });
    }

    control::DataPlaneCounters counters() const override {
        control::DataPlaneCounters sum;
        for (const auto& worker : workers_) worker->counters().add_to(sum);
        return sum;
    }

    void shut_down(control::Clock::time_point deadline, Callback<> done) override {
        shared_.shutting_down.store(true);
        if (!workers_.empty()) {
            workers_.front()->post([listeners = listeners_] {
                for (auto& listener : listeners) listener->stop();
            });
        }
        shut_down_deadline_ = deadline;
        shut_down_done_ = std::move(done);
        end_some_sessions();
    }

  private:
    template <class F>
    void for_each_worker(F f) {
        for (auto& worker : workers_) {
            worker->post([f, target = worker.get()] { f(*target); });
        }
    }

    template <class T>
    std::shared_ptr<Gather<T>> gathering(Callback<T> done) {
        return std::make_shared<Gather<T>>(workers_.size(), [this, done = std::move(done)](std::vector<T> parts) {
            boost::asio::post(control_, [done, sum = merge(std::move(parts))]() mutable { done(std::move(sum)); });
        });
    }

    /// On any thread: at a lull mostly that of the worker that finds it, so that nobody begins anything in between.
    void close_now(control::CloseRequest request, control::Clock::time_point asked,
                   const std::shared_ptr<Gather<DrainReport>>& gather) {
        const auto now = control::Clock::now();
        request.move(now - asked);
        shared_.gate.close(request.attempt, request.deadline);
        for_each_worker([request, now, gather](Worker& worker) { worker.gate_closed(request, now, gather); });
    }

    /// Their numbers say nothing to whoever waits.
    std::shared_ptr<Gather<std::size_t>> gathering_nothing(Callback<> done) {
        return std::make_shared<Gather<std::size_t>>(
            workers_.size(), [this, done = std::move(done)](auto) { boost::asio::post(control_, done); });
    }

    /// On the first worker's thread.
    void hand_out(int socket, int family) {
        shared_.clients.fetch_add(1, std::memory_order_relaxed);
        auto least = std::min_element(workers_.begin(), workers_.end(),
                                      [](const auto& a, const auto& b) { return a->load() < b->load(); });
        (*least)->adopt(socket, family);
    }

    /// Sessions are ended at their safe points, in rounds, and at the deadline wherever they are.
    void end_some_sessions() {
        const bool now = control::Clock::now() >= shut_down_deadline_;
        auto gather = std::make_shared<Gather<std::size_t>>(workers_.size(), [this](std::vector<std::size_t> left) {
            const std::size_t sum = std::accumulate(left.begin(), left.end(), std::size_t{0});
            boost::asio::post(control_, [this, sum] { ended_some_sessions(sum); });
        });
        for_each_worker([now, gather](Worker& worker) { worker.end_sessions(now, gather); });
    }

    void ended_some_sessions(std::size_t left) {
        if (left == 0) return shut_down_done_();
        drain_timer_.expires_after(std::chrono::milliseconds(5));
        drain_timer_.async_wait([this](boost::system::error_code error) {
            if (!error) end_some_sessions();
        });
    }

    void stop_workers() {
        // Listeners live on the first worker's thread, whose sockets must not be touched from here while it runs.
        if (!workers_.empty()) {
            workers_.front()->post([listeners = std::move(listeners_)] {
                for (auto& listener : listeners) listener->stop();
            });
        }
        for (auto& worker : workers_) worker->stop();
    }

    boost::asio::any_io_executor control_;
    Shared shared_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::shared_ptr<Listener>> listeners_;
    boost::asio::steady_timer drain_timer_, lull_timer_;
    std::shared_ptr<Lull> lull_;  ///< the last one
    control::Clock::time_point shut_down_deadline_{};
    Callback<> shut_down_done_;
};

}  // namespace

void check_files(const control::DataPlaneSettings& settings) { (void)Runtime::make(settings); }

std::unique_ptr<control::DataPlane> make_data_plane(boost::asio::any_io_executor control,
                                                    control::RoleDirectory& directory) {
    return std::make_unique<Proxy>(std::move(control), directory);
}

}  // namespace turnout::proxy
