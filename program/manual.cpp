#include "program/manual.hpp"

#include <fmt/format.h>
#include <array>

#include "control/command.hpp"
#include "control/config.hpp"
#include "control/config_schema.hpp"
#include "control/config_table.hpp"
#include "program/version.hpp"

namespace turnout::program {

namespace {

using control::dashed;

/// Text as man(7) takes it: nothing in it is a request or an escape.
std::string roff(std::string_view text) {
    std::string escaped;
    for (const char c : text) {
        if (c == '\\')
            escaped += "\\e";
        else if (c == '-')
            escaped += "\\-";
        else
            escaped += c;
    }
    if (escaped.starts_with('.') || escaped.starts_with('\'')) escaped.insert(0, "\\&");
    return escaped;
}

std::string heading(std::string_view title, int section, std::string_view name, std::string_view purpose) {
    return fmt::format(".TH {} {} \"\" \"turnout {}\" \"turnout\"\n.SH NAME\n{} \\- {}\n", title, section, kVersion,
                       name, purpose);
}

std::string entry(std::string_view term, std::string_view description) {
    return fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(term), roff(description));
}

std::string options_of(const control::VerbDescription& verb) {
    std::string text;
    for (const control::OptionDescription* option : verb.options) {
        std::string term = "--" + dashed(option->word);
        if (option->kind == control::OptionKind::duration) term += " DURATION";
        if (option->kind == control::OptionKind::limits) term += " LIMITS";
        for (std::size_t i = 0; i < option->words.size(); ++i) term.append(i == 0 ? " " : "|").append(option->words[i]);
        text += entry(term, option->description);
    }
    return text.empty() ? text : ".RS\n" + text + ".RE\n";
}

std::string verbs_text() {
    std::string text;
    for (const control::VerbDescription& verb : control::verb_descriptions()) {
        if (verb.verb == control::Verb::set) continue;  // on the admin socket only
        std::string term = "turnout " + dashed(verb.words);
        const std::string_view operand = control::operand_text(verb.operand);
        if (!operand.empty()) term.append(" ").append(operand);
        text += entry(term, std::string(verb.description) + "." +
                                (verb.asks ? " Asks first at a terminal, unless --yes is given." : ""));
        text += options_of(verb);
    }
    return text;
}

std::string topics_text() {
    std::string text;
    for (const control::TopicDescription& topic : control::topic_descriptions())
        text += entry(dashed(topic.word), std::string(topic.description) + ".");
    return text;
}

std::string hooks_text() {
    std::string text = R"(.SH HOOKS
The programs of [hooks] are run without a shell and without arguments, one at a time.
Each finds the facts as one JSON object on its standard input; those that are words or numbers stand in its environment, too,
as TURNOUT_ and the name in capitals.
PATH, HOME and LC_ALL are all that it has besides.
)";
    text += entry("event", "The key in [hooks].");
    text += entry("verb", "sync, switch, rollback, finish or abort.");
    text +=
        entry("from, to", "The side that serves before the verb, and the one that follows or is to serve after it.");
    text +=
        entry("phase",
              "For the event phase: recheck, park, fence, bypassing, outwait, arm, warm_up, moment, intent; retreat, "
              "back_off and undo when an attempt was missed; settle and finished. Behind intent "
              "comes the window, in which clients wait and no program is started: its phases drain, barrier, catch_up, "
              "sequences, activate and open, as far as it came, are told when it is over.");
    text += entry("us, began_us",
                  "For a phase of the window: how long it took, and when it began, in microseconds from the moment at "
                  "which the gate closed. They overlap.");
    text += entry("outcome",
                  "For the events after_...: synced, switched, rolled_back, refused, given_up, uncertain, finished, "
                  "aborted; failed, where there is no other word.");
    text += entry("sqlstate, reason, detail, hint", "If the verb failed: what its caller was told.");
    text += entry("generation", "Of the side that serves now, after a switch or rollback.");
    text += entry("report", "What the verb prints with --json; in the environment it is TURNOUT_JSON.");
    text += R"(.PP
Once a program before a verb has been run, or its turn has come, the one after the verb is run, too, whatever has become
of the verb: it may start again what the first one has stopped.
A verb that is refused earlier, by its checks or the hold file, tells neither.
)";
    return text;
}

}  // namespace

std::string manual_of_the_program() {
    std::string text =
        heading("TURNOUT", 1, "turnout", "moves live PostgreSQL traffic from one server to another, and back");
    text += R"(.SH SYNOPSIS
.B turnout serve
.B \-\-config
.I FILE
.br
.B turnout
.I VERB
[\fB\-\-admin\fR \fIDIR\fR] [\fB\-\-json\fR] [\fB\-\-quiet\fR] [\fB\-\-yes\fR] [\fIoptions\fR]
.SH DESCRIPTION
.B turnout serve
runs a proxy between applications and two PostgreSQL servers of different major versions, blue and green.
Every other verb is carried out by the running proxy, which it reaches through the directory of its admin socket.
The same verbs are commands of that socket for psql and for drivers.
.PP
A version change goes: serve, check, sync, switch; then finish, or rollback and another switch.
.SH OPTIONS
)";
    text += entry("--admin DIR", "The directory of the proxy's admin socket; by default /run/turnout.");
    text += entry("--json", "Print the answer as JSON, also when the verb is refused.");
    text += entry("-q, --quiet", "No progress on standard error.");
    text += entry("-y, --yes", "Do not ask. Without a terminal nothing is ever asked.");
    text += ".SH VERBS\n";
    text += entry("turnout serve --config FILE [--take-over] [--check-config]",
                  "Run the proxy. --take-over ends another turnout that still holds the locks of these servers; "
                  "--check-config says what is wrong with the configuration, and ends.");
    text += verbs_text();
    text += entry("turnout watch [--count N]", "A line a second on how the proxy is; with --json an object a line.");
    text += entry("turnout operator [--kubeconfig FILE]",
                  "Carry out version changes that are objects (PgUpgrade) of Kubernetes, in one namespace.");
    text += entry("turnout generate DOCUMENT", "Write a manual page, a completion or the schema of turnout.toml.");
    text += ".SH TOPICS OF SHOW\n" + topics_text();
    text += ".SH EXIT STATUS\n";
    text += entry("0", "Done.");
    text += entry("1", "Refused or given up; clients are served by the old side as before.");
    text += entry("2", "The command line or the configuration is wrong.");
    text += entry("3", "The state needs a person.");
    text += ".SH ENVIRONMENT\n";
    text += entry("TURNOUT_ADMIN", "The directory of the admin socket, if --admin is not given.");
    text += entry("NO_COLOR", "If it is set and not empty, nothing is coloured.");
    text += ".SH FILES\n";
    text += entry("/etc/turnout/turnout.toml", "The configuration that the package's unit, turnout.service, reads.");
    text += entry("/run/turnout", "The admin socket.");
    text += entry("/var/lib/turnout", "The state file and the reports of switches.");
    return text + ".SH SEE ALSO\n.BR turnout.toml (5),\n.BR psql (1),\n.BR pg_dump (1)\n";
}

std::string manual_of_the_configuration() {
    std::string text =
        heading("TURNOUT.TOML", 5, "turnout.toml", "configuration of turnout") +
        ".SH DESCRIPTION\nThe configuration is written in TOML. Durations are strings such as \\(dq100ms\\(dq or "
        "\\(dq60s\\(dq.\nA key that is not known, or of another type, is refused with its line and column.\n"
        "Keys marked \\(lqreload\\(rq change with\n.B turnout reload\n(or SIGHUP), the others with a restart.\n";
    control::Config config;
    std::string_view section;
    for (const control::ConfigKey& key : control::config_keys()) {
        if (key.section != section) text += fmt::format(".SH [{}]\n", roff(section = key.section));
        std::string about = control::type_name(key.slot(config));
        about += key.default_toml.empty() ? "; must be given" : "; default " + std::string(key.default_toml);
        about += key.reloadable ? "; reload." : "; restart.";
        text +=
            fmt::format(".TP\n\\fB{}\\fR\n{}\n.br\n\\fI{}\\fR\n", roff(key.name), roff(key.description), roff(about));
    }
    return text + hooks_text() + ".SH SEE ALSO\n.BR turnout (1)\n";
}

std::span<const Document> documents() {
    static constexpr std::array kDocuments{
        Document{"turnout.1", "manual page of the program", manual_of_the_program},
        Document{"turnout.toml.5", "manual page of the configuration", manual_of_the_configuration},
        Document{"turnout.schema.json", "JSON Schema of turnout.toml", control::config_schema},
        Document{"completion.bash", "completion for bash", bash_completion},
        Document{"completion.zsh", "completion for zsh", zsh_completion},
        Document{"completion.fish", "completion for fish", fish_completion},
    };
    return kDocuments;
}

}  // namespace turnout::program
