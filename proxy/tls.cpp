#include "proxy/tls.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>
#include <stdexcept>

namespace turnout::proxy {
namespace {

[[noreturn]] void fail(const char* what, const std::string& file) {
    char text[256] = "unknown reason";
    if (const unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    throw std::runtime_error(fmt::format(
        "could not use the {} \"{}\": {}; it must be a file in PEM that this user may read", what, file, text));
}

TlsContext make(const SSL_METHOD* method) {
    ERR_clear_error();
    TlsContext context(SSL_CTX_new(method), SSL_CTX_free);
    if (!context) throw std::runtime_error("OpenSSL has no memory for a TLS context");
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_mode(context.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_read_ahead(context.get(), 1);  // else two system calls a record
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    return context;
}

void use_pair(SSL_CTX* context, const std::string& certificate, const std::string& key) {
    if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) fail("certificate", certificate);
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) fail("private key", key);
    if (SSL_CTX_check_private_key(context) != 1) fail("private key (it does not fit the certificate)", key);
}

constexpr unsigned long kCheckRevoked = X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;

/// Where lists of revoked certificates stand in the file of the authorities, every certificate of a chain is looked for
/// in its authority's list; one whose authority has none is refused, as PostgreSQL does with ssl_crl_file.
void use_revoked(SSL_CTX* context) {
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    const STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
        if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) != X509_LU_CRL) continue;
        X509_STORE_set_flags(store, kCheckRevoked);
        return;
    }
}

/// client_crl, and libpq's sslcrl and sslcrldir: with any, certificates that are checked at all must be in no list.
/// Unlike libpq, which goes on without the lists, a file that cannot be read is an error.
void use_revoked(SSL_CTX* context, const std::string& file, const std::string& directory) {
    if (file.empty() && directory.empty()) return;
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    if (!file.empty() && X509_STORE_load_locations(store, file.c_str(), nullptr) != 1)
        fail("certificate revocation list file", file);
    if (!directory.empty() && X509_STORE_load_locations(store, nullptr, directory.c_str()) != 1)
        fail("certificate revocation list directory", directory);
    X509_STORE_set_flags(store, kCheckRevoked);
}

constexpr unsigned char kAlpn[] = "\x0apostgresql";

/// Direct TLS must name the protocol (manual, "SSL Session Encryption"); a client that names only others is refused.
int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                void*) {
    for (unsigned at = 0; at < in_size; at += in[at] + 1U) {
        if (in[at] == kAlpn[0] && at + 1U + in[at] <= in_size && std::memcmp(in + at, kAlpn, sizeof kAlpn - 1) == 0) {
            *out = in + at + 1;
            *out_size = in[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

TlsContext make_server_tls(const control::ListenTls& settings) {
    if (settings.mode == control::TlsMode::disable) return nullptr;
    TlsContext context = make(TLS_server_method());
    SSL_CTX_set_num_tickets(context.get(), 0);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
    use_pair(context.get(), settings.certificate, settings.key);
    SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
    if (!settings.client_ca.empty()) {
        if (SSL_CTX_load_verify_locations(context.get(), settings.client_ca.c_str(), nullptr) != 1) {
            fail("client CA file", settings.client_ca);
        }
        SSL_CTX_set_client_CA_list(context.get(), SSL_load_client_CA_file(settings.client_ca.c_str()));
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, nullptr);
        use_revoked(context.get(), settings.client_crl, {});
        use_revoked(context.get());
    }
    return context;
}

TlsContext make_client_tls(const control::ServerAddress& address) {
    using control::SslMode;
    if (address.ssl_mode == SslMode::disable) return nullptr;
    TlsContext context = make(TLS_client_method());
    if (!address.ssl_certificate.empty()) use_pair(context.get(), address.ssl_certificate, address.ssl_key);
    const bool has_root = !address.ssl_root_certificate.empty();
    const bool must_verify = address.ssl_mode == SslMode::verify_ca || address.ssl_mode == SslMode::verify_full;
    const bool system_roots = address.ssl_root_certificate == "system" || (must_verify && !has_root);
    if (has_root && !system_roots &&
        SSL_CTX_load_verify_locations(context.get(), address.ssl_root_certificate.c_str(), nullptr) != 1) {
        fail("root certificate file", address.ssl_root_certificate);
    }
    if (system_roots) SSL_CTX_set_default_verify_paths(context.get());
    // libpq: with a root certificate every mode checks by it; `prefer` then goes on without TLS if it does not fit.
    if (must_verify || has_root) {
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
        use_revoked(context.get(), address.ssl_crl, address.ssl_crl_directory);
    }
    use_revoked(context.get());
    SSL_CTX_set_alpn_protos(context.get(), kAlpn, sizeof kAlpn - 1);
    return context;
}

PeerCertificate peer_certificate(ssl_st* ssl) {
    PeerCertificate peer;
    if (ssl == nullptr) return peer;
    X509* certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return peer;
    peer.valid = true;
    X509_NAME* subject = X509_get_subject_name(certificate);
    if (const int size = X509_NAME_get_text_by_NID(subject, NID_commonName, nullptr, 0); size > 0) {
        peer.common_name.resize(static_cast<std::size_t>(size) + 1);
        X509_NAME_get_text_by_NID(subject, NID_commonName, peer.common_name.data(), size + 1);
        peer.common_name.pop_back();
    }
    const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), BIO_free);
    if (text && X509_NAME_print_ex(text.get(), subject, 0, XN_FLAG_RFC2253) >= 0) {
        char* bytes = nullptr;
        const long size = BIO_get_mem_data(text.get(), &bytes);
        peer.distinguished_name.assign(bytes, static_cast<std::size_t>(size));
    }
    for (std::string* name : {&peer.common_name, &peer.distinguished_name}) {
        if (name->find('\0') != std::string::npos) name->clear();
    }
    return peer;
}

bool chose_alpn(ssl_st* ssl) {
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl, &chosen, &size);
    return size > 0;
}

std::string tls_server_end_point(ssl_st* ssl, bool own) {
    X509* certificate = own ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
    int digest_nid = NID_undef;
    // Not from the algorithm's name: RSA-PSS has its hash among its parameters.
    if (certificate == nullptr || X509_get_signature_info(certificate, &digest_nid, nullptr, nullptr, nullptr) != 1) {
        return {};
    }
    const bool weak = digest_nid == NID_md5 || digest_nid == NID_sha1;
    const EVP_MD* digest = weak ? EVP_sha256() : EVP_get_digestbynid(digest_nid);
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (digest == nullptr || X509_digest(certificate, digest, hash, &size) != 1) return {};
    return std::string(reinterpret_cast<const char*>(hash), size);
}

}  // namespace turnout::proxy
