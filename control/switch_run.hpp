// One switch while it runs: the machine's events and commands, the coroutines that carry them out, its alarm.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "control/switch_driver.hpp"
#include "control/switch_machine.hpp"
#include "control/switch_servers.hpp"

namespace turnout::control {

/// Everything on the executor of one thread. Made and destroyed by Switcher::run().
class SwitchRun {
  public:
    SwitchRun(const Cluster& cluster, DataPlane& data_plane, StateFile& state, asio::thread_pool& disk,
              DoubtfulBackends& doubtful, SwitchOptions options, SwitchRequest request, SwitchProgress progress,
              const StepWatch& watch, asio::any_io_executor executor);

    /// To the end; see Switcher::run().
    asio::awaitable<SwitchReport> run();
    void feed(SwitchEvent event);
    const SwitchMachine& machine() const { return machine_; }

  private:
    using Reply = asio::awaitable<SwitchReply>;

    void carry_out(SwitchCommand command);
    void answer(Ticket ticket, SwitchReply reply);
    /// A callback of the data plane's that answers the ticket, unless this run is over by then.
    template <class Result, class Make>
    std::function<void(Result)> answers(Ticket ticket, Make make);
    void start(Ticket ticket, Reply work);
    void finished(Ticket ticket, std::exception_ptr failure, SwitchReply reply);
    void set_alarm();
    asio::awaitable<void> end_older(Ticket ticket);

    // Steps that answer at once, or by a callback.
    void perform(Ticket ticket, const step::ArmSessions&);
    void perform(Ticket ticket, const step::Claim& it);
    void perform(Ticket ticket, const step::ClaimAlive& it);
    void perform(Ticket ticket, const step::OpenGate& it);
    void perform(Ticket ticket, const step::FinishMoves&);
    void perform(Ticket ticket, const step::GiveUpGate& it);
    void perform(Ticket ticket, const step::Disarm&);
    // All others are coroutines.
    template <class Step>
    void perform(Ticket ticket, const Step& it) {
        start(ticket, work(ticket, it));
    }
    Reply work(Ticket, step::Recheck it);
    Reply work(Ticket, step::ParkReverse);
    Reply work(Ticket, step::RaiseFence);
    Reply work(Ticket, step::OutwaitTransactions it);
    Reply work(Ticket, step::LookForBypassing it);
    Reply work(Ticket, step::WarmUp);
    Reply work(Ticket, step::LookAtMoment);
    Reply work(Ticket, step::NoteAttempt it);
    Reply work(Ticket, step::WriteIntent it);
    Reply work(Ticket, step::Register it);
    Reply work(Ticket, step::CloseGate it);
    Reply work(Ticket, step::ReadFacts);
    Reply work(Ticket, step::CatchUp it);
    Reply work(Ticket, step::CarrySequences it);
    Reply work(Ticket, step::DisableForward);
    Reply work(Ticket, step::Activate it);
    Reply work(Ticket, step::ClearUp it);
    Reply work(Ticket, step::NoteServed it);
    Reply work(Ticket, step::Settle it);
    Reply work(Ticket, step::Quiesce);
    Reply work(Ticket, step::EnableForward);
    Reply work(Ticket, step::WithdrawIntent it);

    asio::awaitable<void> warm_sessions();
    asio::awaitable<void> store(ServedState state);
    void require_charge() const;

    const Cluster& cluster_;
    DataPlane& data_plane_;
    StateFile& state_;
    asio::thread_pool& disk_;
    DoubtfulBackends& doubtful_;
    SwitchOptions options_;
    SwitchProgress progress_;
    const StepWatch& watch_;
    std::map<Ticket, SwitchStep> watched_;  ///< asked and not answered; empty without a watch
    asio::any_io_executor executor_;
    SwitchMachine machine_;
    SwitchServers servers_;
    SwitchPhase told_ = SwitchPhase::idle;

    std::deque<SwitchEvent> events_;
    bool feeding_ = false;
    std::map<Ticket, std::unique_ptr<asio::cancellation_signal>> working_;
    asio::steady_timer alarm_;
    bool alarm_set_ = false;
    asio::steady_timer changed_;  ///< cancelled when somebody finishes
    std::shared_ptr<bool> here_;  ///< false: callbacks come too late
};

}  // namespace turnout::control
