#include "control/names.hpp"

#include <fmt/format.h>

namespace turnout::control::names {

std::string marker_table(Side source) { return fmt::format("mark_{}", turnout::name(source)); }
std::string qualified_marker_table(Side source) { return fmt::format("{}.{}", kSchema, marker_table(source)); }
std::string subscription(Side subscriber) { return fmt::format("turnout_to_{}", turnout::name(subscriber)); }
std::string slot(Side subscriber, std::uint32_t source_database_oid) {
    return fmt::format("{}_{}", subscription(subscriber), source_database_oid);
}
std::string origin(std::uint32_t subscription_oid) { return fmt::format("pg_{}", subscription_oid); }

}  // namespace turnout::control::names
