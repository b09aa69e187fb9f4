// `turnout operator`: watches the PgUpgrades of a namespace and carries each through its life. What is decided is
// reconciler.hpp's; this looks and acts.
//
// One thread. One object is looked at by one coroutine at a time; its verb, which may take hours, runs beside that and
// has the object looked at again when it is over.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "control/kubernetes/api_client.hpp"
#include "control/kubernetes/election.hpp"
#include "control/kubernetes/reconciler.hpp"
#include "control/kubernetes/watcher.hpp"
#include "control/kubernetes/work_queue.hpp"

namespace turnout::kubernetes {

inline constexpr const char* kFinalizer = "turnout.internal/finalizer";
inline constexpr const char* kLease = "turnout-operator";

class Operator {
  public:
    /// `identity` tells operators apart: the pod's name.
    Operator(boost::asio::any_io_executor executor, Access access, std::string identity);
    ~Operator();
    Operator(const Operator&) = delete;
    Operator& operator=(const Operator&) = delete;

    /// Waits until it leads, then works until it is cancelled (terminal) or has lost the lease: true then. Verbs under
    /// way are cancelled and given a moment to be undone.
    boost::asio::awaitable<bool> run();

  private:
    /// A verb that runs for one object.
    struct Job {
        Verb verb = Verb::check;
        boost::asio::cancellation_signal cancel;
    };
    /// What is remembered of an object; nothing of it is needed after a crash.
    struct Memory {
        std::optional<OldServer> old_server;
        std::optional<VerbResult> last;
        std::shared_ptr<Job> job;
        std::optional<std::chrono::steady_clock::time_point> told;  ///< when the status was last written
        Owner owner;                                                ///< without a name: it was never read
        std::string forbidden;  ///< the refusal that was last told; empty: the last look was carried out
    };
    /// One look at one object.
    struct Look {
        Owner owner;
        std::string version;  ///< resourceVersion
        boost::json::object object;
        Spec spec;
        std::optional<Credentials> credentials;
        Observed seen;
    };

    // ---- operator.cpp
    boost::asio::awaitable<void> lead();
    boost::asio::awaitable<void> elect();
    boost::asio::awaitable<void> try_to_lead();
    boost::asio::awaitable<void> work();
    boost::asio::awaitable<void> look_at(std::string name);
    boost::asio::awaitable<void> look_and_act(std::string name);
    bool may_wait(const Look& look, const Status& status);
    boost::asio::awaitable<void> end_verbs();
    boost::asio::awaitable<void> give_up_lease();
    void wake() { woken_.cancel(); }

    // ---- operator_look.cpp
    boost::asio::awaitable<Look> look(std::string name);
    boost::asio::awaitable<void> look_at_secrets(Look& look);
    boost::asio::awaitable<Workload> workload(Resource resource, std::string name, std::string selector);
    boost::asio::awaitable<Traffic> traffic(const Look& look);
    boost::asio::awaitable<void> look_at_turnout(Look& look);

    // ---- operator_act.cpp
    boost::asio::awaitable<void> write_status(const Look& look, const Status& status);
    boost::asio::awaitable<void> tell(Owner owner, Note note);
    boost::asio::awaitable<void> tell_forbidden(std::string name, std::string refusal);
    boost::asio::awaitable<void> act(const Look& look, Action action);
    boost::asio::awaitable<void> set_finalizer(const Look& look, bool there);
    boost::asio::awaitable<void> apply(Child child);
    boost::asio::awaitable<void> apply_server(const Look& look);
    boost::asio::awaitable<void> apply_proxy(const Look& look);
    boost::asio::awaitable<void> keep_old_service(const Look& look);
    boost::asio::awaitable<void> move_traffic(const Look& look, Traffic to);
    boost::asio::awaitable<void> remove_proxy(const Look& look);
    boost::asio::awaitable<void> remove_server(const Look& look, bool volume);
    boost::asio::awaitable<void> ask_old_server_of(const Look& look);
    void begin_verb(const Look& look, Verb verb, std::string command);
    boost::asio::awaitable<void> carry_verb(std::string name, std::shared_ptr<Job> job, Credentials credentials,
                                            std::string host, std::string command);
    void require_lead() const;

    boost::asio::any_io_executor executor_;
    ApiClient client_;
    Election election_;
    Watcher upgrades_;
    Watcher servers_;
    Watcher proxies_;
    WorkQueue queue_;
    std::map<std::string, Memory> memory_;
    boost::asio::steady_timer woken_;
    int looks_ = 0;  ///< under way
};

}  // namespace turnout::kubernetes
