#include "proxy/client_authentication.hpp"

#include <fmt/format.h>

#include "protocol/authentication.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/md5.hpp"
#include "protocol/passwords.hpp"

namespace turnout::proxy {

using protocol::StoredPassword;
using Step = ClientAuthentication::Step;

Step ClientAuthentication::begin() {
    credentials_.user = in_.user;
    const StoredPassword stored =
        in_.role.exists ? protocol::kind_of_password(in_.role.verifier) : StoredPassword::none;
    switch (in_.method) {
        case control::AuthMethod::trust: {
            // An auth file may still hold what the servers ask for.
            if (stored == StoredPassword::plain) credentials_.password = protocol::SecretBytes(in_.role.verifier);
            if (stored == StoredPassword::md5) credentials_.md5_verifier = protocol::SecretBytes(in_.role.verifier);
            return grant();
        }
        case control::AuthMethod::password: {
            Step step{Step::Kind::ask, {}, {}, {}, {}};
            protocol::append_authentication_cleartext(step.send);
            phase_ = Phase::password;
            return step;
        }
        case control::AuthMethod::md5: {
            if (stored != StoredPassword::md5 && stored != StoredPassword::plain) return begin_scram();
            Step step{Step::Kind::ask, {}, {}, {}, {}};
            protocol::append_authentication_md5(step.send, in_.salt);
            phase_ = Phase::md5;
            return step;
        }
        case control::AuthMethod::scram: break;
    }
    return begin_scram();
}

Step ClientAuthentication::begin_scram() {
    std::optional<protocol::ScramVerifier> verifier;
    const StoredPassword stored = protocol::kind_of_password(in_.role.verifier);
    if (in_.role.exists && stored == StoredPassword::scram)
        verifier = protocol::parse_scram_verifier(in_.role.verifier);
    if (in_.role.exists && stored == StoredPassword::plain) {
        verifier = protocol::make_scram_verifier(in_.role.verifier, in_.nonce.substr(0, 16), 4096);
        credentials_.password = protocol::SecretBytes(in_.role.verifier);
    }
    const bool real = verifier.has_value();
    if (!real) verifier = protocol::mock_scram_verifier(in_.user, in_.mock_secret);
    if (real && stored == StoredPassword::scram) credentials_.verifier = verifier;
    const bool plus = in_.tls && !in_.channel_binding.empty();
    scram_.emplace(*verifier, real, in_.nonce, protocol::ScramServer::Binding{plus, in_.channel_binding});
    Step step{Step::Kind::ask, {}, {}, {}, {}};
    if (plus) {
        protocol::append_authentication_sasl(step.send, {protocol::scram_sha_256_plus, protocol::scram_sha_256});
    } else {
        protocol::append_authentication_sasl(step.send, {protocol::scram_sha_256});
    }
    phase_ = Phase::sasl_first;
    return step;
}

Step ClientAuthentication::on_message(std::string_view body) {
    switch (phase_) {
        case Phase::password: return on_password(body);
        case Phase::md5: return on_md5(body);
        case Phase::sasl_first: return on_sasl_first(body);
        case Phase::sasl_final: return on_sasl_final(body);
        case Phase::new_:
        case Phase::over: break;
    }
    return malformed("a password message was not asked for");
}

Step ClientAuthentication::on_password(std::string_view body) {
    protocol::PasswordMessage message;
    if (auto error = protocol::parse(body, message)) return malformed(error.what);
    if (!in_.role.exists || !protocol::check_password(in_.user, message.password, in_.role.verifier)) {
        return refuse(in_.role.exists ? "the password does not fit" : "the role does not exist");
    }
    credentials_.password = protocol::SecretBytes(message.password);
    return grant();
}

Step ClientAuthentication::on_md5(std::string_view body) {
    protocol::PasswordMessage message;
    if (auto error = protocol::parse(body, message)) return malformed(error.what);
    std::string verifier = in_.role.verifier;
    if (protocol::kind_of_password(verifier) == StoredPassword::plain) {
        credentials_.password = protocol::SecretBytes(verifier);
        verifier = protocol::make_md5_verifier(in_.user, verifier).value_or("");
    }
    const bool fits = protocol::check_md5_response(verifier, in_.salt, message.password);
    credentials_.md5_verifier = protocol::SecretBytes(verifier);
    protocol::wipe(verifier);
    return fits ? grant() : refuse("the md5 response does not fit");
}

Step ClientAuthentication::on_sasl_first(std::string_view body) {
    protocol::SASLInitialResponse message;
    if (auto error = protocol::parse(body, message)) return malformed(error.what);
    if (!message.data) return malformed("SASLInitialResponse without data");
    auto scram = scram_->on_client_first(message.mechanism, *message.data);
    if (scram.action == protocol::ScramStep::Action::failed) {
        phase_ = Phase::over;
        return {Step::Kind::refused, {}, std::string(scram.sqlstate), scram.error, scram.error};
    }
    Step step{Step::Kind::ask, {}, {}, {}, {}};
    protocol::append_authentication_sasl_continue(step.send, scram.message);
    phase_ = Phase::sasl_final;
    return step;
}

Step ClientAuthentication::on_sasl_final(std::string_view body) {
    protocol::SASLResponse message;
    if (auto error = protocol::parse(body, message)) return malformed(error.what);
    auto scram = scram_->on_client_final(message.data);
    if (scram.action == protocol::ScramStep::Action::failed) {
        if (scram.sqlstate == "28P01") return refuse(in_.role.exists ? scram.error : "the role does not exist");
        phase_ = Phase::over;
        return {Step::Kind::refused, {}, std::string(scram.sqlstate), scram.error, scram.error};
    }
    credentials_.client_key = scram_->take_client_key();
    Step step = grant();
    protocol::append_authentication_sasl_final(step.send, scram.message);
    return step;
}

Step ClientAuthentication::grant() {
    phase_ = Phase::over;
    return {Step::Kind::granted, {}, {}, {}, {}};
}

Step ClientAuthentication::refuse(std::string log) {
    phase_ = Phase::over;
    return {Step::Kind::refused,
            {},
            "28P01",
            fmt::format("password authentication failed for user \"{}\"", in_.user),
            std::move(log)};
}

Step ClientAuthentication::malformed(const char* what) {
    phase_ = Phase::over;
    return {Step::Kind::refused, {}, "08P01", fmt::format("malformed authentication message: {}", what), what};
}

}  // namespace turnout::proxy
