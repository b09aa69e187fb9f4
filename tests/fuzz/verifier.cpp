// What stands in pg_authid or in a file: SCRAM and md5 verifiers. What is read is what would be written.
#include "protocol/passwords.hpp"
#include "protocol/scram.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace turnout;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    (void)protocol::kind_of_password(text);
    const auto verifier = protocol::parse_scram_verifier(text);
    if (verifier) fuzz::must(protocol::parse_scram_verifier(to_string(*verifier)) == verifier);
    return 0;
}
