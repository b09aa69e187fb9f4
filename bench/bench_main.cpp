#include "bench/bench_main.hpp"

#include <boost/json/serialize.hpp>
#include <fstream>
#include <stdexcept>

#include "bench/interrupt.hpp"

namespace turnout::bench {

namespace fs = std::filesystem;

int bench_main(int argc, char** argv, const std::string& about, BenchOptions& options,
               const std::function<void(CLI::App&)>& more, const std::function<int(Terminal&)>& measure) {
    options.program = fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "turnout";
    CLI::App app{about};
    app.add_option("--program", options.program, "the executable turnout")->check(CLI::ExistingFile);
    app.add_option("--major", options.major, "of the servers; of blue where there is --green")->capture_default_str();
    app.add_option("--json", options.json, "file for every figure");
    more(app);
    CLI11_PARSE(app, argc, argv);
    Terminal terminal;
    try {
        catch_interrupts();
        return measure(terminal);
    } catch (const Interrupted&) {
        return 130;
    } catch (const std::exception& error) {
        terminal.bad(error.what());
        return 1;
    }
}

void write_json(const BenchOptions& options, const boost::json::value& figures) {
    if (options.json.empty()) return;
    std::ofstream file(options.json);
    file << boost::json::serialize(figures) << "\n";
    if (!file.flush()) throw std::runtime_error("cannot write " + options.json.string());
}

}  // namespace turnout::bench
