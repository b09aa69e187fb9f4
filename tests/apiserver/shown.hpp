// What a run of these tests shows to people, as files of Markdown beside the tests: `shown/`.
#pragma once

#include <string>
#include <vector>

#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {

/// Writes that file of the folder that $TURNOUT_SHOWN names (`./dev kubernetes` does, where every test is run); else
/// nothing.
void show(const std::string& file, const std::string& text);

/// A session with kubectl, as people would see it: what was typed, and what it said.
class Transcript {
  public:
    /// `title` is the first line of the file.
    Transcript(const Stage& stage, std::string file, const std::string& title);
    /// Writes it, unless the test has failed.
    ~Transcript();
    Transcript(const Transcript&) = delete;
    Transcript& operator=(const Transcript&) = delete;

    /// A heading and a sentence.
    void step(const std::string& heading, const std::string& sentence);
    /// Runs it, which must succeed.
    void kubectl(const std::vector<std::string>& arguments);
    /// The object as `kubectl get pgu` shows it, and its conditions.
    void look();

  private:
    const Stage& stage_;
    std::string file_;
    std::string text_;
};

}  // namespace turnout::apiserver
