// What a server sends during a login, to a proxy that knows a password, a ClientKey, an md5 verifier or nothing.
// The first byte chooses; messages follow as on the wire.
#include "protocol/framing.hpp"
#include "proxy/backend_login.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace turnout;

/// A hostile server may ask for as many iterations as protocol/ allows; the fuzzer does not wait for those.
bool asks_for_much_work(std::string_view bytes) {
    const std::size_t at = bytes.find(",i=");
    if (at == std::string_view::npos) return false;
    const std::string_view digits = bytes.substr(at + 3);
    return digits.find_first_not_of("0123456789") > 3;
}

proxy::Credentials credentials(std::uint8_t choice) {
    proxy::Credentials known;
    known.user = "app";
    if ((choice & 1) != 0) known.password = protocol::SecretBytes("secret");
    if ((choice & 2) != 0) known.md5_verifier = protocol::SecretBytes("md5fd4b5a5ec9ca2d7a8aa9a09a1ac4f0fa");
    if ((choice & 4) != 0) {
        known.client_key = protocol::SecretBytes("01234567890123456789012345678901");
        known.verifier = protocol::mock_scram_verifier("app", "mock", 4);
    }
    return known;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::uint8_t choice = input.byte();
    std::string_view rest = input.rest();
    if (asks_for_much_work(rest)) return 0;
    const proxy::Credentials known = credentials(choice);
    const bool tls = (choice & 8) != 0;
    proxy::BackendLogin login(known, "AAAAAAAAAAAAAAAAAAAAAAAA", tls, tls ? "the hash of a certificate" : "");
    protocol::FrameScanner scanner(protocol::Stream::backend);
    for (;;) {
        const protocol::Frame frame = scanner.next(rest);
        if (frame.state != protocol::FrameState::whole) return 0;
        const auto step = login.on_message(static_cast<protocol::BackendType>(frame.type), frame.body);
        if (step.kind != proxy::BackendLogin::Step::Kind::wait) return 0;
        rest.remove_prefix(frame.size);
    }
}
