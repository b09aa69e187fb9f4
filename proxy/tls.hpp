// TLS contexts for both legs and what SCRAM's channel binding needs of a certificate.
#pragma once

#include <memory>
#include <string>

#include "control/data_plane.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace turnout::proxy {

/// Shared by all workers; OpenSSL counts the references of its sessions itself.
using TlsContext = std::shared_ptr<ssl_ctx_st>;

/// For clients. Lists of revoked certificates count, in client_crl and in the file of client_ca. Throws
/// std::runtime_error that names the file which could not be used. Null when TLS is disabled.
TlsContext make_server_tls(const control::ListenTls& settings);

/// For a side, with libpq's reading of sslmode: certificates are checked from verify_ca on, and by every mode when a
/// root certificate is given; lists of revoked ones count, in that file and by sslcrl and sslcrldir. Throws
/// std::runtime_error that names the file. Null when TLS is disabled.
TlsContext make_client_tls(const control::ServerAddress& address);

/// What a client has shown, once the handshake has found it signed by an authority of ours.
struct PeerCertificate {
    bool valid = false;  ///< false: none was shown
    std::string common_name;
    std::string distinguished_name;  ///< as RFC 2253 writes it
};
/// Names with a zero byte in them come out empty.
PeerCertificate peer_certificate(ssl_st* ssl);

/// True if the client has named the protocol by ALPN, as direct TLS must.
bool chose_alpn(ssl_st* ssl);

/// tls-server-end-point (RFC 5929, 4.1): the hash of the server's certificate, by the hash of its own signature,
/// SHA-256 in place of MD5 and SHA-1. Empty if it cannot be had. `own`: the certificate that we present, else the
/// peer's.
std::string tls_server_end_point(ssl_st* ssl, bool own);

}  // namespace turnout::proxy
