#include "control/strays.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "control/names.hpp"

namespace turnout::control {

namespace {

constexpr std::size_t kMostStrays = 100;

/// Of each message only its head is fetched: enough for a Relation's two names.
constexpr int kHeadBytes = 160;

/// Reads a message from its front; what is missing throws.
class Cursor {
  public:
    explicit Cursor(std::string_view bytes) : left_(bytes) {}

    std::uint64_t number(std::size_t width) {
        need(width);
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < width; ++i) value = value << 8U | static_cast<unsigned char>(left_[i]);
        left_.remove_prefix(width);
        return value;
    }
    std::uint32_t number32() { return static_cast<std::uint32_t>(number(4)); }
    std::string string() {
        const auto end = left_.find('\0');
        if (end == std::string_view::npos) need(left_.size() + 1);
        std::string text(left_.substr(0, end));
        left_.remove_prefix(end + 1);
        return text;
    }

  private:
    void need(std::size_t bytes) const {
        if (left_.size() < bytes) throw std::runtime_error("a message of pgoutput ends too early");
    }
    std::string_view left_;
};

/// "\x4200…" as PostgreSQL prints bytea.
std::string bytes_of(std::string_view hex) {
    const auto digit = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        throw std::runtime_error("the server's bytea is not in hex");
    };
    std::string bytes;
    for (std::size_t i = 2; i + 1 < hex.size(); i += 2) {
        bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
    }
    return bytes;
}

}  // namespace

void StrayDecoder::message(std::string_view bytes) {
    Cursor cursor(bytes);
    const char kind = static_cast<char>(cursor.number(1));
    switch (kind) {
        case 'B':  // Begin: final LSN, commit time, xid
            applied_ = false;
            changes_.clear();
            count_ = 0;
            committed_ = Lsn(cursor.number(8));
            cursor.number(8);
            xid_ = cursor.number32();
            break;
        case 'O':  // Origin
            applied_ = true;
            break;
        case 'R': {  // Relation: OID, schema, name, …
            const std::uint32_t table = cursor.number32();
            const std::string schema = cursor.string();
            tables_[table] = (schema.empty() ? "pg_catalog" : schema) + "." + cursor.string();
            break;
        }
        case 'I': change("INSERT", cursor.number32()); break;
        case 'U': change("UPDATE", cursor.number32()); break;
        case 'D': change("DELETE", cursor.number32()); break;
        case 'T': {  // Truncate: number of tables, options, OIDs
            const std::uint32_t tables = cursor.number32();
            cursor.number(1);
            for (std::uint32_t i = 0; i < tables && i < kMostStrays / 4; ++i) change("TRUNCATE", cursor.number32());
            break;
        }
        case 'C': commit(); break;
        case 'Y':  // Type
        case 'M':  // Message
            break;
        default: throw std::runtime_error(fmt::format("pgoutput sent an unknown message '{}'", kind));
    }
}

void StrayDecoder::change(const char* operation, std::uint32_t table) {
    const auto found = tables_.find(table);
    const std::string name = found == tables_.end() ? fmt::format("table with OID {}", table) : found->second;
    if (name == names::qualified_marker_table(Side::blue) || name == names::qualified_marker_table(Side::green)) return;
    ++count_;
    if (changes_.size() < kMostStrays) changes_.push_back({database_, xid_, committed_, operation, name});
}

void StrayDecoder::commit() {
    if (applied_ || count_ == 0 || committed_ < from_) return;
    ++report_.transactions;
    report_.changes += count_;
    for (Stray& stray : changes_) {
        if (report_.strays.size() < kMostStrays) report_.strays.push_back(std::move(stray));
    }
    changes_.clear();
}

asio::awaitable<StrayReport> read_strays(PgConnection& source, const Stream& stream, Lsn from) {
    const PgResult result = co_await source.query(
        "SELECT substring(data FROM 1 FOR $3) FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, "
        "'proto_version', '1', 'publication_names', $2)",
        stream.slot, fmt::format("{},{}", names::kTablesPublication, names::kMarkerPublication), kHeadBytes);
    StrayDecoder decoder(stream.database, from);
    for (int i = 0; i < result.rows(); ++i) decoder.message(bytes_of(result.get(i, 0)));
    co_return decoder.report();
}

}  // namespace turnout::control
