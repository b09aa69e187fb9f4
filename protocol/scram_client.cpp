#include <charconv>

#include "protocol/base64.hpp"
#include "protocol/scram.hpp"
#include "protocol/scram_keys.hpp"

namespace turnout::protocol {

namespace {

constexpr std::string_view malformed = "08P01";
constexpr std::string_view not_authorised = "28000";

}  // namespace

ScramClient::ScramClient(SecretBytes password, std::string nonce, Binding binding, std::string binding_data)
    : password_(std::move(password)),
      nonce_(std::move(nonce)),
      binding_data_(std::move(binding_data)),
      binding_(binding) {}

ScramClient::ScramClient(SecretBytes client_key, ScramVerifier verifier, std::string nonce, Binding binding,
                         std::string binding_data)
    : client_key_(std::move(client_key)),
      verifier_(std::move(verifier)),
      nonce_(std::move(nonce)),
      binding_data_(std::move(binding_data)),
      binding_(binding) {}

ScramStep ScramClient::fail(std::string_view sqlstate, std::string error) {
    phase_ = Phase::over;
    password_.clear();
    client_key_.clear();
    return {.action = ScramStep::Action::failed, .sqlstate = sqlstate, .error = std::move(error)};
}

std::string_view ScramClient::mechanism() const noexcept {
    return binding_ == Binding::bind ? scram_sha_256_plus : scram_sha_256;
}

std::string ScramClient::gs2_header() const {
    switch (binding_) {
        case Binding::bind: return "p=tls-server-end-point,,";
        case Binding::not_offered: return "y,,";
        case Binding::none: break;
    }
    return "n,,";
}

std::string ScramClient::client_first() {
    phase_ = Phase::server_first;
    // PostgreSQL takes the user from the StartupMessage and wants this name empty.
    auth_message_ = "n=,r=" + nonce_;
    return gs2_header() + auth_message_;
}

bool ScramClient::prepare_keys(std::string_view salt, std::uint32_t iterations) {
    if (verifier_) {
        stored_key_ = verifier_->stored_key;
        server_key_ = verifier_->server_key;
        return verifier_->salt == salt && verifier_->iterations == iterations;
    }
    const SecretBytes salted = salted_password(password_.reveal(), salt, iterations);
    password_.clear();
    client_key_ = client_key_of_salted(salted);
    stored_key_ = sha256(client_key_.reveal());
    server_key_ = server_key_of_salted(salted);
    return true;
}

ScramStep ScramClient::on_server_first(std::string_view message) {
    if (phase_ != Phase::server_first) return fail(malformed, "unexpected SCRAM message from the server");
    if (message.size() > max_scram_message) return fail(malformed, "the server's SCRAM message is too long");
    std::string_view rest = message;
    const std::string_view nonce = take_attribute(rest, 'r');
    const std::optional<std::string> salt = from_base64(take_attribute(rest, 's'));
    const std::string_view count = take_attribute(rest, 'i');
    // The server must have added something of its own to the nonce.
    if (!is_nonce(nonce) || !nonce.starts_with(nonce_) || nonce.size() == nonce_.size()) {
        return fail(malformed, "the server's SCRAM nonce does not continue ours");
    }
    if (!salt || salt->empty()) return fail(malformed, "the server's SCRAM salt is malformed");
    std::uint32_t iterations = 0;
    const auto [stop, error] = std::from_chars(count.data(), count.data() + count.size(), iterations);
    if (error != std::errc{} || stop != count.data() + count.size() || iterations == 0) {
        return fail(malformed, "the server's SCRAM iteration count is malformed");
    }
    if (iterations > (verifier_ ? max_scram_iterations : max_scram_client_iterations))
        return fail(malformed, "the server's SCRAM iteration count is too large");
    if (!prepare_keys(*salt, iterations)) {
        return fail(
            not_authorised,
            "the server holds another password verifier for this role than the one the client was checked with");
    }

    const std::string bound = gs2_header() + (binding_ == Binding::bind ? binding_data_ : std::string{});
    std::string final = "c=" + to_base64(bound) + ",r=" + std::string{nonce};
    auth_message_ += "," + std::string{message} + "," + final;
    const ScramKey proof = exclusive_or(client_key_.reveal(), hmac(view(stored_key_), auth_message_));
    client_key_.clear();
    final += ",p=" + to_base64(view(proof));
    phase_ = Phase::server_final;
    return {.action = ScramStep::Action::send, .message = std::move(final)};
}

ScramStep ScramClient::on_server_final(std::string_view message) {
    if (phase_ != Phase::server_final) return fail(malformed, "unexpected SCRAM message from the server");
    if (message.size() > max_scram_message) return fail(malformed, "the server's SCRAM message is too long");
    if (message.starts_with("e=")) return fail("28P01", "the server refused the SCRAM proof");
    std::string_view rest = message;
    const std::optional<std::string> signature = from_base64(take_attribute(rest, 'v'));
    const ScramKey expected = hmac(view(server_key_), auth_message_);
    if (!signature || !equal_in_constant_time(*signature, view(expected))) {
        return fail(not_authorised, "the server could not prove that it knows the role's password verifier");
    }
    phase_ = Phase::over;
    return {.action = ScramStep::Action::done};
}

}  // namespace turnout::protocol
