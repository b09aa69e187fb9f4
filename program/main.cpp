// turnout: `serve` runs the proxy, every other verb is a client of its admin socket.
#include <exception>
#include <iostream>
#include <variant>

#include "program/command_line.hpp"
#include "program/operate.hpp"
#include "program/serve.hpp"
#include "program/terminal.hpp"
#include "program/watch.hpp"

namespace turnout::program {
namespace {

int run(const Ended& ended) { return ended.exit_status; }
int run(const ServeRequest& request) { return serve(request); }
int run(const WatchRequest& request) { return watch(request, std::cout, std::cerr); }
int run(const OperatorRequest& request) { return operate(request); }
int run(control::AdminRequest request) {
    if (!request.question.empty() && !confirmed(request.question)) {
        std::cerr << "turnout: nothing was done: the answer was not y" << std::endl;
        return static_cast<int>(control::ExitStatus::refused);
    }
    request.terminal = is_terminal(Stream::err);
    request.colour = !request.json && wants_colour(Stream::out);
    return static_cast<int>(control::run_admin_command(request, std::cout, std::cerr));
}

}  // namespace
}  // namespace turnout::program

int main(int argc, char** argv) {
    using namespace turnout;
    try {
        return std::visit([](const auto& request) { return program::run(request); },
                          program::parse_command_line(argc, argv));
    } catch (const std::exception& error) {
        std::cerr << "turnout: " << error.what() << std::endl;
        return static_cast<int>(control::ExitStatus::refused);
    }
}
