// Start, and settling, on model servers.
#include <fmt/format.h>

#include <algorithm>

#include "control/settle.hpp"
#include "tests/simulation/proxy.hpp"

namespace turnout::simulation {

using namespace std::chrono_literals;
namespace decision = control::decision;
namespace reply = control::reply;
namespace settling = control::settling;
using control::SwitchReply;

// --------------------------------------------------------------------------------------------------------------- start

void Proxy::start() {
    after(latency(), [this] { recover(); });
}

/// Takes the locks that it can get, reads the journals that it can read, and decides.
void Proxy::recover() {
    control::JournalViews views;
    for (Server& server : ground_.servers) {
        if (!server.answers()) continue;
        server.end_control_before(number_);
        views[index(server.side())] = server.view();
    }
    act_on(control::decide(views, ground_.state_file));
}

void Proxy::act_on(const control::Decision& decision) {
    const auto again = [this](Duration pause) { after(pause, [this] { recover(); }); };
    if (const auto* nobody = std::get_if<decision::Nobody>(&decision)) {
        if (nobody->needs_person) world_.violate("a person is needed: " + nobody->reason);
        return again(50ms);
    }
    if (std::holds_alternative<decision::Bootstrap>(decision)) return world_.violate("the journals are gone");
    if (const auto* question = std::get_if<decision::Ask>(&decision)) {
        const auto effect = [generation = question->generation](Server& server) -> std::optional<SwitchReply> {
            if (!server.can_decide()) return std::nullopt;
            server.void_or_obey(generation);
            return reply::Done{};
        };
        const auto asked = std::make_shared<bool>(false);
        send(question->side, effect, [again, asked](SwitchReply) {
            if (!std::exchange(*asked, true)) again(0us);
        });
        return after(500ms, [again, asked] {
            if (!std::exchange(*asked, true)) again(0us);
        });
    }
    const auto& served = std::get<decision::Serve>(decision);
    if (served.generation > ground_.state_file.served) ++ground_.recovered_forward;
    ground_.state_file = {served.generation, std::nullopt};
    world_.tell(fmt::format("process {}: serves {} {}", number_, name(served.side), served.generation));
    Server& standby = ground_.server(other(served.side));
    if (standby.answers()) standby.end_clients_before(number_);
    serve(served.side, served.generation);
    settle_in_background();
}

// ------------------------------------------------------------------------------------------------------------ settling

void Proxy::settle_in_background() {
    settle(side(), generation_, world_.now() + 1s, epoch_, [this, epoch = epoch_](std::vector<std::string> left) {
        if (epoch != epoch_ || machine_ != nullptr) return;
        settled_ = left.empty();
        if (!settled_) after(50ms, [this] { settle_in_background(); });
    });
}

control::PairState Proxy::look_at_pair(Side active) {
    Server& at = ground_.server(active);
    Server& standby = ground_.server(other(active));
    const control::JournalView view = at.view();
    const control::JournalView standby_view = standby.view();
    control::PairState state;
    state.active = active;
    state.generation = view.active()->id.generation;
    state.noted = view.active()->noted;
    state.active_fenced = at.fenced;
    state.intent = view.intent.has_value();
    state.standby_was_active = standby_view.active() != nullptr;
    state.standby_retired =
        standby_view.retired() != nullptr && standby_view.retired()->id.generation >= state.generation;
    const auto stream = [](const Server& subscriber) {
        control::StreamState it;
        it.stream.enabled = it.slot_active = subscriber.subscription.enabled;
        it.stream.narrowed = subscriber.subscription.narrowed;
        it.progress = control::Lsn(subscriber.subscription.progress);
        return it;
    };
    control::DatabaseState database;
    database.database = "app";
    database.away = stream(standby);
    database.back = stream(at);
    database.fenced_on_standby = standby.fenced;
    state.databases.push_back(database);
    return state;
}

/// One step at a time, each from a new look, until nothing is left, time is up, or control's connections were ended.
void Proxy::settle(Side active, std::int64_t generation, Clock::time_point deadline, int epoch,
                   std::function<void(std::vector<std::string>)> done) {
    if (epoch != epoch_) return done({"its connections were ended"});
    const auto again = [this, active, generation, deadline, epoch, done](Duration pause) {
        after(pause,
              [this, active, generation, deadline, epoch, done] { settle(active, generation, deadline, epoch, done); });
    };
    Server& at = ground_.server(active);
    const bool both = at.answers() && ground_.server(other(active)).answers();
    if (world_.now() >= deadline) return done({"time was up"});
    if (at.answers()) {
        const control::JournalView view = at.view();
        if (view.active()->id.generation != generation || view.is_retired()) return done({"not active any more"});
        if (!both) at.fenced = false;
    }
    if (!both) return again(20ms);
    const control::PairState state = look_at_pair(active);
    if (state.generation != generation) return done({"another generation"});
    const auto plan = control::settle_plan(state);
    if (plan.empty()) return done({});
    const auto answered = std::make_shared<bool>(false);
    world_.tell(fmt::format("process {}: {}", number_, control::text(plan.front(), state)));
    settle_step(state, plan.front(), [again, answered](SwitchReply) {
        if (!std::exchange(*answered, true)) again(0us);
    });
    // A driver gives a silent server up after a while, and ends that backend before it goes on.
    after(300ms, [this, again, answered, epoch] {
        if (epoch != epoch_ || std::exchange(*answered, true)) return;
        for (Server& server : ground_.servers) server.end_control(number_, epoch);
        again(0us);
    });
}

void Proxy::settle_step(const control::PairState& state, const control::SettleStep& step, Answer done) {
    const Side active = state.active;
    const Side standby = other(active);
    Side where = standby;
    std::function<void(Server&)> change = [](Server&) {};
    if (std::holds_alternative<settling::LiftFence>(step)) {
        where = active;
        change = [](Server& server) { server.fenced = false; };
    } else if (std::holds_alternative<settling::WithdrawIntent>(step)) {
        where = active;
        change = [](Server& server) { server.journal().intent.reset(); };
    } else if (std::holds_alternative<settling::Retire>(step)) {
        change = [generation = state.generation](Server& server) { server.retire(generation); };
    } else if (std::holds_alternative<settling::RaiseFence>(step)) {
        change = [](Server& server) { server.fenced = true; };
    } else if (const auto* off = std::get_if<settling::Disable>(&step)) {
        where = off->back ? active : standby;
        change = [](Server& server) { server.subscription.enabled = false; };
    } else if (std::holds_alternative<settling::ReadStraysAndNarrow>(step)) {
        where = active;
        const std::size_t strays =
            ground_.server(standby).local_writes_after(ground_.server(active).subscription.progress);
        if (strays > 0) world_.violate(fmt::format("{} writes on the side that was retired", strays));
        change = [](Server& server) { server.subscription.narrowed = true; };
    } else if (std::holds_alternative<settling::AdvanceOrigin>(step)) {
        change = [noted = state.noted.value()](Server& server) {
            if (!server.subscription.enabled && server.subscription.progress < noted) server.advance_origin(noted);
        };
    } else if (std::holds_alternative<settling::Widen>(step)) {
        change = [](Server& server) { server.subscription.narrowed = false; };
    } else if (const auto* on = std::get_if<settling::Enable>(&step)) {
        where = on->back ? active : standby;
        change = [](Server& server) { server.subscription.enabled = true; };
    }
    send(
        where,
        [change](Server& server) -> std::optional<SwitchReply> {
            change(server);
            return reply::Done{};
        },
        std::move(done));
}

}  // namespace turnout::simulation
