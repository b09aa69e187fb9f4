// A check of preflight as a test has it: provoked on real servers, found with its severity, its objects and the
// statement that mends it, and gone when that has been done.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "control/preflight.hpp"
#include "tests/replication/servers.hpp"

namespace turnout::control::test {

/// One check: SQL in the test's database that makes it speak, and what ends that.
struct Case {
    const char* check;
    Severity severity;
    const char* provoke;
    const char* object;  ///< part of one of its objects
    const char* remedy;  ///< part of the remedy
    const char* mend;
    Side side = Side::blue;
    friend std::ostream& operator<<(std::ostream& out, const Case& it) { return out << it.check; }
};

class PreflightTest : public ServersTest {
  protected:
    std::vector<Finding> findings(std::string_view check, PreflightInput input) {
        const PreflightReport report = await(preflight(*cluster_, std::move(input)));
        std::vector<Finding> found;
        for (const Finding& one : report.findings) {
            if (one.check == check) found.push_back(one);
        }
        return found;
    }
    std::vector<Finding> findings(std::string_view check, PreflightStage stage = PreflightStage::before_sync) {
        PreflightInput input;
        input.stage = stage;
        return findings(check, std::move(input));
    }
    static std::string objects(const Finding& finding) {
        std::string text;
        for (const std::string& object : finding.objects) text += object + "; ";
        return text;
    }
    /// As Case::provoke and Case::mend are written: each command by itself, past the fence as control may.
    void run(Side side, const std::string& script) {
        const PgConnection::Ptr connection = connect(side);
        query(*connection, "SET search_path = public");
        for (std::size_t begin = 0; begin < script.size();) {
            const std::size_t end = std::min(script.find(";;", begin), script.size());
            std::string command = script.substr(begin, end - begin);
            for (std::size_t at; (at = command.find("DATABASE_NAME")) != std::string::npos;)
                command.replace(at, 13, database_);
            query(*connection, command);
            begin = end + 2;
        }
    }
    void expect(const Case& it, PreflightStage stage) { expect_together({it}, stage); }
    /// Cases of one check that do not touch each other: provoked at once, since each look at the servers takes a while.
    void expect_together(const std::vector<Case>& cases, PreflightStage stage) {
        const auto before = findings(cases.front().check, stage);
        ASSERT_FALSE(before.empty()) << cases.front().check << " is no check of this stage";
        for (const Case& it : cases) {
            EXPECT_TRUE(is_gone(it, before)) << it.object << " is found before";
            run(it.side, it.provoke);
        }
        std::string unmet;
        EXPECT_TRUE(comes([&] {
            const auto found = findings(cases.front().check, stage);
            unmet.clear();
            for (const Case& it : cases) {
                if (!is_met(it, found)) unmet += std::string(it.object) + "\n";
            }
            if (!unmet.empty()) unmet += "said is: " + said(found);
            return unmet.empty();
        })) << cases.front().check
            << " did not say: " << unmet;
        for (const Case& it : cases) run(it.side, it.mend);
        EXPECT_TRUE(comes([&] {
            const auto found = findings(cases.front().check, stage);
            return std::all_of(cases.begin(), cases.end(), [&](const Case& it) { return is_gone(it, found); });
        })) << "it is still found";
    }
    /// A reloaded setting, or what statistics tell, is seen a moment later. The patience only ends a hang.
    template <class Predicate>
    static bool comes(Predicate&& predicate) {
        const auto patience = Clock::now() + std::chrono::seconds(60);
        while (!predicate()) {
            if (Clock::now() > patience) return false;
        }
        return true;
    }

  private:
    static std::string said(const std::vector<Finding>& found) {
        std::string text;
        for (const Finding& one : found)
            text += std::string(name(one.severity)) + ": " + objects(one) + one.sentence + " | " + one.remedy + "\n";
        return text;
    }
    static bool names(const Finding& one, const Case& it) {
        return one.severity != Severity::pass && objects(one).find(it.object) != std::string::npos;
    }
    static bool is_met(const Case& it, const std::vector<Finding>& found) {
        return std::any_of(found.begin(), found.end(), [&](const Finding& one) {
            return names(one, it) && one.severity == it.severity && one.remedy.find(it.remedy) != std::string::npos &&
                   !one.sentence.empty();
        });
    }
    static bool is_gone(const Case& it, const std::vector<Finding>& found) {
        return std::none_of(found.begin(), found.end(), [&](const Finding& one) { return names(one, it); });
    }
};

}  // namespace turnout::control::test
