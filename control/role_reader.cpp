#include "control/role_reader.hpp"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <deque>
#include <utility>

namespace turnout::control {

namespace {

constexpr Milliseconds kPatience{5000};
constexpr const char* kRole = "turnout_role";
constexpr const char* kFenced = "turnout_fenced";

constexpr const char* kVerifier = "turnout_auth_query";

/// $1 role, $2 database. A setting of the role in the database beats the role's, which beats the database's.
constexpr const char* kRoleSql = R"(
SELECT r.rolsuper, {verifier}, (
  SELECT split_part(c, '=', 2) FROM pg_db_role_setting s, unnest(s.setconfig) c
  WHERE s.setrole = r.oid AND split_part(c, '=', 1) = 'default_transaction_read_only'
    AND s.setdatabase IN (0, coalesce((SELECT oid FROM pg_database WHERE datname = $2), 0))
  ORDER BY s.setdatabase DESC LIMIT 1), (
  WITH RECURSIVE member_of(role) AS (
    SELECT r.oid UNION SELECT m.roleid FROM pg_auth_members m JOIN member_of ON m.member = member_of.role)
  SELECT json_agg(g.rolname) FROM member_of JOIN pg_roles g ON g.oid = member_of.role),
  r.rolcanlogin AND (r.rolvaliduntil IS NULL OR r.rolvaliduntil > now())
FROM {catalog} r WHERE r.rolname = $1 AND $2::text IS NOT NULL)";

/// $1 database. The journal, and with it this table, may come and go.
constexpr const char* kFencedSql = "SELECT former FROM turnout.fence WHERE database = $1";

struct Question {
    std::string user;
    std::string database;
    std::function<void(RoleAnswer)> done;
};

}  // namespace

/// One side's connection and the questions that wait for it. Only touched on control's thread.
struct RoleReader::Desk : std::enable_shared_from_this<RoleReader::Desk> {
    Desk(const Cluster& c, Side s, std::string query) : cluster(c), side(s), auth_query(std::move(query)) {}

    void ask(Question question) {
        if (stopped) return question.done(RoleUnknown{"turnout is stopping"});
        waiting.push_back(std::move(question));
        if (busy) return;
        busy = true;
        asio::co_spawn(
            cluster.executor(), [self = shared_from_this()] { return self->serve(); }, asio::detached);
    }

    void stop() {
        stopped = true;
        refuse(waiting, "turnout is stopping");
        if (!busy) connection.reset();
    }

    static void refuse(std::deque<Question>& questions, const std::string& why) {
        std::deque<Question> all;
        all.swap(questions);
        for (Question& question : all) question.done(RoleUnknown{why});
    }

    asio::awaitable<void> serve();
    asio::awaitable<void> connect();
    asio::awaitable<void> look_for_journal();
    asio::awaitable<void> answer_all(std::deque<Question>& questions);
    asio::awaitable<RoleAnswer> receive_answer(std::string user);

    const Cluster& cluster;
    Side side;
    std::string auth_query;
    std::deque<Question> waiting;
    PgConnection::Ptr connection;
    std::string server_value;  ///< default_transaction_read_only as the server's files have it
    bool has_fence = false;    ///< kFenced is prepared
    bool busy = false;
    bool stopped = false;
};

asio::awaitable<void> RoleReader::Desk::serve() {
    while (!waiting.empty() && !stopped) {
        std::deque<Question> now;
        now.swap(waiting);
        std::string failure;
        try {
            if (!connection || !connection->is_alive()) co_await connect();
            if (!has_fence) co_await look_for_journal();
            co_await answer_all(now);
        } catch (const std::exception& error) {
            failure = error.what();
        }
        if (!failure.empty()) {
            connection.reset();
            refuse(now, failure);
        }
    }
    busy = false;
    if (stopped) connection.reset();
}

asio::awaitable<void> RoleReader::Desk::connect() {
    connection = co_await cluster.connect_journal(side);
    connection->set_call_timeout(kPatience);
    has_fence = false;
    const PgResult rights = co_await connection->query(
        "SELECT has_table_privilege('pg_authid', 'SELECT'), has_table_privilege('pg_file_settings', 'SELECT') "
        "AND has_function_privilege('pg_show_all_file_settings()', 'EXECUTE')");
    // What the auth_query says stands in place of pg_authid, which then need not be readable.
    const bool authid = rights.as<bool>(0, 0) && auth_query.empty();
    if (!auth_query.empty()) co_await connection->prepare(kVerifier, auth_query);
    co_await connection->prepare(kRole, fmt::format(kRoleSql, fmt::arg("verifier", authid ? "r.rolpassword" : "NULL"),
                                                    fmt::arg("catalog", authid ? "pg_authid" : "pg_roles")));
    server_value = "off";
    if (rights.as<bool>(0, 1)) {
        const PgResult files = co_await connection->query(
            "SELECT setting FROM pg_file_settings WHERE name = 'default_transaction_read_only' AND applied "
            "ORDER BY seqno DESC LIMIT 1");
        if (!files.empty()) server_value = files.as<std::string>(0, 0);
    }
}

/// The fence's table is made by the first sync, long after this connection.
asio::awaitable<void> RoleReader::Desk::look_for_journal() {
    const PgResult there = co_await connection->query("SELECT to_regclass('turnout.fence') IS NOT NULL");
    if (!there.as<bool>(0, 0)) co_return;
    co_await connection->prepare(kFenced, kFencedSql);
    has_fence = true;
}

asio::awaitable<void> RoleReader::Desk::answer_all(std::deque<Question>& questions) {
    for (const Question& question : questions) {
        connection->send_prepared(kRole, question.user, question.database);
        if (has_fence) connection->send_prepared(kFenced, question.database);
        if (!auth_query.empty()) connection->send_prepared(kVerifier, question.user);
    }
    while (!questions.empty()) {
        RoleAnswer answer = co_await receive_answer(questions.front().user);
        Question question = std::move(questions.front());
        questions.pop_front();
        question.done(std::move(answer));
    }
}

asio::awaitable<RoleAnswer> RoleReader::Desk::receive_answer(std::string user) {
    const bool fence_asked = has_fence;
    const PgResult role = co_await connection->receive();
    RoleFacts facts;
    bool fenced = false;
    std::string inherited = server_value;
    if (fence_asked) {
        const PgResult fence = co_await connection->receive();
        fenced = !fence.empty();
        if (fenced && !fence.is_null(0, 0)) inherited = fence.as<std::string>(0, 0);
    }
    if (!auth_query.empty()) {
        const PgResult row = co_await connection->receive();
        if (row.columns() < 2) throw std::runtime_error("the auth_query must give two columns: name and verifier");
        // An empty verifier lets nobody in.
        if (!row.empty() && row.get(0, 0) == user) facts.verifier = row.as<std::string>(0, 1);
    }
    facts.exists = !role.empty();
    if (facts.exists) {
        facts.superuser = role.as<bool>(0, 0);
        facts.may_log_in = role.as<bool>(0, 4);
        if (auth_query.empty()) facts.verifier = role.as<std::string>(0, 1);
        const boost::json::value groups = boost::json::parse(role.as<std::string>(0, 3));
        for (const boost::json::value& group : groups.as_array()) facts.member_of.emplace_back(group.as_string());
        if (fenced) facts.read_only = role.is_null(0, 2) ? inherited : role.as<std::string>(0, 2);
    }
    co_return facts;
}

RoleReader::RoleReader(const Cluster& cluster, const std::string& auth_query)
    : desks_{std::make_shared<Desk>(cluster, Side::blue, auth_query),
             std::make_shared<Desk>(cluster, Side::green, auth_query)} {}

RoleReader::~RoleReader() { stop(); }

void RoleReader::stop() {
    for (const auto& desk : desks_) desk->stop();
}

void RoleReader::look_up(Side side, std::string user, std::string database, std::function<void(RoleAnswer)> done) {
    const auto& desk = desks_[index(side)];
    asio::post(desk->cluster.executor(),
               [desk, question = Question{std::move(user), std::move(database), std::move(done)}]() mutable {
                   desk->ask(std::move(question));
               });
}

}  // namespace turnout::control
