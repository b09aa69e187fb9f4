// turnout.toml as a JSON Schema (draft 2020-12), for editors and for whoever generates configurations.
#pragma once

#include <string>

namespace turnout::control {

/// Made of the table of keys; ends with a line feed.
std::string config_schema();

}  // namespace turnout::control
