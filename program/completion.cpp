#include <fmt/format.h>
#include <string>

#include "control/command.hpp"
#include "program/manual.hpp"

namespace turnout::program {

namespace {

using control::dashed;

constexpr const char* kCommonOptions = "--admin --json --quiet --yes --help";

std::string topics() {
    std::string words;
    for (const auto& topic : control::topic_descriptions()) words += dashed(topic.word) + " ";
    return words;
}

/// What may stand behind a verb besides the options that all have.
std::string words_behind(const control::VerbDescription& verb) {
    std::string words;
    if (verb.operand == control::Operand::topic) words += topics();
    if (verb.operand == control::Operand::side) words += "blue green ";
    for (const control::OptionDescription* option : verb.options) words += "--" + dashed(option->word) + " ";
    return words;
}

std::string verbs() {
    std::string words = "serve watch operator generate ";
    for (const auto& verb : control::verb_descriptions())
        if (verb.verb != control::Verb::set) words += dashed(verb.words) + " ";
    return words;
}

std::string document_names() {
    std::string words;
    for (const Document& document : documents()) words += std::string(document.name) + " ";
    return words;
}

/// The values of options that are one of a few words.
std::string option_cases() {
    std::string cases;
    for (const auto& verb : control::verb_descriptions()) {
        for (const control::OptionDescription* option : verb.options) {
            const std::string flag = "--" + dashed(option->word);
            if (option->kind != control::OptionKind::word || cases.find(flag + ")") != std::string::npos) continue;
            std::string words;
            for (const std::string_view word : option->words) words.append(word).append(" ");
            cases += fmt::format("    {}) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return ;;\n", flag, words);
        }
    }
    return cases;
}

}  // namespace

std::string bash_completion() {
    std::string text =
        "# bash completion for turnout, made by `turnout generate completion.bash`\n"
        "_turnout() {\n"
        "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
        "  case $before in\n"
        "    --admin) COMPREPLY=($(compgen -d -- \"$word\")); return ;;\n"
        "    -c | --config) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n" +
        option_cases() +
        "  esac\n"
        "  if [ \"$COMP_CWORD\" = 1 ]; then\n"
        "    COMPREPLY=($(compgen -W \"" +
        verbs() +
        "--help --version\" -- \"$word\"))\n"
        "    return\n"
        "  fi\n"
        "  local words=\n"
        "  case ${COMP_WORDS[1]} in\n"
        "    serve) words='--config --take-over --check-config' ;;\n"
        "    watch) words='--count' ;;\n"
        "    operator) words='--kubeconfig --service-account --namespace --identity --json' ;;\n"
        "    generate) words='" +
        document_names() + "' ;;\n";
    for (const auto& verb : control::verb_descriptions())
        if (const std::string words = words_behind(verb); verb.verb != control::Verb::set && !words.empty())
            text += fmt::format("    {}) words='{}' ;;\n", dashed(verb.words), words);
    return text + fmt::format(
                      "  esac\n"
                      "  COMPREPLY=($(compgen -W \"$words {}\" -- \"$word\"))\n"
                      "}}\n"
                      "complete -F _turnout turnout\n",
                      kCommonOptions);
}

std::string zsh_completion() {
    return "#compdef turnout\nautoload -U +X bashcompinit && bashcompinit\n" + bash_completion();
}

std::string fish_completion() {
    std::string text =
        "# fish completion for turnout, made by `turnout generate completion.fish`\n"
        "complete -c turnout -f\n"
        "complete -c turnout -n __fish_use_subcommand -a serve -d 'run the proxy'\n"
        "complete -c turnout -n __fish_use_subcommand -a watch -d 'a line a second on how the proxy is'\n"
        "complete -c turnout -n __fish_use_subcommand -a operator -d 'version changes as objects of Kubernetes'\n"
        "complete -c turnout -n '__fish_seen_subcommand_from serve' -l config -r -F\n"
        "complete -c turnout -l admin -r -a '(__fish_complete_directories)'\n"
        "complete -c turnout -l json\ncomplete -c turnout -s q -l quiet\ncomplete -c turnout -s y -l yes\n";
    for (const auto& verb : control::verb_descriptions()) {
        if (verb.verb == control::Verb::set) continue;
        const std::string name = dashed(verb.words);
        text += fmt::format("complete -c turnout -n __fish_use_subcommand -a {} -d '{}'\n", name, verb.description);
        const std::string seen = fmt::format("complete -c turnout -n '__fish_seen_subcommand_from {}'", name);
        if (verb.operand == control::Operand::topic) text += fmt::format("{} -a '{}'\n", seen, topics());
        if (verb.operand == control::Operand::side) text += seen + " -a 'blue green'\n";
        for (const control::OptionDescription* option : verb.options) {
            std::string words;
            for (const std::string_view word : option->words) words.append(word).append(" ");
            text += fmt::format("{} -l {}{} -d '{}'\n", seen, dashed(option->word),
                                option->kind == control::OptionKind::flag ? ""
                                : words.empty()                           ? " -x"
                                                                          : " -x -a '" + words + "'",
                                option->description);
        }
    }
    return text;
}

}  // namespace turnout::program
