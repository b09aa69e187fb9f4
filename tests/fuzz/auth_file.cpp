// A file of verifiers in PgBouncer's format. No password in the clear is ever taken.
#include "control/auth_file.hpp"
#include "protocol/passwords.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace turnout;
    try {
        const control::Verifiers verifiers =
            control::parse_auth_file({reinterpret_cast<const char*>(data), size}, "users");
        for (const auto& [role, verifier] : verifiers)
            fuzz::must(protocol::kind_of_password(verifier) != protocol::StoredPassword::plain);
    } catch (const control::AuthFileError&) {
    }
    return 0;
}
