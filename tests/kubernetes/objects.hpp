// A PgUpgrade to begin with, for the tests of this folder.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "control/kubernetes/reconciler.hpp"

namespace turnout::kubernetes {

/// The least that a spec needs.
inline boost::json::object sample_spec() {
    return boost::json::parse(R"({
        "image": "postgres:17", "databases": ["app"], "olddbhost": "postgres",
        "credentials": {"secretName": "superuser"}})")
        .as_object();
}

/// As it was just made, with a finalizer; nothing else exists.
inline Observed fresh() {
    Observed seen;
    seen.generation = 1;
    seen.finalizer = true;
    seen.spec = sample_spec();
    seen.now = WallClock::time_point(std::chrono::seconds(1'800'000'000));
    return seen;
}

}  // namespace turnout::kubernetes
