// Blows: at each step of an operator it is killed, or the API server is, or both.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/apiserver/crossing.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {

enum class Victim {
    operator_alone,  ///< before and after each step, and while a verb runs
    api_server,      ///< when a step was carried out and the operator has not heard of it; while a verb runs. Steps
                     ///< are status, finalizer, workloads, the Service of the clients, verbs
    both,            ///< then, too
};

/// Whoever is the victim, killed (SIGKILL) at every step that the operator takes for the first time, and started again.
class Blows {
  public:
    /// Before the operator is started; the new operators go by this.
    explicit Blows(Stage& stage, Victim victim = Victim::operator_alone);
    ~Blows();

    void start_operator();
    /// As Stage::until_phase(); whatever was killed is started again, and so is an operator whose lease ran out.
    /// Afterwards no blow is due before the operator takes another step.
    bool until_phase(const std::string& phase);
    bool until(const std::function<bool()>& holds, const std::string& what);

    std::size_t count() const;
    /// A line for each step, in the order in which they were met, as Markdown.
    void print(std::ostream& out) const;

  private:
    struct Step {
        std::string name;
        std::vector<Moment> killed;
    };
    bool passes(const std::string& step, Moment moment);
    /// The moment at which this step is struck next; nothing: it was, at each.
    std::optional<Moment> next_blow(const Step& step) const;
    void strike();
    /// True if one had been killed.
    bool start_again();
    bool at_rest() const;

    Stage& stage_;
    const Victim victim_;
    std::filesystem::path kubeconfig_;
    mutable std::mutex mutex_;
    std::vector<Step> steps_;
    pid_t operator_ = 0;
    bool struck_ = false;  ///< the victim does not run
    Crossing crossing_;
};

}  // namespace turnout::apiserver
