#include "program/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "control/command.hpp"
#include "control/nearest_word.hpp"
#include "program/version.hpp"

namespace turnout::program {
namespace {

using control::dashed;
using control::OptionDescription;
using control::OptionKind;
using control::VerbDescription;

std::string in_quotes(const std::string& value) {
    std::string text = "'";
    for (const char c : value) text += c == '\'' ? "''" : std::string(1, c);
    return text + "'";
}

/// What was written for one verb; lives until the command has been put together.
struct VerbArguments {
    const VerbDescription* verb = nullptr;
    CLI::App* app = nullptr;
    std::string operand;  ///< of show and force-active
    std::map<const OptionDescription*, std::string> values;
    std::map<const OptionDescription*, bool> flags;
};

std::vector<std::string> topics() {
    std::vector<std::string> words;
    for (const auto& topic : control::topic_descriptions()) words.push_back(dashed(topic.word));
    return words;
}

std::string topics_help() {
    std::string text = "what to show:";
    for (const auto& topic : control::topic_descriptions())
        text += "\n  " + dashed(topic.word) + ": " + std::string(topic.description);
    return text;
}

void add_options(VerbArguments& arguments) {
    for (const OptionDescription* option : arguments.verb->options) {
        const std::string flag = "--" + dashed(option->word);
        if (option->kind == OptionKind::flag) {
            arguments.app->add_flag(flag, arguments.flags[option], std::string(option->description));
            continue;
        }
        CLI::Option* added =
            arguments.app->add_option(flag, arguments.values[option], std::string(option->description));
        if (option->kind == OptionKind::word)
            added->check(CLI::IsMember(std::vector<std::string>(option->words.begin(), option->words.end())));
        else
            added->type_name("DURATION");
    }
    if (arguments.verb->verb == control::Verb::show)
        arguments.app->add_option("topic", arguments.operand, topics_help())
            ->required()
            ->type_name("")
            ->check(CLI::IsMember(topics()).description(""));
    if (arguments.verb->verb == control::Verb::force_active)
        arguments.app->add_option("side", arguments.operand, "the side to serve")
            ->required()
            ->check(CLI::IsMember({"blue", "green"}));
}

std::string command_text(const VerbArguments& arguments, bool json) {
    std::string text(arguments.verb->words);
    if (!arguments.operand.empty()) text += " " + arguments.operand;
    for (const OptionDescription* option : arguments.verb->options) {
        if (option->kind == OptionKind::flag) {
            if (arguments.flags.at(option)) text.append(" ").append(option->word);
        } else if (arguments.app->count("--" + dashed(option->word)) > 0) {
            text.append(" ").append(option->word).append(" ").append(in_quotes(arguments.values.at(option)));
        }
    }
    return text + (json ? " AS JSON" : " AS TEXT");
}

constexpr const char* kFooter = R"(The life of a version change:
  turnout serve --config turnout.toml   applications connect to the proxy instead of blue
  turnout check                         what stands in the way, and the statement that mends it
  turnout sync                          green becomes a living copy of blue
  turnout switch                        clients go on with green
  turnout rollback                      back to blue, with what was written meanwhile
  turnout finish                        replication is dismantled; the active side stays

Exit status: 0 done; 1 refused or given up, clients are served as before; 2 usage; 3 needs a person.)";

int print_and_status(const CLI::App& app, const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? 0 : static_cast<int>(control::ExitStatus::usage);
}

/// If the first argument is no verb but like one: that one.
std::optional<std::string> nearest_verb(const CLI::App& app, int argc, const char* const* argv) {
    if (argc < 2 || argv[1][0] == '-') return std::nullopt;
    std::vector<std::string> names;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(verb->get_name());
    const std::vector<std::string_view> known(names.begin(), names.end());
    if (std::find(known.begin(), known.end(), argv[1]) != known.end()) return std::nullopt;
    return control::nearest_word(argv[1], known);
}

}  // namespace

Request parse_command_line(int argc, const char* const* argv) {
    CLI::App app("Moves live PostgreSQL traffic from one major version to another, and back.", "turnout");
    app.require_subcommand(1);
    app.set_version_flag("--version", "turnout " + std::string(kVersion));
    control::AdminRequest admin{.directory = "/run/turnout"};

    ServeRequest serve;
    CLI::App* serving = app.add_subcommand("serve", "run the proxy");
    serving->add_option("-c,--config", serve.config, "the configuration, turnout.toml")->required()->type_name("FILE");
    serving->add_flag("--take-over", serve.take_over,
                      "end another turnout that still holds the locks of these servers");
    serving->add_flag("--check-config", serve.check_only, "say what is wrong with the configuration, and end");

    std::vector<std::unique_ptr<VerbArguments>> verbs;
    for (const VerbDescription& verb : control::verb_descriptions()) {
        if (verb.verb == control::Verb::set) continue;
        auto arguments = std::make_unique<VerbArguments>();
        arguments->verb = &verb;
        arguments->app = app.add_subcommand(dashed(verb.words), std::string(verb.description));
        arguments->app->add_option("--admin", admin.directory, "directory of the proxy's admin socket")
            ->envname("TURNOUT_ADMIN")
            ->capture_default_str()
            ->type_name("DIR");
        arguments->app->add_flag("--json", admin.json, "print the answer as JSON");
        add_options(*arguments);
        verbs.push_back(std::move(arguments));
    }

    app.footer(kFooter);  // last: subcommands would take it over
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (const auto meant = nearest_verb(app, argc, argv)) {
            std::cerr << "turnout: unknown verb '" << argv[1] << "'; did you mean " << *meant << "?" << std::endl;
            return Ended{static_cast<int>(control::ExitStatus::usage)};
        }
        return Ended{print_and_status(app, error)};
    }
    if (serving->parsed()) return serve;
    for (const auto& arguments : verbs) {
        if (!arguments->app->parsed()) continue;
        admin.command = command_text(*arguments, admin.json);
        const auto parsed = control::parse_commands(admin.command);
        if (parsed) return admin;
        std::cerr << "turnout: " << parsed.error().message << "\nhint: " << parsed.error().hint << std::endl;
    }
    return Ended{static_cast<int>(control::ExitStatus::usage)};
}

}  // namespace turnout::program
