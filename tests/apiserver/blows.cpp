#include "tests/apiserver/blows.hpp"

#include <signal.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
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

const char* word(const std::vector<Moment>& killed, Moment moment) {
    return std::find(killed.begin(), killed.end(), moment) == killed.end() ? "" : "killed";
}

}  // namespace

Blows::Blows(Stage& stage)
    : stage_(stage),
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
    {
        const std::lock_guard lock(mutex_);
        if (operator_ != 0) return false;
    }
    stage_.kill_operator();  // waits for its end
    start_operator();
    return true;
}

bool Blows::passes(const std::string& name, Moment moment) {
    const std::lock_guard lock(mutex_);
    if (operator_ == 0) return false;
    const bool verb = name.starts_with("turnout ");
    auto step = std::find_if(steps_.begin(), steps_.end(), [&name](const Step& known) { return known.name == name; });
    if (step == steps_.end()) step = steps_.insert(steps_.end(), Step{name, {}});
    static constexpr Moment kOfVerbs[] = {Moment::before, Moment::during, Moment::after};
    static constexpr Moment kOfRequests[] = {Moment::before, Moment::after};
    const std::size_t done = step->killed.size();
    if (done >= (verb ? std::size(kOfVerbs) : std::size(kOfRequests))) return true;
    if (moment != (verb ? kOfVerbs[done] : kOfRequests[done])) return true;
    step->killed.push_back(moment);
    ::kill(operator_, SIGKILL);
    operator_ = 0;
    return false;
}

bool Blows::until(const std::function<bool()>& holds, const std::string& what) {
    return stage_.until([&] { return !start_again() && holds(); }, what);
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
