#include "tests/support/cluster_certificate.hpp"

#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace turnout::support {

namespace {

template <auto release>
struct Release {
    template <class T>
    void operator()(T* object) const {
        release(object);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Release<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Release<X509_EXTENSION_free>>;
using List = std::unique_ptr<X509_CRL, Release<X509_CRL_free>>;
using Time = std::unique_ptr<ASN1_TIME, Release<ASN1_TIME_free>>;
using File = std::unique_ptr<std::FILE, Release<std::fclose>>;

void require(bool done, const std::string& what) {
    if (!done) throw std::runtime_error("cannot make a certificate: " + what);
}

void extend(X509* certificate, int kind, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value));
    require(extension && X509_add_ext(certificate, extension.get(), -1) == 1, value);
}

Certificate sign(EVP_PKEY* key, const std::string& common_name) {
    Certificate certificate(X509_new());
    require(certificate != nullptr, "memory");
    X509* x509 = certificate.get();
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    // An hour back, for clocks that differ.
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 24 * 3600);
    X509_set_pubkey(x509, key);
    X509_NAME* name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(common_name.c_str()),
                               -1, -1, 0);
    X509_set_issuer_name(x509, name);
    extend(x509, NID_basic_constraints, "critical,CA:TRUE");
    extend(x509, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    require(X509_sign(x509, key, EVP_sha256()) > 0, "signature");
    return certificate;
}

}  // namespace

void write_certificate(const std::filesystem::path& certificate_path, const std::filesystem::path& key_path,
                       const std::string& common_name) {
    const Key key(EVP_EC_gen("P-256"));
    require(key != nullptr, "key");
    const Certificate certificate = sign(key.get(), common_name);
    const File key_file(std::fopen(key_path.c_str(), "w"));
    require(key_file != nullptr, key_path.string());
    std::filesystem::permissions(key_path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    require(PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
            key_path.string());
    const File certificate_file(std::fopen(certificate_path.c_str(), "w"));
    require(certificate_file != nullptr && PEM_write_X509(certificate_file.get(), certificate.get()) == 1,
            certificate_path.string());
}

void write_revocation_list(const std::filesystem::path& list_path, const std::filesystem::path& certificate_path,
                           const std::filesystem::path& key_path, Revoked revoked) {
    const File certificate_file(std::fopen(certificate_path.c_str(), "r")), key_file(std::fopen(key_path.c_str(), "r"));
    require(certificate_file && key_file, certificate_path.string());
    const Certificate certificate(PEM_read_X509(certificate_file.get(), nullptr, nullptr, nullptr));
    const Key key(PEM_read_PrivateKey(key_file.get(), nullptr, nullptr, nullptr));
    const List list(X509_CRL_new());
    const Time before(X509_gmtime_adj(nullptr, -3600)), after(X509_gmtime_adj(nullptr, 24 * 3600));
    require(certificate && key && list && before && after, "memory");
    X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate.get()));
    X509_CRL_set1_lastUpdate(list.get(), before.get());
    X509_CRL_set1_nextUpdate(list.get(), after.get());
    if (revoked == Revoked::itself) {
        X509_REVOKED* entry = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.get()));
        X509_REVOKED_set_revocationDate(entry, before.get());
        require(X509_CRL_add0_revoked(list.get(), entry) == 1, "entry");
    }
    require(X509_CRL_sort(list.get()) == 1 && X509_CRL_sign(list.get(), key.get(), EVP_sha256()) > 0, "signature");
    const File file(std::fopen(list_path.c_str(), "w"));
    require(file && PEM_write_X509_CRL(file.get(), list.get()) == 1, list_path.string());
}

std::string revocation_list_name(const std::filesystem::path& certificate_path) {
    const File file(std::fopen(certificate_path.c_str(), "r"));
    const Certificate certificate(file ? PEM_read_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
    require(certificate != nullptr, certificate_path.string());
    return fmt::format("{:08x}.r0", X509_subject_name_hash(certificate.get()));
}

}  // namespace turnout::support
