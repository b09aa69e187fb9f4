#include "program/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "control/command.hpp"
#include "control/kubernetes/access.hpp"
#include "control/nearest_word.hpp"
#include "program/manual.hpp"
#include "program/version.hpp"

namespace turnout::program {
namespace {

using control::dashed;
using control::Operand;
using control::OptionDescription;
using control::OptionKind;
using control::VerbDescription;

std::string in_quotes(const std::string& value) {
    std::string text = "'";
    for (const char c : value) text += c == '\'' ? "''" : std::string(1, c);
    return text + "'";
}

/// How everything that is wrong with a command line is told.
void complain(const std::string& message, const std::string& hint) {
    std::cerr << "turnout: " << message << "\nhint: " << hint << std::endl;
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
            added->type_name(option->kind == OptionKind::limits ? "LIMITS" : "DURATION");
    }
}

void add_operand(VerbArguments& arguments) {
    CLI::App& app = *arguments.app;
    switch (arguments.verb->operand) {
        case Operand::topic:
            app.add_option("topic", arguments.operand, topics_help())
                ->required()
                ->type_name("")
                ->check(CLI::IsMember(topics()).description(""));
            break;
        case Operand::side:
            app.add_option("side", arguments.operand, "the side to serve")
                ->required()
                ->check(CLI::IsMember({"blue", "green"}));
            break;
        case Operand::session:
            app.add_option("id", arguments.operand, "the session, as show sessions names it")
                ->required()
                ->type_name("ID");
            break;
        case Operand::database:
        case Operand::database_or_all: {
            CLI::Option* database = app.add_option("database", arguments.operand, "the database")->type_name("NAME");
            database->required(arguments.verb->operand == Operand::database);
            break;
        }
        case Operand::none:
        case Operand::setting: break;
    }
}

/// A topic's word as the admin socket takes it: stats_totals of stats-totals.
std::string with_underscores(std::string word) {
    std::replace(word.begin(), word.end(), '-', '_');
    return word;
}

/// What a person is asked at a terminal.
std::string question(const VerbArguments& arguments) {
    if (!arguments.verb->asks) return {};
    for (const auto& [option, given] : arguments.flags)
        if (given && option->word == "DRY_RUN") return {};
    return dashed(arguments.verb->words) + (arguments.operand.empty() ? "" : " " + arguments.operand) + ": " +
           std::string(arguments.verb->description) + "?";
}

std::string command_text(const VerbArguments& arguments, bool json) {
    std::string text(arguments.verb->words);
    const Operand operand = arguments.verb->operand;
    const bool name =
        operand == Operand::database || operand == Operand::database_or_all || operand == Operand::session;
    if (operand == Operand::topic) {
        text += " " + with_underscores(arguments.operand);
    } else if (!arguments.operand.empty()) {
        text += " " + (name ? in_quotes(arguments.operand) : arguments.operand);
    }
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

Meanwhile: turnout watch; turnout show status; turnout show sessions; turnout show history
Beforehand: turnout switch --dry-run; turnout rehearse; turnout verify

Exit status: 0 done; 1 refused or given up, clients are served as before; 2 usage; 3 needs a person.)";

std::vector<std::string> verb_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(verb->get_name());
    return names;
}

bool is_one_of(const std::vector<std::string>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

/// What to type instead of a first argument that is no verb.
std::string advice(const std::vector<std::string>& verbs, std::string_view word) {
    if (is_one_of(topics(), word)) return "Did you mean show " + std::string(word) + "?";
    const std::vector<std::string_view> known(verbs.begin(), verbs.end());
    const auto meant = control::nearest_word(word, known);
    return meant ? "Did you mean " + *meant + "?" : "turnout --help lists them.";
}

/// Prints help that was asked for, or what is wrong and which help would tell; returns the exit status.
int print_and_status(const CLI::App& app, const CLI::ParseError& error, std::string_view first) {
    const std::vector<std::string> verbs = verb_names(app);
    const bool verb = is_one_of(verbs, first);
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success))
        return app.exit(error, std::cout, std::cerr);
    if (!verb && !first.empty() && first.front() != '-') {
        complain("unknown verb '" + std::string(first) + "'", advice(verbs, first));
    } else {
        complain(error.what(),
                 "turnout " + (verb ? std::string(first) + " " : std::string()) + "--help tells what it takes.");
    }
    return static_cast<int>(control::ExitStatus::usage);
}

void add_admin_option(CLI::App& app, std::string& directory) {
    app.add_option("--admin", directory, "directory of the proxy's admin socket")
        ->envname("TURNOUT_ADMIN")
        ->capture_default_str()
        ->type_name("DIR");
}

std::vector<std::string> document_names() {
    std::vector<std::string> names;
    for (const Document& document : documents()) names.emplace_back(document.name);
    return names;
}

Ended write_document(std::string_view name) {
    for (const Document& document : documents())
        if (document.name == name) std::cout << document.make() << std::flush;
    return Ended{std::cout ? 0 : static_cast<int>(control::ExitStatus::refused)};
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

    WatchRequest watch{.directory = admin.directory};
    CLI::App* watching = app.add_subcommand("watch", "a line a second on how the proxy is");
    add_admin_option(*watching, watch.directory);
    watching->add_flag("--json", watch.json, "an object a line");
    watching->add_option("--count", watch.count, "end after so many lines")->type_name("N");

    OperatorRequest operate{.service_account = kubernetes::kServiceAccount};
    CLI::App* operating = app.add_subcommand("operator", "carry out version changes that are objects of Kubernetes");
    operating->add_option("--kubeconfig", operate.kubeconfig, "how the API server is reached, as JSON; else as a pod")
        ->type_name("FILE");
    operating->add_option("--service-account", operate.service_account, "the folder of the pod's service account")
        ->capture_default_str()
        ->type_name("DIR");
    operating->add_option("--namespace", operate.space, "where to work; else the pod's, or the kubeconfig's")
        ->type_name("NAME");
    operating->add_option("--identity", operate.identity, "who this is in the lease; else the pod's or the host's name")
        ->type_name("NAME");
    operating->add_flag("--json", operate.json, "log lines as JSON");

    std::string document;
    CLI::App* generating =
        app.add_subcommand("generate", "write a manual page, a completion, the configuration's schema");
    generating->add_option("document", document, "what to write")->required()->check(CLI::IsMember(document_names()));

    bool yes = false;
    std::vector<std::unique_ptr<VerbArguments>> verbs;
    for (const VerbDescription& verb : control::verb_descriptions()) {
        if (verb.verb == control::Verb::set) continue;
        auto arguments = std::make_unique<VerbArguments>();
        arguments->verb = &verb;
        arguments->app = app.add_subcommand(dashed(verb.words), std::string(verb.description));
        add_admin_option(*arguments->app, admin.directory);
        arguments->app->add_flag("--json", admin.json, "print the answer as JSON");
        arguments->app->add_flag("-q,--quiet", admin.quiet, "no progress on standard error");
        if (verb.asks) arguments->app->add_flag("-y,--yes", yes, "do not ask");
        add_options(*arguments);
        add_operand(*arguments);
        verbs.push_back(std::move(arguments));
    }

    app.footer(kFooter);  // last: subcommands would take it over
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return Ended{print_and_status(app, error, argc > 1 ? argv[1] : "")};
    }
    if (serving->parsed()) return serve;
    if (watching->parsed()) return watch;
    if (operating->parsed()) return operate;
    if (generating->parsed()) return write_document(document);
    for (const auto& arguments : verbs) {
        if (!arguments->app->parsed()) continue;
        admin.command = command_text(*arguments, admin.json);
        if (!yes) admin.question = question(*arguments);
        const auto parsed = control::parse_commands(admin.command);
        if (parsed) return admin;
        complain(parsed.error().message, parsed.error().hint);
    }
    return Ended{static_cast<int>(control::ExitStatus::usage)};
}

}  // namespace turnout::program
