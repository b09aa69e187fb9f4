// Steps of the operator that pass a place where they can be stopped.
#pragma once

#include <functional>
#include <string>

namespace turnout::apiserver {

enum class Moment {
    before,  ///< it was not carried out
    during,  ///< a verb that was begun and is not over
    after,   ///< it was carried out, and the operator has not heard of it
};

/// Told of each step, from the carrier's thread. False: nothing more passes on that connection.
using Passing = std::function<bool(const std::string& step, Moment moment)>;

}  // namespace turnout::apiserver
