// Passwords are needed in connection strings and must be seen nowhere else.
#pragma once

#include <string>
#include <string_view>

namespace turnout::control {

/// The text with every password in it replaced by `***`: `password=...` and `sslpassword=...` as in a libpq conninfo or
/// a URI's query (quoted or not, any case), and the password in the authority of a URI
/// (`postgresql://user:secret@host`). Everything that is printed and may contain a connection string goes through it;
/// so does every line of the log.
std::string hide_passwords(std::string_view text);

}  // namespace turnout::control
