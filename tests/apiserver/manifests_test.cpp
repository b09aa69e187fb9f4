// Every manifest, as a real API server takes it.
#include <gtest/gtest.h>

#include <string>

#include "tests/apiserver/control_plane.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

TEST(Manifests, AreAcceptedByTheServer) {
    ControlPlane plane;
    define_upgrades(plane);
    for (const char* folder : {"", "sample"}) {
        const bench::Exit exit = plane.kubectl({"apply", "--dry-run=server", "-k", manifest(folder)});
        EXPECT_TRUE(exit.done()) << exit.err;
        EXPECT_EQ(exit.err, "");
    }
}

TEST(Manifests, TheSchemaRefusesWhatCannotBe) {
    ControlPlane plane;
    define_upgrades(plane);
    for (const auto& [spec, field] :
         {std::pair<std::string, std::string>{R"({"olddbhost":"x","credentials":{"secretName":"s"}})", "spec.image"},
          {R"({"image":"postgres:17","olddbhost":"x","olddbport":70000,"credentials":{"secretName":"s"}})",
           "spec.olddbport"},
          {R"({"image":"postgres:17","olddbhost":"x","cutover":"Now","credentials":{"secretName":"s"}})",
           "spec.cutover"},
          {R"({"image":"postgres:17","olddbhost":"x","maxPause":"soon","credentials":{"secretName":"s"}})",
           "spec.maxPause"}}) {
        const bench::Exit exit = plane.kubectl(
            {"apply", "--validate=false", "-f", "-"},
            R"({"apiVersion":"turnout.internal/v1alpha1","kind":"PgUpgrade","metadata":{"name":"x"},"spec":)" + spec +
                "}");
        EXPECT_FALSE(exit.done()) << spec;
        EXPECT_NE(exit.err.find(field), std::string::npos) << exit.err;
    }
}

}  // namespace
}  // namespace turnout::apiserver
