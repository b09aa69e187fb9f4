// From control's connection string to what sessions need to know of a side.
#pragma once

#include <string>

#include "control/data_plane.hpp"

namespace turnout::control {

/// What a libpq conninfo or URI says about hosts, ports, TLS and the connect timeout; where it is silent libpq's own
/// environment variables count (PGPORT, PGSSLMODE, ...), but not for the host. Throws ConninfoError: whatever
/// Conninfo::parse() refuses, numbers of hosts and ports that differ, an sslmode that does not exist or lacks its
/// sslrootcert.
ServerAddress server_address(const std::string& url);

/// True if the connection string itself carries a password; false also for a string that cannot be read.
bool has_password(const std::string& url);

}  // namespace turnout::control
