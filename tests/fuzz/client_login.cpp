// A client's answers to the proxy's authentication requests, by every method and every kind of stored password.
// The first byte chooses those; pieces follow, one a message.
#include "proxy/client_authentication.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace turnout;

// SCRAM with 4 iterations only, so that the fuzzer need not wait for them.
constexpr const char* kScram =
    "SCRAM-SHA-256$4:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const char* const kStored[] = {"", "secret", "md5fd4b5a5ec9ca2d7a8aa9a09a1ac4f0fa", kScram};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input bytes(data, size);
    const std::uint8_t choice = bytes.byte();
    constexpr control::AuthMethod methods[] = {control::AuthMethod::scram, control::AuthMethod::md5,
                                               control::AuthMethod::password, control::AuthMethod::trust};
    proxy::AuthenticationInput input;
    input.method = methods[choice % 4];
    input.role.verifier = kStored[choice / 4 % 4];
    input.role.exists = (choice & 16) == 0;
    input.tls = (choice & 32) != 0;
    if (input.tls) input.channel_binding = "the hash of a certificate";
    input.user = "app";
    input.nonce = "AAAAAAAAAAAAAAAAAAAAAAAA";
    input.mock_secret = "mock";
    proxy::ClientAuthentication authentication(std::move(input));
    auto step = authentication.begin();
    using Kind = proxy::ClientAuthentication::Step::Kind;
    while (step.kind == Kind::ask && !bytes.empty()) step = authentication.on_message(bytes.piece());
    // Nobody gets in by chance who does not exist, unless everyone may.
    if (step.kind == Kind::granted && (choice & 16) != 0) fuzz::must(choice % 4 == 3);
    return 0;
}
