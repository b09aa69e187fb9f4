// What turnout.toml may say, and how it is told what is wrong with it.
#include "control/config.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "control/config_table.hpp"

namespace turnout::control {
namespace {

constexpr std::string_view kLeast = R"([side.blue]
url = "host=127.0.0.1 port=5415 user=postgres"
[side.green]
url = "host=127.0.0.1 port=5417 user=postgres"
[switch]
databases = ["app"]
)";

std::string refused(std::string_view text) {
    try {
        parse_config(text, "t.toml");
    } catch (const ConfigRefused& wrong) {
        return wrong.what();
    }
    return "accepted";
}

TEST(Config, TheLeastThatIsNeededHasTheManualsDefaults) {
    const Config config = parse_config(kLeast, "t.toml");
    EXPECT_EQ(config.data_plane.listen, std::vector<std::string>{"127.0.0.1:6432"});
    EXPECT_EQ(config.data_plane.workers, 0U);
    EXPECT_EQ(config.state_file, "/var/lib/turnout/state");
    EXPECT_EQ(config.data_plane.auth, AuthMethod::scram);
    EXPECT_FALSE(config.data_plane.trust_remote);
    EXPECT_EQ(config.data_plane.sides[index(Side::green)].endpoints.at(0).host, "127.0.0.1");
    EXPECT_EQ(config.data_plane.sides[index(Side::green)].endpoints.at(0).port, 5417);
    EXPECT_EQ(config.data_plane.databases, std::vector<std::string>{"app"});
    EXPECT_EQ(config.switching.journal_database, "postgres");
    EXPECT_EQ(config.switching.max_pause, Milliseconds(100));
    EXPECT_EQ(config.switching.deadline, Milliseconds(60'000));
    EXPECT_EQ(config.switching.pinned, PinnedPolicy::wait);
    EXPECT_EQ(config.admin_directory, "/run/turnout");
    EXPECT_EQ(config.metrics_listen, "127.0.0.1:9632");
}

TEST(Config, EveryKeyIsTakenFromTheFile) {
    const Config config = parse_config(R"(
[proxy]
listen = ["0.0.0.0:6432", "[::1]:6433", "unix:/run/turnout"]
workers = 3
state = "/tmp/state"
max_client_connections = 5
superuser_reserved_connections = 2
reserved_connections = 1
login_timeout = "5s"
claim_watchdog = "2s"
shutdown_timeout = "1h"
[proxy.tls]
mode = "require"
cert = "c.pem"
key = "k.pem"
client_ca = "ca.pem"
client_crl = "crl.pem"
[auth]
method = "md5"
auth_file = "/etc/userlist.txt"
trust_remote = true
superusers_remote = true
[side.blue]
url = "postgresql://admin:secret@db1,db2:6000/?sslmode=verify-full&sslrootcert=/ca.pem"
replication_url = "host=10.0.0.1"
[side.green]
url = "hostaddr=10.0.0.2 host=green.example connect_timeout=3 sslcrl=/crl.pem sslcrldir=/crls"
[switch]
databases = ["app", "shop"]
journal_database = "ops"
max_pause = "50ms"
deadline = "10m"
pinned = "end"
long_transactions = "read_only"
bypassing = "end"
pg_bin = "/usr/lib/postgresql/17/bin"
[admin]
socket = "/run/other"
admin_users = ["dba"]
remote = true
[metrics]
listen = ""
[log]
format = "json"
level = "debug"
file = "/var/log/turnout.log"
)",
                                       "t.toml");
    const DataPlaneSettings& plane = config.data_plane;
    EXPECT_EQ(plane.listen.size(), 3U);
    EXPECT_EQ(plane.workers, 3U);
    EXPECT_EQ(plane.max_client_connections, 5U);
    EXPECT_EQ(plane.superuser_reserved_connections, 2U);
    EXPECT_EQ(plane.reserved_connections, 1U);
    EXPECT_EQ(plane.login_timeout, Milliseconds(5000));
    EXPECT_EQ(plane.claim_watchdog, Milliseconds(2000));
    EXPECT_EQ(config.shutdown_timeout, Milliseconds(3'600'000));
    EXPECT_EQ(plane.tls.mode, TlsMode::require);
    EXPECT_EQ(plane.tls.certificate, "c.pem");
    EXPECT_EQ(plane.tls.key, "k.pem");
    EXPECT_EQ(plane.tls.client_ca, "ca.pem");
    EXPECT_EQ(plane.tls.client_crl, "crl.pem");
    EXPECT_TRUE(plane.console);
    EXPECT_EQ(plane.sides[1].ssl_crl, "/crl.pem");
    EXPECT_EQ(plane.sides[1].ssl_crl_directory, "/crls");
    EXPECT_EQ(plane.auth, AuthMethod::md5);
    EXPECT_EQ(config.auth.auth_file, "/etc/userlist.txt");
    EXPECT_TRUE(plane.trust_remote);
    EXPECT_TRUE(plane.superusers_remote);
    const ServerAddress& blue = plane.sides[index(Side::blue)];
    ASSERT_EQ(blue.endpoints.size(), 2U);
    EXPECT_EQ(blue.endpoints[1].host, "db2");
    EXPECT_EQ(blue.endpoints[1].port, 6000);
    EXPECT_EQ(blue.ssl_mode, SslMode::verify_full);
    EXPECT_EQ(blue.ssl_root_certificate, "/ca.pem");
    const ServerAddress& green = plane.sides[index(Side::green)];
    EXPECT_EQ(green.endpoints.at(0).hostaddr, "10.0.0.2");
    EXPECT_EQ(green.endpoints.at(0).host, "green.example");
    EXPECT_EQ(green.connect_timeout, Milliseconds(3000));
    EXPECT_EQ(config.sides[0].replication_url, "host=10.0.0.1");
    EXPECT_EQ(config.switching.deadline, Milliseconds(600'000));
    EXPECT_EQ(config.switching.pinned, PinnedPolicy::end);
    EXPECT_EQ(config.switching.long_transactions, LongTransactions::read_only);
    EXPECT_EQ(config.switching.bypassing, Bypassing::end);
    EXPECT_EQ(config.switching.pg_bin, "/usr/lib/postgresql/17/bin");
    EXPECT_EQ(config.metrics_listen, "");
    EXPECT_EQ(config.log.format, LogFormat::json);
    EXPECT_EQ(config.log.level, LogLevel::debug);
}

struct Refusal {
    const char* name;
    const char* text;      ///< behind kLeast, whose last line is 6
    const char* expected;  ///< the first line of what is said
};

class RefusedConfig : public testing::TestWithParam<Refusal> {};

TEST_P(RefusedConfig, IsNamedWithItsPlaceAndASentence) {
    const std::string said = refused(std::string(kLeast) + GetParam().text);
    EXPECT_EQ(said.substr(0, said.find('\n')), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Problems, RefusedConfig,
    testing::Values(
        Refusal{"UnknownKey", "max_puase = \"50ms\"\n",
                "t.toml:7:1: unknown key 'max_puase' in [switch]; did you mean 'max_pause'?"},
        Refusal{"UnknownKeyUnlikeAny", "colour = 1\n", "t.toml:7:1: unknown key 'colour' in [switch]"},
        Refusal{"UnknownSection", "[swicth]\n", "t.toml:7:2: unknown section 'swicth'; did you mean 'switch'?"},
        Refusal{"UnknownSubsection", "[side.red]\nurl = \"\"\n", "t.toml:7:7: unknown section 'red' in [side]"},
        Refusal{"KeyOfNoSection", "[proxy]\n  liste = []\n",
                "t.toml:8:3: unknown key 'liste' in [proxy]; did you mean 'listen'?"},
        Refusal{
            "NumberForDuration", "deadline = 60\n",
            "t.toml:7:12: 'deadline' in [switch] must be a duration: a duration is a whole number with its unit, such "
            "as \"100ms\", \"60s\" or \"10m\""},
        Refusal{
            "DurationWithoutUnit", "max_pause = \"50\"\n",
            "t.toml:7:13: 'max_pause' in [switch] must be a duration: a duration is a whole number with its unit, such "
            "as \"100ms\", \"60s\" or \"10m\""},
        Refusal{"StringForNumber", "[proxy]\nworkers = \"two\"\n",
                "t.toml:8:11: 'workers' in [proxy] must be a whole number from 0 to 1024"},
        Refusal{"NegativeNumber", "[proxy]\nworkers = -1\n",
                "t.toml:8:11: 'workers' in [proxy] must be a whole number from 0 to 1024"},
        Refusal{"StringForList", "[proxy]\nlisten = \"127.0.0.1:6432\"\n",
                "t.toml:8:10: 'listen' in [proxy] must be a list of strings"},
        Refusal{"ListOfNumbers", "[proxy]\nlisten = [6432]\n",
                "t.toml:8:10: 'listen' in [proxy] must be a list of strings"},
        Refusal{"StringForBoolean", "[auth]\ntrust_remote = \"yes\"\n",
                "t.toml:8:16: 'trust_remote' in [auth] must be true or false"},
        Refusal{"UnknownChoice", "pinned = \"wiat\"\n",
                "t.toml:7:10: 'pinned' in [switch] must be \"wait\", \"end\" or \"refuse\", not 'wiat'; did you mean "
                "'wait'?"},
        Refusal{"SectionAsKey", "[proxy]\ntls = \"require\"\n",
                "t.toml:8:7: 'proxy.tls' is a section: write [proxy.tls]"},
        Refusal{"AddressWithoutPort", "[metrics]\nlisten = \"localhost\"\n",
                "t.toml:8:10: 'listen' in [metrics]: 'localhost' is no address: write \"host:port\", \"[v6]:port\""},
        Refusal{"RelativeUnixAddress", "[proxy]\nlisten = [\"unix:here\"]\n",
                "t.toml:8:10: 'listen' in [proxy]: 'unix:here' must have a directory's absolute path after \"unix:\""},
        Refusal{"ClientsAtTheAdminSocket", "[proxy]\nlisten = [\"unix:/a\"]\n[admin]\nsocket = \"/a\"\n",
                "t.toml:8:10: 'listen' in [proxy]: '/a' holds the admin socket, of the same name: give the clients' "
                "socket, or 'socket' in [admin], another directory"},
        Refusal{"NobodyListens", "[proxy]\nlisten = []\n",
                "t.toml:8:10: 'listen' in [proxy] is empty: name one address"},
        Refusal{"PauseOfNothing", "max_pause = \"0s\"\n", "t.toml:7:13: 'max_pause' in [switch] must be above 0"},
        Refusal{"DeadlineBelowPause", "deadline = \"10ms\"\n",
                "t.toml:7:12: 'deadline' in [switch] (10ms) is shorter than 'max_pause' (100ms): it must be longer"},
        Refusal{"JournalAmongTheSwitched", "journal_database = \"app\"\n",
                "t.toml:6:13: database 'app' keeps the journal and cannot be switched itself: name another "
                "journal_database"},
        Refusal{"TlsWithoutCertificate", "[proxy.tls]\nmode = \"allow\"\n",
                "t.toml:8:8: 'mode' in [proxy.tls] needs 'cert' and 'key'"},
        Refusal{"RevokedByNobody", "[proxy.tls]\nmode = \"allow\"\ncert = \"c\"\nkey = \"k\"\nclient_crl = \"r\"\n",
                "t.toml:11:14: 'client_crl' in [proxy.tls] has no effect without 'client_ca': name that file, too"},
        Refusal{"NothingLeftBesideTheReserve", "[proxy]\nmax_client_connections = 5\nreserved_connections = 2\n",
                "t.toml:9:24: 'superuser_reserved_connections' (3) and 'reserved_connections' (2) in [proxy] must be "
                "less together than 'max_client_connections' (5)"},
        Refusal{"RemoteConsoleForNobody", "[admin]\nremote = true\n",
                "t.toml:8:10: 'remote' in [admin] lets nobody in: name roles in 'admin_users' or 'stats_users'"},
        Refusal{"RelativeAdminSocket", "[admin]\nsocket = \"run\"\n",
                "t.toml:8:10: 'socket' in [admin] must be a directory's absolute path"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Config, ProblemsAreToldTogetherInTheOrderOfTheFile) {
    EXPECT_EQ(
        refused("[switch]\ndatabases = []\nmax_pause = 1\n[side.blue]\nurl = \"host=a\"\n"),
        "t.toml:2:13: 'databases' in [switch] is empty: name at least one\n"
        "t.toml:3:13: 'max_pause' in [switch] must be a duration: a duration is a whole number with its unit, such "
        "as \"100ms\", \"60s\" or \"10m\"\n"
        "t.toml:4:1: 'url' in [side.green] is missing: Control's own connection to green: a libpq conninfo or URI "
        "without a database.");
}

TEST(Config, WhatIsNoTomlIsRefusedWithItsPlace) {
    EXPECT_TRUE(refused("[proxy]\nlisten = [\n").starts_with("t.toml:")) << refused("[proxy]\nlisten = [\n");
    EXPECT_NE(refused("[proxy\n").find("t.toml:1:"), std::string::npos);
}

TEST(Config, SidesAreLookedAtBeforeAnybodyConnects) {
    const auto with_blue = [](const std::string& url) {
        return refused("[side.green]\nurl=\"host=g\"\n[switch]\ndatabases=[\"a\"]\n[side.blue]\nurl = \"" + url +
                       "\"\n");
    };
    EXPECT_EQ(with_blue("host=b dbname=app"),
              "t.toml:6:7: 'url' in [side.blue] cannot be used: it names the database \"app\": leave dbname out, the "
              "databases are listed in [switch] databases");
    EXPECT_EQ(with_blue("host=b port=99999"),
              "t.toml:6:7: 'url' in [side.blue] cannot be used: '99999' is no port: it must be a "
              "number from 1 to 65535");
    EXPECT_EQ(
        with_blue("host=b,c,d port=1,2"),
        "t.toml:6:7: 'url' in [side.blue] cannot be used: it has 2 ports for 3 hosts: give one for all, or one for "
        "each");
    EXPECT_NE(with_blue("host=b,c hostaddr=1.1.1.1").find("it has 2 values for host and 1 for hostaddr: give as many"),
              std::string::npos);
    EXPECT_NE(with_blue("host=b,,c").find("one of its hosts is empty: write a name"), std::string::npos);
    EXPECT_NE(with_blue("host=b sslmode=perhaps").find("sslmode 'perhaps' does not exist: use disable, allow, prefer"),
              std::string::npos);
    EXPECT_NE(with_blue("host=b channel_binding=no").find("channel_binding 'no' does not exist: use disable"),
              std::string::npos);
    EXPECT_NE(with_blue("service=x host=b").find("'service' is not supported: write its settings here"),
              std::string::npos);
    EXPECT_EQ(with_blue("host=b sslmode=verify-full"),
              "t.toml:6:7: 'url' in [side.blue] cannot be used: sslmode=verify-full needs sslrootcert");
    EXPECT_NE(with_blue("user=postgres").find("it has no host"), std::string::npos);
    EXPECT_NE(with_blue("host=g").find("blue and green have the same url"), std::string::npos);
}

TEST(Config, DatabasesAreNamedOnceAndTheConsoleIsNone) {
    const auto with = [](const std::string& databases, const std::string& more = "") {
        return refused("[side.blue]\nurl=\"host=b\"\n[side.green]\nurl=\"host=g\"\n[switch]\ndatabases = [" +
                       databases + "]\n" + more);
    };
    EXPECT_EQ(with("\"\""), "t.toml:6:13: 'databases' in [switch] holds an empty name: take it out");
    EXPECT_EQ(with("\"a\", \"a\""), "t.toml:6:13: database 'a' is named twice: take one out");
    EXPECT_EQ(with("\"pgbouncer\"", "[admin]\nremote = true\nadmin_users = [\"dba\"]\n"),
              "t.toml:8:10: 'remote' in [admin] makes 'pgbouncer' the console's name, but [switch] lists a database of "
              "that name: leave 'remote' out");
    EXPECT_EQ(with("\"a\"", "[auth]\nident_file = \"/maps\"\n"),
              "t.toml:8:14: 'ident_file' in [auth] has no effect without 'hba_file': name that file, too");
}

TEST(Config, NoPasswordIsTold) {
    const std::string bad = refused(
        "[side.blue]\nurl = \"host=b password=hunter2 port\"\n[side.green]\nurl = \"host=g password='hun ter2' x\"\n");
    EXPECT_EQ(bad.find("hunter2"), std::string::npos) << bad;
    EXPECT_EQ(bad.find("ter2"), std::string::npos) << bad;
    const Config config = parse_config(
        "[side.blue]\nurl = \"host=b password=hunter2\"\n[side.green]\nurl = \"postgresql://u:hunter2@g\"\n"
        "[switch]\ndatabases = [\"app\"]\n",
        "t.toml");
    EXPECT_TRUE(has_passwords(config));
    for (const ConfigRow& row : config_rows(config)) EXPECT_EQ(row.value.find("hunter2"), std::string::npos) << row.key;
}

TEST(Config, AMissingFileIsRefusedByName) {
    try {
        load_config("/nonexistent/turnout.toml");
        FAIL();
    } catch (const ConfigRefused& wrong) {
        EXPECT_STREQ(wrong.what(),
                     "/nonexistent/turnout.toml: the configuration cannot be read: No such file or directory");
    }
}

TEST(ConfigTable, KeysAreUniqueAndDescribed) {
    std::set<std::string> paths;
    for (const ConfigKey& key : config_keys()) {
        EXPECT_TRUE(paths.insert(key.path()).second) << key.path();
        EXPECT_TRUE(key.description.ends_with('.')) << key.path();
    }
}

TEST(ConfigTable, ShowConfigHasEveryKeyWithItsValueAndDefault) {
    const auto rows = config_rows(parse_config(std::string(kLeast) + "max_pause = \"250ms\"\n", "t.toml"));
    std::map<std::string, ConfigRow> by_key;
    for (const ConfigRow& row : rows) by_key[row.key] = row;
    EXPECT_EQ(by_key.size(), rows.size()) << "one stands there twice";
    EXPECT_EQ(rows.size(), config_keys().size());
    for (const ConfigKey& key : config_keys()) {
        SCOPED_TRACE(key.path());
        ASSERT_TRUE(by_key.contains(key.path()));
        EXPECT_EQ(by_key[key.path()].changeable, key.reloadable);
    }
    EXPECT_EQ(by_key["switch.max_pause"].value, "250ms");
    EXPECT_EQ(by_key["switch.max_pause"].default_value, "100ms");
}

TEST(ConfigReload, TakesOverWhatMayChangeAndNamesWhatNeedsARestart) {
    const Config running = parse_config(kLeast, "t.toml");
    const Config fresh = parse_config(std::string(kLeast) + "max_pause = \"250ms\"\n[proxy]\nworkers = 7\n", "t.toml");
    std::vector<std::string> unchanged;
    const Config result = reloaded(running, fresh, unchanged);
    EXPECT_EQ(result.switching.max_pause, Milliseconds(250));
    EXPECT_EQ(result.data_plane.workers, 0U);
    EXPECT_EQ(unchanged, std::vector<std::string>{"proxy.workers"});
}

}  // namespace
}  // namespace turnout::control
