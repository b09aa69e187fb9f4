#include "tests/apiserver/blows.hpp"

#include <signal.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>

namespace turnout::apiserver {

namespace json = boost::json;

namespace {

std::string text_of(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(stream), {}};
    return text;
}

json::object kubeconfig(std::uint16_t port, const std::string& token) {
    const auto named = [](const char* kind, json::object what) {
        return json::array{json::object{{"name", "it"}, {kind, std::move(what)}}};
    };
    return {{"current-context", "it"},
            {"contexts", named("context", {{"cluster", "it"}, {"user", "it"}, {"namespace", "default"}})},
            {"clusters", named("cluster", {{"server", "http://127.0.0.1:" + std::to_string(port)}})},
            {"users", named("user", {{"token", token}})}};
}

/// An API server takes seconds to start: what is made and removed beside a workload is passed over.
bool beside_workloads(const std::string& step) {
    if (!step.starts_with("apply ") && !step.starts_with("remove ")) return false;
    return step.find(" statefulsets/") == std::string::npos && step.find(" deployments/") == std::string::npos;
}

const char* word(const std::vector<Moment>& killed, Moment moment) {
    return std::find(killed.begin(), killed.end(), moment) == killed.end() ? "" : "killed";
}

}  // namespace

Blows::Blows(Stage& stage, Victim victim)
    : stage_(stage),
      victim_(victim),
      kubeconfig_(stage.plane.directory() / "kubeconfig"),
      crossing_(stage.plane.port(), [this](const std::string& step, Moment moment) { return passes(step, moment); }) {
    std::ofstream(kubeconfig_) << kubeconfig(crossing_.port(), text_of(stage.plane.service_account() / "token"));
    stage.kubelet->network().tell_verbs(
        "app-turnout", [this](const std::string& step, Moment moment) { return passes(step, moment); });
}

Blows::~Blows() { stage_.kubelet->network().tell_verbs("app-turnout", {}); }

void Blows::start_operator() {
    stage_.start_operator(Stage::kOperator, kubeconfig_);
    const std::lock_guard lock(mutex_);
    operator_ = stage_.operator_pid();
}

bool Blows::start_again() {
    bool struck = false;
    {
        const std::lock_guard lock(mutex_);
        struck = struck_;
    }
    if (struck && victim_ != Victim::operator_alone) stage_.plane.start_api();
    if (struck && victim_ != Victim::api_server) stage_.kill_operator();  // waits for its end
    // As a kubelet would: also where its lease ran out while the server was away.
    const bool gone = !stage_.operator_runs();
    if (gone) start_operator();
    const std::lock_guard lock(mutex_);
    if (struck) struck_ = false;
    return struck || gone;
}

std::optional<Moment> Blows::next_blow(const Step& step) const {
    const std::size_t done = step.killed.size();
    const bool verb = step.name.starts_with("turnout ");
    std::vector<Moment> moments{verb ? Moment::during : Moment::after};
    if (victim_ == Victim::operator_alone) {
        moments = {Moment::before, Moment::after};
        if (verb) moments = {Moment::before, Moment::during, Moment::after};
    }
    return done < moments.size() ? std::optional(moments[done]) : std::nullopt;
}

bool Blows::passes(const std::string& name, Moment moment) {
    const std::lock_guard lock(mutex_);
    if (struck_) return victim_ == Victim::api_server;  // a verb goes on
    if (victim_ != Victim::operator_alone && beside_workloads(name)) return true;
    auto step = std::find_if(steps_.begin(), steps_.end(), [&name](const Step& known) { return known.name == name; });
    if (step == steps_.end()) step = steps_.insert(steps_.end(), Step{name, {}});
    if (next_blow(*step) != moment) return true;
    step->killed.push_back(moment);
    strike();
    return victim_ == Victim::api_server && moment == Moment::during;
}

void Blows::strike() {
    struck_ = true;
    if (victim_ != Victim::api_server) ::kill(operator_, SIGKILL);
    if (victim_ != Victim::operator_alone) stage_.plane.kill_api();
}

bool Blows::at_rest() const {
    const std::lock_guard lock(mutex_);
    const auto due = [this](const Step& step) { return step.killed.empty() && next_blow(step); };
    return !struck_ && std::none_of(steps_.begin(), steps_.end(), due);
}

bool Blows::until(const std::function<bool()>& holds, const std::string& what) {
    // An API server takes its time to start, dozens of times.
    return stage_.until([&] { return !start_again() && holds() && at_rest(); }, what, std::chrono::minutes(20));
}

bool Blows::until_phase(const std::string& phase) {
    return until([&] { return stage_.look("{.status.phase}") == phase; }, "the phase is " + phase);
}

std::size_t Blows::count() const {
    const std::lock_guard lock(mutex_);
    std::size_t all = 0;
    for (const Step& step : steps_) all += step.killed.size();
    return all;
}

void Blows::print(std::ostream& out) const {
    const std::lock_guard lock(mutex_);
    out << "| step | before it | while it ran | after it, unheard of |\n|---|---|---|---|\n";
    for (const Step& step : steps_)
        out << "| " << step.name << " | " << word(step.killed, Moment::before) << " | "
            << word(step.killed, Moment::during) << " | " << word(step.killed, Moment::after) << " |\n";
}

}  // namespace turnout::apiserver
