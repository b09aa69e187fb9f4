// turnout: `serve` runs the proxy, every other verb is a client of its admin socket.
#include <exception>
#include <iostream>
#include <variant>

#include "program/command_line.hpp"
#include "program/serve.hpp"

int main(int argc, char** argv) {
    using namespace turnout;
    try {
        const program::Request request = program::parse_command_line(argc, argv);
        if (const auto* ended = std::get_if<program::Ended>(&request)) return ended->exit_status;
        if (const auto* serve = std::get_if<program::ServeRequest>(&request)) return program::serve(*serve);
        return static_cast<int>(
            control::run_admin_command(std::get<control::AdminRequest>(request), std::cout, std::cerr));
    } catch (const std::exception& error) {
        std::cerr << "turnout: " << error.what() << std::endl;
        return static_cast<int>(control::ExitStatus::refused);
    }
}
