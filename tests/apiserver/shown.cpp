#include "tests/apiserver/shown.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <regex>
#include <utility>

namespace turnout::apiserver {

namespace {

/// As it would be typed: what has a character that a shell takes for its own is quoted.
std::string typed(const std::string& argument) {
    return argument.find_first_of(" {}[]\"*?$&|;") == std::string::npos ? argument : "'" + argument + "'";
}

/// Folders of the test are those of the containers that it plays.
std::string of_a_cluster(const std::string& text) {
    static const std::regex kState(R"(/[^ ]*turnout-apiserver-[^/]+/pod-\d+/state)");
    return std::regex_replace(text, kState, "/var/lib/turnout");
}

constexpr const char* kConditions =
    R"(jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end})";

}  // namespace

void show(const std::string& file, const std::string& text) {
    const char* const folder = std::getenv("TURNOUT_SHOWN");
    if (folder == nullptr) return;
    std::ofstream(std::string(folder) + "/" + file, std::ios::binary) << text;
}

Transcript::Transcript(const Stage& stage, std::string file, const std::string& title)
    : stage_(stage), file_(std::move(file)), text_("# " + title + "\n") {}

Transcript::~Transcript() {
    if (!testing::Test::HasFailure()) show(file_, text_);
}

void Transcript::step(const std::string& heading, const std::string& sentence) {
    text_ += "\n## " + heading + "\n\n" + sentence + "\n\n";
    std::cout << "== " << heading << std::endl;
}

void Transcript::kubectl(const std::vector<std::string>& arguments) {
    std::string command = "kubectl";
    for (const std::string& argument : arguments) command += " " + typed(argument);
    std::vector<std::string> real = arguments;
    for (std::string& argument : real)
        if (argument.starts_with("deploy/kubernetes/")) argument = std::string(TURNOUT_SOURCE_DIR) + "/" + argument;
    const std::string said = of_a_cluster(stage_.plane.must(std::move(real)));
    text_ += "```console\n$ " + command + "\n" + said + (said.ends_with('\n') || said.empty() ? "" : "\n") + "```\n";
    std::cout << "$ " << command << "\n" << said << std::flush;
}

void Transcript::look() {
    kubectl({"get", "pgu", "app", "-o", "wide"});
    kubectl({"get", "pgu", "app", "-o", kConditions});
}

}  // namespace turnout::apiserver
