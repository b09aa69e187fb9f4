// The types of prepared statements, on two servers that number them differently. Types that users or extensions made,
// and those of the catalogs, have other OIDs on another server: what a statement takes and gives is compared by their
// names, and the OIDs in a Parse message are translated by them. Pure: bytes in, bytes out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/backend.hpp"
#include "proxy/carried_state.hpp"

namespace turnout::proxy {

/// Smaller OIDs are assigned by hand, once and for all versions (PostgreSQL's transam.h, "OBJECT ID ASSIGNMENT").
inline constexpr std::uint32_t first_unstable_oid = 10000;

/// Qualified, quoted names by OID, and the other way round; unstable types only.
using TypeNames = std::map<std::uint32_t, std::string>;
using TypeOids = std::map<std::string, std::uint32_t>;

/// What a server says of a prepared statement: OIDs of its parameters' and its columns' types.
struct StatementTypes {
    std::vector<std::uint32_t> parameters;
    std::vector<std::uint32_t> columns;
};

/// Describes statements, each in a batch of its own.
Replay describe_statements(const std::vector<std::string>& names);
/// The descriptions in the replies, one for each ReadyForQuery; nothing where the server refused.
std::vector<std::optional<StatementTypes>> read_descriptions(const Exchange& replies);

/// The unstable types among those that the body of a Parse names for its parameters.
void add_types_in_parse(std::string_view body, std::set<std::uint32_t>& out);
/// The unstable types of a description.
void add_types(const StatementTypes& types, std::set<std::uint32_t>& out);

/// The description by names, to be compared with another server's.
std::string types_by_name(const StatementTypes& types, const TypeNames& names);

/// The body with its types under their OIDs on the other server. One without a namesake there keeps its OID: the server
/// will refuse it, or the description will differ.
std::string translate_parse(std::string_view body, const TypeNames& here, const TypeOids& there);

/// Asks for the names of types; and for the OIDs of names.
std::string type_name_question(const std::set<std::uint32_t>& oids);
std::string type_oid_question(const std::set<std::string>& names);
/// Reads the replies; an error sentence if they are not what was asked for.
std::string read_type_names(const Exchange& replies, TypeNames& out);
std::string read_type_oids(const Exchange& replies, TypeOids& out);

}  // namespace turnout::proxy
