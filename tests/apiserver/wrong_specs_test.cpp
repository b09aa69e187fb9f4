// What cannot be carried out ends in a condition that names the field and the remedy; the old server serves as before.
#include <gtest/gtest.h>

#include <string>

#include "bench/pq.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

TEST(WrongSpecs, EndInAConditionThatNamesTheField) {
    Stage stage;
    stage.start_operator();
    struct Case {
        const char* change;
        const char* field;
    };
    for (const Case& wrong :
         {Case{R"({"credentials":{"secretName":"nobody"}})", "spec.credentials.secretName"},
          Case{R"({"image":"postgres:latest"})", "spec.image"},
          Case{R"({"olddbhost":"no-such-host","trafficService":null})", "spec.olddbhost"},
          Case{R"({"databases":["no_such_database"]})", "spec.databases"},
          Case{R"({"image":"postgres:12"})", "spec.image"}, Case{R"({"image":"postgres:99"})", "spec.image"}}) {
        stage.apply(wrong.change);
        EXPECT_TRUE(stage.until(
            [&] { return stage.condition("Ready", "message").find(wrong.field) != std::string::npos; }, wrong.change));
        EXPECT_EQ(stage.condition("Ready"), "False") << wrong.change;
        stage.tell(wrong.change);
        EXPECT_EQ(bench::value(bench::connect(stage.conninfo()).get(), "SELECT 1"), "1")
            << "the old server serves no more";
        stage.plane.must({"delete", "pgu", "app", "--timeout=60s"});
    }
    EXPECT_TRUE(stage.operator_runs());
}

}  // namespace
}  // namespace turnout::apiserver
