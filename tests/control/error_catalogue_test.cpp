// The table of all errors of turnout's own: each with its SQLSTATE, what it says, the remedy, and the tests that meet
// it. It is made from the sources, so that none is forgotten; `./dev errors` prints it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "tests/control/error_sites.hpp"

namespace turnout::house {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = TURNOUT_SOURCE_DIR;

std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// PostgreSQL's own words, which have no hint there either: drivers and people know them. And the few that are told
/// to nobody who could do anything.
const std::map<std::string_view, std::string_view> kWithoutRemedy{
    {"invalid length of the key in a cancel request", "PostgreSQL's"},
    {"invalid startup packet layout: expected terminator as last byte", "PostgreSQL's"},
    {"no PostgreSQL user name specified in startup packet", "PostgreSQL's"},
    {"invalid length of an encryption request", "PostgreSQL's"},
    {"invalid length of startup packet", "PostgreSQL's"},
    {"unsupported frontend protocol ….…: server supports 3.0 to 3.2", "PostgreSQL's"},
    {"received unencrypted data after … request", "PostgreSQL's, with its DETAIL"},
    {"terminating connection due to idle-session timeout", "PostgreSQL's"},
    {"terminating connection due to administrator command", "PostgreSQL's"},
    {"canceling authentication due to timeout", "PostgreSQL's"},
    {"canceling statement due to user request", "PostgreSQL's"},
    {"connection requires a valid client certificate", "PostgreSQL's"},
    {"password authentication failed for user \"…\"", "PostgreSQL's; why is nobody's business"},
    {"… authentication failed for user \"…\"", "PostgreSQL's; why is nobody's business"},
    {"expected a password response, got message type …", "PostgreSQL's"},
    {"the server refused the SCRAM proof", "for the log"},
    {"prepared statement \"…\" exists already", "PostgreSQL's"},
    {"prepared statement \"…\" does not exist", "PostgreSQL's"},
    {"portal \"…\" does not exist", "PostgreSQL's"},
    {"nothing is prepared under the name \"…\"", "PostgreSQL's"},
    {"cancelled on request", "its client asked for it"},
    {"stopped by the operator", "its client asked for it"},
    {"the lease is lost", "another operator is in charge"},
    {"the console answered with what is no JSON object", "a turnout of another version, for the operator's log"},
    {"the console's status has no phase", "a turnout of another version, for the operator's log"},
    {"the client is gone", "nobody is there"},
    {"… was cancelled; …", "its client asked for it"},
    {"SHUTDOWN was cancelled; clients are let in again", "its client asked for it"},
    {"the topic is not known", "the table of commands knows it"},
    {"… in […] …", "what the value must be stands in the gap"},
    {"OpenSSL could not compute SHA-256", "an error of the machine's, for the log"},
    {"OpenSSL's random generator failed", "an error of the machine's, for the log"},
    {"OpenSSL has no memory for a TLS context", "an error of the machine's, for the log"},
    {"no random numbers for the cancel key", "an error of the machine's, for the log"},
    {"the journal has an unknown state \"…\"", "somebody wrote into turnout's journal"},
    {"a message of pgoutput ends too early", "a server's, for the log"},
    {"the server's bytea is not in hex", "a server's, for the log"},
    {"pgoutput sent an unknown message '…'", "a server's, for the log"},
    {"the server's answer has … where … belongs (row …, column …)", "a server's, for the log"},
    {"the lock on … is not held any more", "another process is in charge"},
    {"[switch] databases lists none", "the configuration says it first, with its place"},
    {"[switch] databases lists \"…\" twice", "the configuration says it first, with its place"},
    {"a session of the admin socket ended unexpectedly", "an error of turnout's own, for the log"},
    {"… was passed as a listening socket, but [proxy] listen does not name it", "both places are named"},
    {"'…' is none of …", "what it may be stands in the gap"},
    {"… after …", "phases, as they come"},
};

/// Reasons of conditions and Events that tell of no trouble.
const std::set<std::string_view> kAllIsWell{"Aborted",
                                            "Aborting",
                                            "Certain",
                                            "Checked",
                                            "Copying",
                                            "Finished",
                                            "Following",
                                            "NothingToRollBack",
                                            "Preflight",
                                            "Retiring",
                                            "RolledBack",
                                            "SpecMended",
                                            "Switched",
                                            "TrafficMoved",
                                            "Watching",
                                            "WayBackOpen",
                                            "Window",
                                            "…Near…Behind",
                                            "…NewServerActive…OldServerActive",
                                            "…WaitsForCutover…CatchingUp",
                                            "…Watching…Switched"};

/// Errors whose words are in no test: met by their SQLSTATE, within others, or at a moment that no test can choose.
const std::map<std::string_view, std::string_view> kMetOtherwise{
    {"canceling statement due to user request", "by SQLSTATE in `sessions/closed_gate_test`"},
    {"received unencrypted data after … request", "by SQLSTATE in `integration/handshakes_test`"},
    {"terminating connection because its transaction could not be ended: …", "a server that fails at ROLLBACK"},
    {"terminating connection because the session could not be moved to …: …", "by SQLSTATE in `sessions/hostile_test`"},
    {"… in […] …", "in every row of `control/config_test`"},
    {"………: …", "by what the server said, in `integration/refusals_test`"},
    {"[side.…] …: …", "by what follows it, in `control/config_test`"},
    {"'rollback_if' in [switch]: …", "by what is refused, in `control/switch_watch_test`"},
    {"it names no host: write host=…", "`control/config_test`, in the words of whoever looks first"},
    {"the server refused the SCRAM proof", "by its kind in `protocol/scram_test`"},
    {"there is no way back: … could not follow … after it", "or its preflight, in `integration/way_back_test`"},
    {"the subscription has gone while its tables were copied: turnout sync begins anew", "somebody drops it meanwhile"},
    {"session … has ended already", "between a look and a kill"},
    {"cannot wait for clients: …", "a kernel that has no descriptor left for the loop"},
    {"the client is gone", "nobody is there"},
    {"the topic is not known", "never"},
    {"OpenSSL could not compute SHA-256", "never, as far as is known"},
    {"OpenSSL's random generator failed", "never, as far as is known"},
    {"OpenSSL has no memory for a TLS context", "without memory"},
    {"no random numbers for the cancel key", "never, as far as is known"},
    {"the journal has an unknown state \"…\"", "somebody writes into turnout's journal"},
    {"a message of pgoutput ends too early", "a server that breaks its protocol"},
    {"the server's bytea is not in hex", "a server that breaks its protocol"},
    {"pgoutput sent an unknown message '…'", "a server of a later protocol"},
    {"the server's answer has … where … belongs (row …, column …)", "a server that breaks its protocol"},
    {"the lock on … is not held any more", "by its refusal, in `integration/force_active_test`"},
    {"[switch] databases lists none", "in the configuration's words, in `control/config_test`"},
    {"[switch] databases lists \"…\" twice", "in the configuration's words, in `control/config_test`"},
    {"[switch] journal_database \"…\" is also listed in databases: the journal must be in one that is never switched",
     "in the configuration's words, in `control/config_test`"},
    {"the state file … …: …", "without rights to its folder"},
    {"the state file … does not hold a generation: if it is damaged, look with psql into turnout.journal of both sides "
     "for the highest active generation and write that number into it",
     "by its type in `control/recovery_test`"},
    {"the state file … says that generation … was served, … is to be written: another process is in charge",
     "by its type in `control/recovery_test`"},
    {"…:…: …", "by what stands behind the place, in `control/auth_file_test`"},
    {"the auth_query must give two columns: name and verifier", "a query of the operator's that is wrong"},
    {"'…' is no address to listen on: write HOST:PORT", "in the configuration's words, in `control/config_test`"},
    {"… cannot be written: name a directory with room in [report] directory", "without room on the disk"},
    {"the verb cannot be cancelled: …", "the proxy goes at the same moment"},
    {"the proxy ended while it worked on this, so the outcome is not known: …",
     "by its exit status in the kill matrix"},
    {"client certificates cannot be checked: name their authorities by client_ca in [proxy.tls]",
     "a rule file that wants certificates of nobody's"},
    {"…: the auth_file cannot be read: …", "by its type in `control/auth_file_test`"},
    {"the console cannot be reached at present", "without file descriptors"},
    {"client certificates can only be checked if client_ca in [proxy.tls] names their authorities",
     "a rule file that wants certificates of nobody's"},
    {"database … does not exist on …: correct [switch] databases", "or its preflight, in `replication/preflight_test`"},
    {"the slot … does not move on: see the log of the standby for what its subscription meets",
     "a standby that applies nothing for minutes"},
    {"…: …", "by what follows it, in `control/switch_machine_test`"},
    {"the deadline passed before the next attempt", "when the alarm of the deadline comes late"},
    {"KUBERNETES_SERVICE_PORT is no port: it must be a number", "never, in a pod"},
    {"the API server answered with what is no object", "by its type in `kubernetes/api_client_test`"},
    {"the API server at …:…: …", "by its type in `kubernetes/api_client_test`"},
    {"the certificates for the API server cannot be used: …", "a pod whose files are damaged"},
    {"the console answered with what is no JSON object", "a turnout of another version"},
    {"the console's status has no phase", "a turnout of another version"},
    {"the lease is lost", "by who acts then, in `kubernetes/election_test`"},
    {"the watch ended with an error", "by what is done then, in `kubernetes/operator_test`"},
    {"… is no kubeconfig: …; name another by --kubeconfig", "in `kubernetes/access_test`"},
    // A PgUpgrade's spec: by the field that is named, and a word of the remedy.
    {"'postgres' keeps turnout's journal and cannot be moved: leave it out", "by its field in `kubernetes/spec_test`"},
    {"'…' is no duration: …", "by its field in `kubernetes/spec_test`"},
    {"'…' is no limit: …", "by its field in `kubernetes/spec_test`"},
    {"'…' is none of …", "by its field in `kubernetes/spec_test`"},
    {"is missing: name the databases to move, or one in dbname", "by its field in `kubernetes/spec_test`"},
    {"cannot be changed once the version change has begun: set it back to …, or delete the object and make a new one",
     "by its field in `kubernetes/spec_test`"},
    {"has to be a text", "the schema refuses it before"},
    {"has to be an object", "the schema refuses it before"},
    {"each has to be the name of a database", "the schema refuses it before"},
    {"the old server at …:… cannot be used: …", "by its field in `apiserver/wrong_specs_test`"},
    {"the old server has no database …: correct the list, or create it",
     "by its field in `apiserver/wrong_specs_test`"},
    {"the old server does not let the role in: …", "a Secret with another password"},
    {"the role it names is no superuser of the old server: name one that is", "a Secret with another role"},
    {"the Service … leads to …", "by where it leads, in `kubernetes/conflicts_test`"},
    {"… to … in … ms", "by the window in the status, in `kubernetes/status_test`"},
    {"… after …", "by the phase, in `kubernetes/reconciler_test`"},
    // What only the log says goes with something that others notice, and is met by that.
    {"cannot accept a client: …", "without file descriptors"},
    {"the admin socket cannot accept: …", "without file descriptors"},
    {"no socket to the console for …: …", "without file descriptors"},
    {"cannot look up user \"…\" from …: …", "by the client's refusal, in `integration/refusals_test`"},
    {"no login for user \"…\" from …: …", "by the client's refusal, in `integration/refusals_test`"},
    {"refused user \"…\" from …: …", "by the client's refusal, in `integration/methods_test`"},
    {"session … from …: …", "by the client's refusal, in `sessions/hostile_test`"},
    {"session … of user \"…\" could not be moved to …: …", "by the client's 57P01, in `sessions/lost_server_test`"},
    {"session … of user \"…\" ended by an internal error: …", "never, as far as is known"},
    {"session … of user \"…\": prepared statement \"…\" has other types on … (…) than before (…)",
     "by the client's error, in `sessions/prepared_statements_test`"},
    {"session …: … sends what is not the protocol: …", "by the client's error, in `sessions/hostile_test`"},
    {"control ends: …", "never, as far as is known"},
    {"control holds a claimed switch and shows no life: ending the process, so that recovery decides",
     "by the process's end, in `sessions/claim_watchdog_test`"},
    {"core dumps cannot be forbidden; they would hold keys that are as good as logins", "never, on Linux"},
    {"nobody is served: …; …", "by what clients are told, in `sessions/nobody_served_test`"},
    {"rolling back: …", "by what is done then, in `integration/watched_switch_test`"},
    {"sessions on … cannot be ended: …", "a side that goes at the same moment"},
    {"still to be done: …", "by `unsettled` in the status, in the kill matrix"},
    {"the hook … failed, and … goes on: …", "by the verb that goes on, in `integration/console_test`"},
    {"the hook … failed: …", "by its words, in `control/hook_test`"},
    {"the journal cannot be read: …", "by who is served then, in `control/recovery_test`"},
    {"the lease: …", "by who acts then, in `kubernetes/operator_test`"},
    {"… has lost the lease: somebody else acts now", "by its end, in `kubernetes/operator_test`"},
    {"the lock on … is lost: …", "by what is done then, in the kill matrix"},
    {"the report is not kept: …; [report] directory names where", "without room on the disk"},
    {"the configuration is not taken over, all stays as it was: …", "by its SQLSTATE in `control/controller_test`"},
    {"watching …: …; again in … ms", "in `apiserver/api_server_test`"},
    {"the Secret '…' lacks the key …: add it", "a Secret without a password"},
    {"written where it did not count, and not merged: …: …", "by the report's strays, in `integration/bypassing_test`"},
    {"… ends: … (…)", "by the verb's answer, everywhere"},
    {"… holds a password and can be read by others: chmod 600 …", "a file of the operator's that is open to others"},
    {"… on … lacks rows that were carried there before: it was restored from an older copy; run turnout abort, then "
     "turnout sync",
     "by what is found then, in `replication/gap_test`"},
    {"…: turnout …: …", "by the reason VerbFailed, in `kubernetes/reconciler_test`"},
};

/// A message that says by itself what to do, or what must be.
bool says_what_to_do(std::string_view message) {
    for (const std::string_view word : {": ", "; ", " must ", " needs ", " only ", "has to be "})
        if (message.find(word) != std::string_view::npos) return true;
    return false;
}

constexpr std::size_t kPart = 12;  // so many bytes that only one message has are hardly in a test by chance

/// What stands between the gaps.
std::vector<std::string_view> stretches_of(std::string_view text) {
    std::vector<std::string_view> stretches;
    constexpr std::string_view gap = "…";
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(gap), text.size());
        if (end > 0) stretches.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + gap.size(), text.size()));
    }
    return stretches;
}

/// Which tests know an error: a literal has a part of its message that no other message has, or the whole of it.
class Tests {
  public:
    explicit Tests(const std::vector<ErrorSite>& errors) {
        std::map<std::string_view, std::set<std::string_view>> owners, told;
        for (const ErrorSite& error : errors) {
            messages_[error.message] = stretches_of(error.message);
            for (const std::string_view word : stretches_of(error.reason)) reasons_.insert(word);
            for (const std::string_view stretch : messages_[error.message])
                for (std::size_t i = 0; i + kPart <= stretch.size(); ++i) {
                    owners[stretch.substr(i, kPart)].insert(error.message);
                    if (error.place.empty()) told[stretch.substr(i, kPart)].insert(error.message);
                }
        }
        // What somebody is told has its parts, whatever the log says in the same words.
        for (const auto& [part, whose] : told) owners[part] = whose;
        for (const auto& [part, whose] : owners)
            if (whose.size() == 1) owner_[part] = *whose.begin();
        for (const auto& entry : fs::recursive_directory_iterator(kRoot / "tests"))
            if (entry.path().extension() == ".cpp" && entry.path().stem() != "error_catalogue_test")
                look_at(entry.path());
    }

    /// Of a message, or of all words of a reason.
    std::string of(std::string_view message) const {
        const auto found = tests_.find(message);
        if (found == tests_.end()) return {};
        std::string names;
        for (const std::string& name : found->second) names += (names.empty() ? "" : ", ") + name;
        return names;
    }

  private:
    void look_at(const fs::path& file) {
        const std::string name = "`" + fs::relative(file, kRoot / "tests").replace_extension().string() + "`";
        std::istringstream literals(literals_of(read(file)));
        for (std::string line; std::getline(literals, line);) {
            for (std::size_t i = 0; i + kPart <= line.size(); ++i)
                if (const auto found = owner_.find(std::string_view(line).substr(i, kPart)); found != owner_.end())
                    tests_[found->second].insert(name);
            for (const auto& [message, stretches] : messages_)
                if (has_all(line, stretches)) tests_[message].insert(name);
            if (const auto reason = reasons_.find(line); reason != reasons_.end()) tests_[*reason].insert(name);
        }
    }

    /// In their order, and enough of them that it can be no chance.
    static bool has_all(std::string_view line, const std::vector<std::string_view>& stretches) {
        std::size_t at = 0, bytes = 0;
        for (const std::string_view stretch : stretches) {
            at = line.find(stretch, at);
            if (at == std::string_view::npos) return false;
            at += stretch.size();
            bytes += stretch.size();
        }
        return bytes >= kPart;
    }

    std::map<std::string_view, std::vector<std::string_view>> messages_;
    std::set<std::string_view> reasons_;  ///< words, known by a literal that is nothing else
    std::unordered_map<std::string_view, std::string_view> owner_;
    std::map<std::string_view, std::set<std::string>> tests_;
};

/// One of each message and SQLSTATE.
std::vector<ErrorSite> catalogue() {
    std::vector<ErrorSite> all = all_errors(kRoot);
    const auto order = [](const ErrorSite& error) {
        return std::tie(error.sqlstate, error.place, error.reason, error.message, error.remedy);
    };
    std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return order(a) < order(b); });
    all.erase(std::unique(all.begin(), all.end(), [&](const auto& a, const auto& b) { return order(a) == order(b); }),
              all.end());
    return all;
}

std::string cell(std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
    return text;
}

/// How the sources' errors are met; empty: they are not. What a preflight finds has a row in control/README.md, too, by
/// the name of its check, and a test by that name.
std::string met_by(const ErrorSite& error, const Tests& tests) {
    if (const auto otherwise = kMetOtherwise.find(error.message); otherwise != kMetOtherwise.end())
        return "(" + std::string(otherwise->second) + ")";
    std::string by_reason;
    for (const std::string_view word : stretches_of(error.reason)) {
        const std::string names = tests.of(word);
        if (names.empty()) return {};
        by_reason += (by_reason.empty() ? "" : "; ") + names;
    }
    if (!by_reason.empty()) return by_reason;
    const std::string names = tests.of(error.message);
    const bool found = error.file.starts_with("control/preflight");
    return names.empty() && found ? "(by its check, in `replication/preflight_test`)" : names;
}

void write_table(const fs::path& file, const std::vector<ErrorSite>& errors, const Tests& tests) {
    std::ofstream out(file);
    out << "# The errors of turnout's own\n\n"
           "What a server says is passed on as it is and is not here. \"…\" is put in when the error is raised. Where\n"
           "there is no SQLSTATE a configuration is refused, with file, line and column in front, a check finds "
           "something, or the\n"
           "operator or the HTTP listener says it. \"log\" is a warning that only the log has; \"condition\" and "
           "\"event\" "
           "are\n"
           "what the operator says of a PgUpgrade, with the reason that programs know it by. The scripts of the "
           "package "
           "say\nnothing of their own.\n\n"
           "| SQLSTATE | message | remedy | met by |\n|---|---|---|---|\n";
    for (const ErrorSite& error : errors) {
        const auto without = kWithoutRemedy.find(error.message);
        std::string remedy = error.remedy;
        if (kAllIsWell.contains(error.reason)) remedy = "(all is well)";
        if (error.remedy.empty() && without != kWithoutRemedy.end()) remedy = "(" + std::string(without->second) + ")";
        std::string kind = error.place;
        for (const std::string_view reason : stretches_of(error.reason)) kind.append(" ").append(reason);
        out << "| " << (kind.empty() ? error.sqlstate : kind) << " | " << cell(error.message) << " | " << cell(remedy)
            << " | " << met_by(error, tests) << " |\n";
    }
}

TEST(Errors, EachSaysWhatToDo) {
    for (const ErrorSite& error : catalogue())
        EXPECT_TRUE(!error.remedy.empty() || kWithoutRemedy.contains(error.message) ||
                    kAllIsWell.contains(error.reason) || says_what_to_do(error.message))
            << error.file << ": " << error.message;
}

TEST(Errors, EachIsMetByATest) {
    const auto errors = catalogue();
    const Tests tests(errors);
    EXPECT_GT(errors.size(), 100U);
    for (const ErrorSite& error : errors)
        EXPECT_FALSE(met_by(error, tests).empty()) << error.file << ": \"" << error.message
                                                   << "\" is in no test; let one meet it, or say in kMetOtherwise how";
    write_table(fs::path(TURNOUT_BINARY_DIR) / "errors.md", errors, tests);
}

/// What adduser, systemctl and dpkg say is theirs, and their exit status is the script's.
TEST(Errors, ThePackagesScriptsAddNone) {
    for (const char* script : {"postinst", "prerm", "postrm"}) {
        const std::string text = read(kRoot / "deploy/debian" / script);
        EXPECT_NE(text.find("\nset -e\n"), std::string::npos) << script << " goes on after a command that failed";
        for (const char* word : {"echo", "printf", "exit "})
            EXPECT_EQ(text.find(word), std::string::npos) << script << " says something: it belongs into the table";
    }
}

TEST(Errors, OfLogAndStatusAreFoundInASource) {
    const auto found = errors_of("control/kubernetes/reconciler_x.cpp",
                                 "spdlog::warn(\"{} does not end: {}\", name(side), left);\n"
                                 "spdlog::warn(\"{}: {}\", name, error.what());\n"
                                 "spdlog::info(\"all is well: {}\", name);\n"
                                 "ready(Truth::no, near ? \"Near\" : \"Behind\", \"it waits for \" + what);\n"
                                 "problems.push_back({\"spec.image\", \"is missing: name one\"});\n");
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].place, "log");
    EXPECT_EQ(found[0].message, "… does not end: …");
    EXPECT_EQ(found[1].place, "condition");
    EXPECT_EQ(found[1].reason, "…Near…Behind");
    EXPECT_EQ(found[1].message, "it waits for …");
    EXPECT_EQ(found[2].message, "is missing: name one");
    EXPECT_EQ(errors_of("control/other.cpp", "ready(Truth::no, \"Word\", \"some words\");").size(), 0U);
}

TEST(Errors, AreFoundInASource) {
    const auto found = errors_of("x.cpp",
                                 "void refuse(std::string_view sqlstate);\n"
                                 "// refuse(\"28000\", \"a comment\");\n"
                                 "refuse(\"53300\", \"too \"\n  \"many\", {}, fmt::format(\"Raise {}.\", key));\n"
                                 "co_return refusal(sqlstate::refused, fmt::format(\"{} is {{up}}\", name(side)),\n"
                                 "                  \"Say, \\\"no\\\".\");\n"
                                 "fail(state, error.what);\n");
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].sqlstate, "53300");
    EXPECT_EQ(found[0].message, "too many");
    EXPECT_EQ(found[0].remedy, "Raise ….");
    EXPECT_EQ(found[1].sqlstate, "55000");
    EXPECT_EQ(found[1].message, "… is {up}");
    EXPECT_EQ(found[1].remedy, "Say, \"no\".");
}

}  // namespace
}  // namespace turnout::house
