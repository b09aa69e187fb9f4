#include "proxy/statement_types.hpp"

#include <fmt/format.h>

#include <charconv>

#include "protocol/backend_messages.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/message.hpp"

namespace turnout::proxy {

using protocol::BackendType;

Replay describe_statements(const std::vector<std::string>& names) {
    Replay replay;
    for (const std::string& name : names) {
        protocol::append(replay.bytes, protocol::Describe{protocol::Target::statement, name});
        protocol::append_sync(replay.bytes);
        ++replay.ready;
    }
    return replay;
}

std::vector<std::optional<StatementTypes>> read_descriptions(const Exchange& replies) {
    std::vector<std::optional<StatementTypes>> descriptions;
    std::optional<StatementTypes> current;
    for (const Exchange::Message& message : replies.messages) {
        switch (static_cast<BackendType>(message.type)) {
            case BackendType::parameter_description: {
                protocol::ParameterDescription parameters;
                if (!protocol::parse(message.body, parameters)) current = StatementTypes{parameters.types, {}};
                break;
            }
            case BackendType::row_description: {
                protocol::RowDescription row;
                if (!current || protocol::parse(message.body, row)) break;
                for (const protocol::FieldDescription& field : row.fields) current->columns.push_back(field.type);
                break;
            }
            case BackendType::error_response: current.reset(); break;
            case BackendType::ready_for_query:
                descriptions.push_back(std::move(current));
                current.reset();
                break;
            default: break;
        }
    }
    return descriptions;
}

void add_types_in_parse(std::string_view body, std::set<std::uint32_t>& out) {
    protocol::Parse parse;
    if (protocol::parse(body, parse)) return;
    add_types({parse.parameter_types, {}}, out);
}

void add_types(const StatementTypes& types, std::set<std::uint32_t>& out) {
    for (const auto* list : {&types.parameters, &types.columns}) {
        for (const std::uint32_t type : *list) {
            if (type >= first_unstable_oid) out.insert(type);
        }
    }
}

std::string types_by_name(const StatementTypes& types, const TypeNames& names) {
    std::string text;
    const auto add = [&](const std::vector<std::uint32_t>& list) {
        for (const std::uint32_t type : list) {
            const auto name = names.find(type);
            text += name == names.end() ? std::to_string(type) : name->second;
            text += ',';
        }
    };
    add(types.parameters);
    text += '>';
    add(types.columns);
    return text;
}

std::string translate_parse(std::string_view body, const TypeNames& here, const TypeOids& there) {
    protocol::Parse parse;
    if (protocol::parse(body, parse)) return std::string(body);
    for (std::uint32_t& type : parse.parameter_types) {
        const auto name = here.find(type);
        const auto oid = name == here.end() ? there.end() : there.find(name->second);
        if (oid != there.end()) type = oid->second;
    }
    std::string message;
    protocol::append(message, parse);
    return message.substr(protocol::header_size);
}

namespace {

/// Rows of (OID, name) of the types that fit.
std::string type_question(std::string_view condition, const std::vector<std::string>& values) {
    constexpr std::string_view kName = "pg_catalog.format('%I.%I', n.nspname, t.typname)";
    return question(fmt::format("SELECT t.oid::pg_catalog.text, {0}, NULL FROM pg_catalog.pg_type t JOIN "
                                "pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace WHERE {1}",
                                kName, fmt::format(fmt::runtime(condition), kName)),
                    values);
}

}  // namespace

std::string type_name_question(const std::set<std::uint32_t>& oids) {
    std::vector<std::string> values;
    for (const std::uint32_t oid : oids) values.push_back(std::to_string(oid));
    return type_question("t.oid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])", values);
}

std::string type_oid_question(const std::set<std::string>& names) {
    return type_question("{} OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])", {names.begin(), names.end()});
}

std::string read_type_names(const Exchange& replies, TypeNames& out) {
    return read_rows(replies, [&](const protocol::DataRow& row) {
        const std::string_view text = row.values[0].value_or("");
        std::uint32_t oid = 0;
        std::from_chars(text.data(), text.data() + text.size(), oid);
        out[oid] = row.values[1].value_or("");
    });
}

std::string read_type_oids(const Exchange& replies, TypeOids& out) {
    TypeNames names;
    std::string error = read_type_names(replies, names);
    for (const auto& [oid, name] : names) out[name] = oid;
    return error;
}

}  // namespace turnout::proxy
