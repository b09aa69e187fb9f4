// turnout as it is, but for one thing: at a moment of a switch that a test names, the process stops itself as by
// SIGSTOP, so that the test can kill it, or a server, exactly there. The file `halt` beside the configuration names the
// moment:
//
//     within activate
//     2 before recheck        the second time that this moment comes
//
// It is removed when the process stops. There is no such file in a program that is shipped: this one is a test's own.
#include <csignal>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <variant>

#include "program/command_line.hpp"
#include "program/serve.hpp"

namespace {

using namespace turnout;

std::string_view name(control::StepMoment moment) {
    switch (moment) {
        case control::StepMoment::before: return "before";
        case control::StepMoment::within: return "within";
        case control::StepMoment::after: return "after";
    }
    return "";
}

/// Called on control's thread only.
class Halt {
  public:
    explicit Halt(std::filesystem::path file) : file_(std::move(file)) {}

    void operator()(const control::SwitchStep& step, control::StepMoment moment) {
        std::ifstream file(file_);
        if (!file) return;
        const std::string wanted{std::istreambuf_iterator<char>(file), {}};
        const std::string here = std::string(name(moment)) + " " + std::string(control::name(step));
        if (wanted != here && wanted != "2 " + here) return;
        if (wanted != here && ++met_ < 2) return;
        met_ = 0;
        std::filesystem::remove(file_);
        ::raise(SIGSTOP);
    }

  private:
    std::filesystem::path file_;
    int met_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    try {
        const program::Request request = program::parse_command_line(argc, argv);
        if (const auto* serve = std::get_if<program::ServeRequest>(&request))
            return program::serve(*serve, Halt(std::filesystem::path(serve->config).parent_path() / "halt"));
        std::cerr << "only `serve` is here; the other verbs are turnout's" << std::endl;
    } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
    }
    return 1;
}
