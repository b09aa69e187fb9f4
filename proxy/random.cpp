#include "proxy/random.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <stdexcept>

namespace turnout::proxy {

std::string random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1) {
        throw std::runtime_error("OpenSSL's random generator failed");
    }
    return bytes;
}

std::string random_nonce() {
    const std::string raw = random_bytes(18);
    std::string text(25, '\0');
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), reinterpret_cast<const unsigned char*>(raw.data()),
                    static_cast<int>(raw.size()));
    text.resize(24);
    return text;
}

}  // namespace turnout::proxy
