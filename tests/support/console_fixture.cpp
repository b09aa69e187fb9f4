#include "tests/support/console_fixture.hpp"

#include <array>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <future>
#include <stdexcept>

namespace turnout::support {
namespace {

std::string fresh_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "turnout-console-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no directory for the test: " + pattern);
    return pattern;
}

}  // namespace

ServedConsole::ServedConsole(control::CommandHandler handler) : directory_(fresh_directory()) {
    control::ConsoleSettings settings;
    settings.directory = directory_;
    settings.program_version = "0.0.test";
    console_ = std::make_unique<control::Console>(context_.get_executor(), settings, std::move(handler));
    console_->open();
    thread_ = std::thread([this] { context_.run(); });
}

ServedConsole::~ServedConsole() {
    context_.stop();
    thread_.join();
    console_.reset();
    std::filesystem::remove_all(directory_);
}

void ServedConsole::close() {
    std::promise<void> closed;
    boost::asio::post(context_, [this, &closed] {
        console_->close();
        closed.set_value();
    });
    closed.get_future().wait();
}

}  // namespace turnout::support
