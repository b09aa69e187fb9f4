// What is asked of a database's catalogs to compare it with another one's. Each reading is a question about one kind of
// object; its rows are an object's name and one line about it. A line must read the same on every major version:
// nothing here depends on how one of them prints a query.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace turnout::control::readings {

/// Schemas of users, over the alias `n`.
inline constexpr std::string_view kUsers = "n.nspname NOT IN ('information_schema', 'turnout') AND n.nspname !~ '^pg_'";

/// A relation's name, over `n` and `c`.
inline constexpr std::string_view kRelationName = "format('%I.%I', n.nspname, c.relname)";

/// What a relation is called, by `c.relkind`.
inline constexpr std::string_view kRelationKind =
    "CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' "
    "WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' WHEN 'I' THEN "
    "'index' END";

/// The name of a function, over `n` and `p`; of a type, over `n` and `t`.
inline constexpr std::string_view kFunction =
    "'function ' || format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))";
inline constexpr std::string_view kType = "'type ' || format('%I.%I', n.nspname, t.typname)";

/// A condition: the object is no member of an extension. `catalog` is its catalog, `oid` how its OID is called.
std::string free(std::string_view catalog, std::string_view oid);
/// The same, and it came with no other object, as the constructors of a range type do: a newer major makes more of
/// them.
std::string free_and_not_implied(std::string_view catalog, std::string_view oid);

/// Everything that a statement of a client's can depend on, but who may run it.
std::vector<std::string> of_objects();
/// Who owns what, and may do what.
std::vector<std::string> of_privileges();
/// What only planning, storage and people depend on.
std::vector<std::string> of_details();

}  // namespace turnout::control::readings
