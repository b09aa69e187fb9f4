// Blows: each step of an operator is its last one, once before it is carried out, once after, and a verb's once
// between.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <mutex>
#include <ostream>
#include <string>
#include <vector>

#include "tests/apiserver/crossing.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {

/// The operator of a stage, killed (SIGKILL) at every step that it takes for the first time, and started again.
class Blows {
  public:
    /// Before the operator is started; the new operators go by this.
    explicit Blows(Stage& stage);
    ~Blows();

    void start_operator();
    /// As Stage::until_phase(); whenever an operator was killed the next one is started.
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
    /// True if one had been killed.
    bool start_again();

    Stage& stage_;
    std::filesystem::path kubeconfig_;
    mutable std::mutex mutex_;
    std::vector<Step> steps_;
    pid_t operator_ = 0;  ///< 0: it was killed
    Crossing crossing_;
};

}  // namespace turnout::apiserver
