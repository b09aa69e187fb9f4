#include "tests/kubernetes/scripted_api.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <utility>

#include "control/kubernetes/fields.hpp"

namespace turnout::kubernetes {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;
using tcp = asio::ip::tcp;

namespace {

/// RFC 7386.
void merge(json::object& into, const json::object& patch) {
    for (const auto& [key, value] : patch) {
        if (value.is_null()) {
            into.erase(key);
        } else if (value.is_object()) {
            json::value& member = into[key];
            if (!member.is_object()) member = json::object{};
            merge(member.get_object(), value.get_object());
        } else {
            into[key] = value;
        }
    }
}

std::string path_of(const std::string& target) { return target.substr(0, target.find('?')); }

std::string parameter(const std::string& target, const std::string& name) {
    const auto at = target.find(name + "=");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 1;
    return target.substr(begin, target.find('&', begin) - begin);
}

}  // namespace

ScriptedApi::ScriptedApi(asio::io_context& context)
    : acceptor_(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
      news_(context, asio::steady_timer::time_point::max()) {
    asio::co_spawn(context, accept(), asio::detached);
}

Access ScriptedApi::access() const {
    Access access;
    access.host = "127.0.0.1";
    access.port = acceptor_.local_endpoint().port();
    access.tls = false;
    access.space = "default";
    return access;
}

std::optional<json::object> ScriptedApi::find(const std::string& path) const {
    const auto found = objects_.find(path);
    if (found == objects_.end()) return std::nullopt;
    return found->second;
}

void ScriptedApi::put(const std::string& path, json::object object) {
    const bool fresh = !objects_.contains(path);
    json::object meta = object_in(object, {"metadata"});
    meta["name"] = path.substr(path.rfind('/') + 1);
    meta["resourceVersion"] = std::to_string(++version_);
    object["metadata"] = std::move(meta);
    objects_[path] = object;
    happened(fresh ? "ADDED" : "MODIFIED", path, object);
}

void ScriptedApi::erase(const std::string& path) {
    const auto found = objects_.find(path);
    if (found == objects_.end()) return;
    const json::object object = std::move(found->second);
    objects_.erase(found);
    ++version_;
    happened("DELETED", path, object);
}

void ScriptedApi::happened(const std::string& type, const std::string& path, const json::object& object) {
    history_.push_back({type, path, object, version_});
    news_.cancel();
}

void ScriptedApi::cut_watches() {
    ++cuts_;
    news_.cancel();
}

int ScriptedApi::count(std::string_view method, std::string_view part) const {
    return static_cast<int>(std::count_if(asked_.begin(), asked_.end(), [&](const Asked& it) {
        return it.method == method && it.target.find(part) != std::string::npos;
    }));
}

asio::awaitable<void> ScriptedApi::accept() {
    for (;;) {
        boost::system::error_code error;
        tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        asio::co_spawn(acceptor_.get_executor(), serve(std::move(socket)), asio::detached);
    }
}

asio::awaitable<void> ScriptedApi::serve(tcp::socket socket) {
    boost::system::error_code error;
    boost::beast::flat_buffer buffer;
    Request request;
    co_await http::async_read(socket, buffer, request, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    Asked asked{std::string(request.method_string()),
                std::string(request.target()),
                std::string(request[http::field::authorization]),
                {}};
    const json::value body = json::parse(request.body().empty() ? "{}" : request.body(), error);
    if (body.is_object()) asked.body = body.get_object();
    asked_.push_back(asked);
    std::optional<unsigned> refused;
    if (refuse) refused = refuse(asked);
    if (!refused && asked.target.find("watch=true") != std::string::npos) {
        co_await watch(socket, asked.target);
        co_return;
    }
    Response response;
    if (refused) {
        response.result(*refused);
        response.body() = json::serialize(json::object{{"kind", "Status"}, {"message", refusal}});
    } else {
        response = answer(asked);
    }
    response.prepare_payload();
    co_await http::async_write(socket, response, asio::redirect_error(asio::use_awaitable, error));
    socket.shutdown(tcp::socket::shutdown_send, error);
}

json::object ScriptedApi::list(const std::string& collection) const {
    json::array items;
    for (const auto& [path, object] : objects_)
        if (path.substr(0, path.rfind('/')) == collection) items.push_back(object);
    return {{"metadata", json::object{{"resourceVersion", std::to_string(version_)}}}, {"items", std::move(items)}};
}

ScriptedApi::Response ScriptedApi::answer(const Asked& asked) {
    Response response;
    const std::string path = path_of(asked.target);
    const bool status = path.ends_with("/status");
    const std::string object_path = status ? path.substr(0, path.size() - 7) : path;
    const auto found = objects_.find(object_path);
    const auto say = [&response](unsigned code, const json::object& object) {
        response.result(code);
        response.body() = json::serialize(object);
        return response;
    };
    const bool collection = std::count(path.begin(), path.end(), '/') == (path.starts_with("/api/") ? 5 : 6);
    if (asked.method == "GET" && collection) return say(200, list(path));
    if (asked.method == "POST") {
        const std::string created = path + "/" + text_in(asked.body, {"metadata", "name"});
        if (objects_.contains(created)) return say(409, {{"message", "already exists"}});
        put(created, asked.body);
        return say(201, objects_[created]);
    }
    const bool applied = asked.method == "PATCH" && asked.target.find("force=true") != std::string::npos;
    if (found == objects_.end() && !(applied && !status)) return say(404, {{"message", "not found"}});
    if (asked.method == "GET") return say(200, found->second);
    if (asked.method == "DELETE") {
        erase(object_path);
        return say(200, {{"status", "Success"}});
    }
    json::object object = found == objects_.end() ? json::object{} : found->second;
    const std::string expected = text_in(asked.body, {"metadata", "resourceVersion"});
    if (!expected.empty() && expected != text_in(object, {"metadata", "resourceVersion"}))
        return say(409, {{"message", "the object has been modified"}});
    if (status)
        object["status"] = object_in(asked.body, {"status"});
    else if (asked.method == "PUT")
        object = asked.body;
    else
        merge(object, asked.body);
    put(object_path, std::move(object));
    return say(200, objects_[object_path]);
}

asio::awaitable<void> ScriptedApi::watch(tcp::socket& socket, const std::string& target) {
    boost::system::error_code error;
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    co_await asio::async_write(socket, asio::buffer(head), asio::redirect_error(asio::use_awaitable, error));
    const std::string collection = path_of(target);
    const std::string from = parameter(target, "resourceVersion");
    std::int64_t seen = 0;
    std::from_chars(from.data(), from.data() + from.size(), seen);
    const int cuts = cuts_;
    while (!error && cuts == cuts_) {
        std::string lines;
        const bool expired = expired_watches > 0;
        if (expired) {
            --expired_watches;
            lines = R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})"
                    "\n";
        }
        for (const Happening& it : history_) {
            if (it.version <= seen || it.path.substr(0, it.path.rfind('/')) != collection) continue;
            lines += json::serialize(json::object{{"type", it.type}, {"object", it.object}}) + "\n";
        }
        seen = std::max(seen, version_);
        if (!lines.empty()) {
            char size[32];
            const auto end = std::to_chars(size, size + sizeof size, lines.size(), 16).ptr;
            const std::string chunk = std::string(size, end) + "\r\n" + lines + "\r\n";
            co_await asio::async_write(socket, asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, error));
            if (expired) co_return;  // it is the watch's last event
            continue;
        }
        boost::system::error_code woken;
        co_await news_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
}

}  // namespace turnout::kubernetes
