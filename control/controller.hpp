// Control as a whole: the sides, the journal's truth, the data plane and the verbs, on one thread.
//
// Life: start() binds the listeners (clients get 57P03), then takes the locks, finds out who is active, and serves; as
// long as that cannot be known it asks again. While serving, a background round brings both sides into their steady
// state whenever something is left to do. Verbs that change something exclude each other and the background.
//
// All of it lives on one executor of one thread, and must be destroyed only when that has stopped running it.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/answer.hpp"
#include "control/auth_file.hpp"
#include "control/command.hpp"
#include "control/config.hpp"
#include "control/data_plane.hpp"
#include "control/hook.hpp"
#include "control/live_feed.hpp"
#include "control/metrics.hpp"
#include "control/preflight.hpp"
#include "control/recent_counters.hpp"
#include "control/recovery.hpp"
#include "control/recovery_state.hpp"
#include "control/replication.hpp"
#include "control/report_store.hpp"
#include "control/role_reader.hpp"
#include "control/show_pgbouncer.hpp"
#include "control/side.hpp"
#include "control/single_flight.hpp"
#include "control/switch_driver.hpp"
#include "control/switch_record.hpp"
#include "control/switch_watch.hpp"

namespace turnout::control {

using MakeDataPlane =
    std::function<std::unique_ptr<DataPlane>(boost::asio::any_io_executor control, RoleDirectory& directory)>;

struct ControllerSettings {
    Config config;
    std::string version;
    bool take_over = false;    ///< end another turnout that still holds the locks
    LiveFeed* feed = nullptr;  ///< of the status page; must outlive the controller
    StepWatch step_watch{};    ///< for tests
};

/// How a switch is watched.
struct WatchSettings {
    Milliseconds time{0};  ///< 0: not at all
    WatchLimits limits;
};

class Controller {
  public:
    /// `metrics` must outlive it. Throws AuthFileError, ConninfoError, std::runtime_error.
    Controller(boost::asio::any_io_executor executor, ControllerSettings settings, Metrics& metrics,
               const MakeDataPlane& make_data_plane);
    ~Controller();
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;

    /// Before start(): where clients of the proxy go that ask for the console.
    void open_console(ConsoleDoor door) { data_plane_->open_console(std::move(door)); }

    /// Begins the life that the file's head describes. Throws std::runtime_error that names the address which cannot be
    /// listened on. `ended` is called once, on the executor, when stop() is done or serving had to end by itself.
    void start(std::function<void(ExitStatus)> ended);

    /// Carries a command out. Cancelled (terminal), it undoes what it began and answers nevertheless. Never throws.
    boost::asio::awaitable<Answer> execute(Command command, Progress progress);

    enum class Stop {
        gracefully,  ///< sessions end at their safe points, at the latest after [proxy] shutdown_timeout
        at_once,
    };
    /// Cancels a running verb and waits until it is undone, then ends the sessions. A second call, at_once, hastens it.
    void stop(Stop how);

    /// What the configuration says now.
    const Config& config() const { return config_; }

  private:
    struct Running {
        Verb verb = Verb::check;
        Clock::time_point since;
    };
    class Exclusive;

    // ---- controller.cpp: dispatch
    boost::asio::awaitable<Answer> dispatch(const Command& command, const Progress& progress);
    boost::asio::awaitable<Answer> exclusively(const Command& command, const Progress& progress);
    boost::asio::awaitable<Answer> carry_out(const Command& command, const Progress& progress);
    boost::asio::awaitable<Answer> between_hooks(const Command& command, const Progress& progress);
    Answer failure(const Command& command) const;
    Answer cancelled(const Command& command) const;
    Answer nobody_is_served() const;
    std::optional<Answer> refuse_beside_running(Verb verb) const;

    // ---- controller_proxy.cpp: verbs that concern the proxy alone
    boost::asio::awaitable<Answer> concerning_the_proxy(const Command& command);
    boost::asio::awaitable<Answer> pause();
    Answer resume();
    Answer reload();
    Answer set(const Command& command);
    Answer disable(const std::string& database, bool disabled);
    boost::asio::awaitable<Answer> kill_client(const std::string& id);
    boost::asio::awaitable<Answer> wait_for_clients();
    boost::asio::awaitable<Answer> shut_down(const Command& command);
    std::optional<Answer> wrong_database(const Command& command) const;
    std::optional<std::string> take_configuration(const Config& fresh);

    // ---- controller_dry_run.cpp
    boost::asio::awaitable<Answer> dry_run(const Command& command);

    // ---- controller_hooks.cpp
    boost::asio::awaitable<std::optional<Answer>> held_back(const Command& command, Side from);
    void tell_hook_of_phase(const Command& command, Side from, std::string_view phase,
                            const std::vector<TimedPhase>& window);
    void tell_hook_of_end(const Command& command, const Answer& answer);

    // ---- controller_record.cpp
    void begin_record(const Command& command, Side active, const PreflightReport& preflight, const Progress& progress);
    void mark_record(std::string phase);
    void keep_record(const Command& command, const SwitchReport& report);
    boost::asio::awaitable<void> sample_positions(std::shared_ptr<SwitchRecord> record);
    boost::asio::awaitable<void> sample_switch(std::shared_ptr<SwitchRecord> record);
    boost::asio::awaitable<void> tell_how_things_are(std::shared_ptr<bool> over, Progress progress);
    boost::asio::awaitable<void> tell_what_is_waited_for(std::shared_ptr<SwitchRecord> record, Progress progress);

    // ---- controller_watch.cpp
    WatchSettings watch_settings(const Command& command) const;
    boost::asio::awaitable<Answer> watched(const Command& command, const Progress& progress);
    boost::asio::awaitable<Answer> watch_switch(Command command, Milliseconds time, SwitchWatch watch, Answer answer,
                                                const Progress& progress);
    std::string no_longer_watched(std::int64_t generation) const;
    boost::asio::awaitable<Answer> go_back(Command command, std::string why, boost::json::object watched,
                                           const Progress& progress);

    // ---- controller_live.cpp: what the status page is told
    boost::asio::awaitable<void> tell_the_page();
    boost::asio::awaitable<boost::json::object> side_now(Side side);

    // ---- controller_verbs.cpp
    boost::asio::awaitable<Answer> check();
    boost::asio::awaitable<Answer> sync(const Command& command, const Progress& progress);
    boost::asio::awaitable<Answer> verify(const Command& command, const Progress& progress);
    boost::asio::awaitable<std::optional<Answer>> verified_first(const Command& command, const Progress& progress);
    boost::asio::awaitable<Answer> switch_over(const Command& command, const Progress& progress);
    boost::asio::awaitable<Answer> finish();
    boost::asio::awaitable<Answer> abort();
    boost::asio::awaitable<Answer> force_active(Side side, const Progress& progress);
    boost::asio::awaitable<PreflightInput> preflight_input(PreflightStage stage);
    std::optional<Answer> wrong_direction(Verb verb, const decision::Serve& served, bool no_way_back = false) const;
    SwitchOptions switch_options(const Command& command, Side from) const;
    void take_over(const decision::Serve& before, const SwitchReport& report);
    void observe(const SwitchReport& report);
    boost::asio::awaitable<void> read_again_who_is_served(Side active);

    // ---- controller_life.cpp
    boost::asio::awaitable<void> live();
    boost::asio::awaitable<void> background_round();
    boost::asio::awaitable<void> find_out_who_is_active();
    boost::asio::awaitable<void> settle_down(decision::Serve served);
    boost::asio::awaitable<void> look_at_streams(decision::Serve served);
    boost::asio::awaitable<void> watch_for_gaps(decision::Serve served);
    boost::asio::awaitable<void> refresh();
    boost::asio::awaitable<void> refresh_lag();
    boost::asio::awaitable<void> quiet_background();
    boost::asio::awaitable<void> end_life();
    boost::asio::awaitable<void> sleep(Milliseconds duration);
    SingleFlight::Listener lock_listener();
    void serve(const decision::Serve& serve);
    void serve_nobody(const decision::Nobody& nobody);
    void forget_streams();
    void end(ExitStatus status);

    // ---- controller_show.cpp
    boost::asio::awaitable<Answer> show(const Command& command);
    boost::asio::awaitable<Answer> show_status_now();
    boost::asio::awaitable<Answer> show_sides_now();
    boost::asio::awaitable<Row> side_row(Side side);
    boost::asio::awaitable<Answer> show_lag_now();
    Answer show_switch() const;
    boost::asio::awaitable<Answer> show_replication_now();
    boost::asio::awaitable<ProxyFacts> proxy_facts();
    double transactions_per_second() const;
    boost::asio::awaitable<std::vector<SessionView>> sessions();
    LifePhase phase() const;

    boost::asio::any_io_executor executor_;
    Config config_;
    std::string version_;
    bool take_over_;
    Metrics& metrics_;

    Cluster cluster_;
    RoleReader roles_;
    AuthFileDirectory directory_;
    std::unique_ptr<DataPlane> data_plane_;
    StateFile state_;
    SingleFlight single_flight_;
    std::unique_ptr<Switcher> switcher_;

    std::optional<decision::Serve> served_;
    decision::Nobody nobody_;  ///< why nobody is served, while served_ is empty
    std::optional<Running> running_;
    boost::asio::cancellation_signal cancel_running_;
    std::optional<SwitchReport> last_switch_;
    std::string switch_progress_;  ///< its latest line
    bool paused_ = false;
    std::set<std::string> disabled_;  ///< databases
    RecentCounters recent_;
    ReportStore reports_;
    HookTeller hook_teller_;
    std::optional<Side> hook_owed_;  ///< the verb that runs has told its hook before it, with this side as active
    std::shared_ptr<SwitchRecord> record_;  ///< of the switch that runs
    LiveFeed* feed_;
    std::array<PgConnection::Ptr, 2> page_connections_;  ///< by index(Side)
    std::array<boost::json::object, 2> page_sides_;      ///< as last looked at
    std::string progress_;                               ///< the last line of the verb that runs
    std::string watching_;                               ///< how a switch that is watched goes; empty: none is

    bool background_works_ = false;
    boost::asio::cancellation_signal cancel_background_;
    boost::asio::cancellation_signal cancel_life_;
    boost::asio::cancellation_signal cancel_watch_;
    boost::asio::steady_timer news_;  ///< cancelled when a verb or the background has ended, and by wake()
    bool unsettled_ = false;          ///< settle_down() has something to do
    std::vector<std::string> left_;   ///< what it could not do yet
    Clock::time_point next_settling_;
    bool streams_ready_ = false;  ///< in both directions
    bool forward_ready_ = false;  ///< the standby follows
    bool streams_known_ = false;
    Clock::time_point next_beat_;
    PgConnection::Ptr lag_connection_;
    std::vector<StreamLag> lag_;

    bool stopping_ = false;
    Clock::time_point stop_deadline_;
    bool ended_called_ = false;
    ExitStatus end_status_ = ExitStatus::done;
    std::function<void(ExitStatus)> ended_;
};

}  // namespace turnout::control
