#include "wire_trace.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <vector>

#include "protocol/messages.hpp"
#include "protocol/writer.hpp"

namespace turnout::test {

using protocol::FrontendType;

namespace {

/// Words and "quoted strings" ('single quotes' for values), split at blanks.
class Words {
  public:
    explicit Words(std::string_view line) : line_(line) {
        for (std::size_t at = 0; at < line.size();) {
            const char c = line[at];
            if (c == ' ' || c == '\t') {
                ++at;
                continue;
            }
            const bool quoted = c == '"' || c == '\'';
            const std::size_t begin = at + (quoted ? 1 : 0);
            const std::size_t end = quoted ? line.find(c, begin) : line.find_first_of(" \t", at);
            if (quoted && end == std::string_view::npos) fail();
            words_.push_back(unescaped(line.substr(begin, end - begin)));
            at = end == std::string_view::npos ? line.size() : end + (quoted ? 1 : 0);
        }
    }
    [[noreturn]] void fail() const { throw std::runtime_error("cannot read the line: " + std::string(line_)); }
    const std::string& next() {
        if (at_ == words_.size()) fail();
        return words_[at_++];
    }
    std::int32_t number() { return std::stoi(next()); }
    std::vector<std::optional<std::string_view>> values() {
        std::vector<std::optional<std::string_view>> values;
        for (std::int32_t left = number(); left > 0; --left) values.emplace_back(next());
        return values;
    }

  private:
    static std::string unescaped(std::string_view text) {
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            const bool escape = text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 'n' || text[i + 1] == 't');
            out += !escape ? text[i] : text[++i] == 'n' ? '\n' : '\t';
        }
        return out;
    }

    std::string_view line_;
    std::vector<std::string> words_;
    std::size_t at_ = 0;
};

protocol::Target target(Words& words) {
    return words.next() == "S" ? protocol::Target::statement : protocol::Target::portal;
}

std::string bare(FrontendType type, std::string_view body = {}) {
    std::string out;
    protocol::Writer(out).begin(type).bytes(body).end();
    return out;
}

std::string with_portals(const std::string& type, Words& words) {
    std::string out;
    if (type == "Bind") {
        protocol::Bind bind;
        bind.portal = words.next();
        bind.statement = words.next();
        bind.parameters = words.values();
        append(out, bind);
    } else if (type == "Describe") {
        const protocol::Target what = target(words);
        append(out, protocol::Describe{what, words.next()});
    } else if (type == "Close") {
        const protocol::Target what = target(words);
        append(out, protocol::Close{what, words.next()});
    } else if (type == "Execute") {
        const std::string& portal = words.next();
        append(out, protocol::Execute{portal, words.number()});
    } else {
        words.fail();
    }
    return out;
}

}  // namespace

std::string message_of(std::string_view line) {
    Words words(line);
    const std::string type = words.next();
    std::string out;
    if (type == "Query") {
        append(out, protocol::Query{words.next()});
    } else if (type == "Parse") {
        const std::string& name = words.next();
        append(out, protocol::Parse{name, words.next(), {}});
    } else if (type == "FunctionCall") {
        protocol::FunctionCall call;
        call.function = static_cast<std::uint32_t>(words.number());
        call.arguments = words.values();
        append(out, call);
    } else if (type == "CopyData") {
        out = bare(FrontendType::copy_data, words.next());
    } else if (type == "CopyFail") {
        append(out, protocol::CopyFail{words.next()});
    } else if (type == "CopyDone") {
        out = bare(FrontendType::copy_done);
    } else if (type == "Sync") {
        out = bare(FrontendType::sync);
    } else if (type == "Flush") {
        out = bare(FrontendType::flush);
    } else {
        out = with_portals(type, words);
    }
    return out;
}

namespace {

std::string row(std::string_view body) {
    protocol::DataRow row;
    if (parse(body, row)) return "malformed";
    std::string text = fmt::format("DataRow\t {}", row.values.size());
    for (const auto& value : row.values) text += value ? fmt::format(" {} '{}'", value->size(), *value) : " -1";
    return text;
}

std::string columns(std::string_view body) {
    protocol::RowDescription description;
    if (parse(body, description)) return "malformed";
    std::string text = fmt::format("RowDescription\t {}", description.fields.size());
    for (const auto& field : description.fields) text += fmt::format(" \"{}\"", field.name);
    return text;
}

}  // namespace

std::string line_of(char type, std::string_view body) {
    const std::string_view text = body.substr(0, body.find('\0'));
    switch (type) {
        case '1': return "ParseComplete";
        case '2': return "BindComplete";
        case '3': return "CloseComplete";
        case 'n': return "NoData";
        case 's': return "PortalSuspended";
        case 'I': return "EmptyQueryResponse";
        case 't': return "ParameterDescription";
        case 'G': return "CopyInResponse";
        case 'H': return "CopyOutResponse";
        case 'c': return "CopyDone";
        case 'd': return fmt::format("CopyData\t '{}'", body.substr(0, body.find('\n')));
        case 'C': return fmt::format("CommandComplete\t \"{}\"", text);
        case 'Z': return fmt::format("ReadyForQuery\t {}", body);
        case 'D': return row(body);
        case 'T': return columns(body);
        case 'V': return fmt::format("FunctionCallResponse\t {} '{}'", body.size() - 4, body.substr(4));
        case 'E': return fmt::format("ErrorResponse\t C \"{}\"", protocol::sqlstate_of(body));
        default: return fmt::format("{}", type);
    }
}

}  // namespace turnout::test
