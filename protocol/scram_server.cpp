#include "protocol/base64.hpp"
#include "protocol/scram.hpp"
#include "protocol/scram_keys.hpp"

namespace turnout::protocol {

namespace {

constexpr std::string_view malformed = "08P01";
constexpr std::string_view not_authorised = "28000";
constexpr std::string_view wrong_password = "28P01";
constexpr std::string_view unsupported = "0A000";
constexpr std::string_view end_point = "tls-server-end-point";

}  // namespace

ScramServer::ScramServer(ScramVerifier verifier, bool user_exists, std::string nonce, Binding binding)
    : verifier_(std::move(verifier)),
      binding_(std::move(binding)),
      nonce_(std::move(nonce)),
      user_exists_(user_exists) {}

ScramStep ScramServer::fail(std::string_view sqlstate, std::string error) {
    phase_ = Phase::over;
    client_key_.clear();
    return {.action = ScramStep::Action::failed, .sqlstate = sqlstate, .error = std::move(error)};
}

std::optional<ScramStep> ScramServer::read_gs2_header(std::string_view& message, bool plus) {
    const std::string_view whole = message;
    if (message.starts_with("p=")) {
        if (!plus) return fail(malformed, "the SCRAM message has channel binding data, but SCRAM-SHA-256 was chosen");
        if (take_attribute(message, 'p') != end_point) return fail(malformed, "unsupported SCRAM channel-binding type");
        bound_ = true;
    } else if (message.starts_with("n,") || message.starts_with("y,")) {
        if (plus)
            return fail(malformed, "SCRAM-SHA-256-PLUS was chosen, but the SCRAM message has no channel binding data");
        if (message.front() == 'y' && binding_.offered) {
            // Somebody in the middle has hidden our offer.
            return fail(not_authorised,
                        "SCRAM channel binding negotiation error: the client supports SCRAM channel binding but "
                        "thinks the server does not; however, this server does support channel binding");
        }
        message.remove_prefix(2);
    } else {
        return fail(malformed, "malformed SCRAM message: unexpected channel-binding flag");
    }
    if (message.starts_with("a="))
        return fail(unsupported, "the client uses a SCRAM authorization identity, which is not supported");
    if (!message.starts_with(','))
        return fail(malformed, "malformed SCRAM message: unexpected attribute in client-first-message");
    message.remove_prefix(1);
    gs2_header_ = whole.substr(0, whole.size() - message.size());
    return std::nullopt;
}

ScramStep ScramServer::on_client_first(std::string_view mechanism, std::string_view message) {
    if (phase_ != Phase::client_first) return fail(malformed, "unexpected SCRAM message");
    const bool plus = mechanism == scram_sha_256_plus;
    if (mechanism != scram_sha_256 && !(plus && binding_.offered)) {
        return fail(malformed, "client selected an invalid SASL authentication mechanism");
    }
    if (message.size() > max_scram_message) return fail(malformed, "the SCRAM message is too long");
    if (message.find('\0') != std::string_view::npos) return fail(malformed, "malformed SCRAM message: zero byte");
    if (auto failure = read_gs2_header(message, plus)) return *failure;

    client_first_bare_ = message;
    if (message.starts_with("m=")) return fail(unsupported, "client requires an unsupported SCRAM extension");
    if (!message.starts_with("n=")) return fail(malformed, "malformed SCRAM message: expected the user name");
    (void)take_attribute(message, 'n');
    const std::string_view client_nonce = take_attribute(message, 'r');
    if (!is_nonce(client_nonce)) return fail(malformed, "non-printable characters in SCRAM nonce");

    nonce_.insert(0, client_nonce);
    server_first_ = "r=" + nonce_ + ",s=" + to_base64(verifier_.salt) + ",i=" + std::to_string(verifier_.iterations);
    phase_ = Phase::client_final;
    return {.action = ScramStep::Action::send, .message = server_first_};
}

ScramStep ScramServer::on_client_final(std::string_view message) {
    if (phase_ != Phase::client_final) return fail(malformed, "unexpected SCRAM message");
    if (message.size() > max_scram_message) return fail(malformed, "the SCRAM message is too long");
    const std::size_t proof_at = message.rfind(",p=");
    if (proof_at == std::string_view::npos) return fail(malformed, "malformed SCRAM message: no proof");
    const std::string_view without_proof = message.substr(0, proof_at);
    const std::optional<std::string> proof = from_base64(message.substr(proof_at + 3));

    std::string_view rest = without_proof;
    const std::string_view binding = take_attribute(rest, 'c');
    const std::string expected = to_base64(gs2_header_ + (bound_ ? binding_.data : std::string{}));
    if (!equal_in_constant_time(binding, expected)) {
        if (bound_) return fail(not_authorised, "SCRAM channel binding check failed");
        return fail(malformed, "unexpected SCRAM channel-binding attribute in client-final-message");
    }
    if (take_attribute(rest, 'r') != nonce_) return fail(malformed, "invalid SCRAM response: nonce does not match");
    if (!proof || proof->size() != scram_key_size) return fail(malformed, "malformed SCRAM message: malformed proof");

    const std::string auth_message = client_first_bare_ + "," + server_first_ + "," + std::string{without_proof};
    if (!verify_proof(*proof, auth_message)) return fail(wrong_password, "the proof does not fit the password");
    phase_ = Phase::over;
    return {.action = ScramStep::Action::done,
            .message = "v=" + to_base64(view(hmac(view(verifier_.server_key), auth_message)))};
}

bool ScramServer::verify_proof(std::string_view proof, std::string_view auth_message) {
    const ScramKey signature = hmac(view(verifier_.stored_key), auth_message);
    ScramKey key = exclusive_or(proof, signature);
    client_key_ = SecretBytes{std::span<const std::uint8_t>{key}};
    key.fill(0);
    const bool fits = equal_in_constant_time(view(sha256(client_key_.reveal())), view(verifier_.stored_key));
    // The same work is done for a user who does not exist.
    return fits && user_exists_;
}

}  // namespace turnout::protocol
