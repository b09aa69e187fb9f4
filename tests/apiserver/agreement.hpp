// What PostgreSQL's own journals say, beside what the object says.
#pragma once

#include <cstdint>
#include <string>

#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {

struct Journals {
    std::string active;           ///< the side with the highest activation; empty: there is no journal
    std::int64_t generation = 0;  ///< of that
    int activations = 0;          ///< all there ever were, the first one (that blue is active) included
    bool intent = false;          ///< an attempt is undecided
};
Journals read_journals(const Stage& stage);

/// Expects that journals and object agree: so many switches were made, and not one more; each side has as many
/// subscriptions as a version change of one database needs; one new server was made, once.
void expect_agreement(const Stage& stage, const std::string& active, int switches, int subscriptions);

}  // namespace turnout::apiserver
