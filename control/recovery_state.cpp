#include "control/recovery_state.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace turnout::control {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view what) {
    throw std::runtime_error(
        fmt::format("the state file {} {}: {}", path.string(), what, std::generic_category().message(errno)));
}

/// Closes by itself.
class Descriptor {
  public:
    Descriptor(const std::filesystem::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }

  private:
    int fd_;
};

void write_flushed(const std::filesystem::path& path, const std::string& text) {
    const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
    if (file.get() < 0) fail(path, "cannot be made");
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        fail(path, "cannot be written");
    }
    if (::fsync(file.get()) != 0) fail(path, "cannot be flushed");
}

}  // namespace

ServedState StateFile::load() {
    if (path_.empty()) return kept_;
    std::ifstream file(path_);
    if (!file) {
        if (!std::filesystem::exists(path_)) return {};
        fail(path_, "cannot be read");
    }
    std::ostringstream content;
    content << file.rdbuf();

    std::istringstream words(content.str());
    ServedState state;
    std::int64_t attempt = 0;
    std::string rest;
    const bool has_served = static_cast<bool>(words >> state.served) && state.served > 0;
    if (has_served && words >> attempt) state.attempt = attempt;
    words.clear();
    if (!has_served || (words >> rest) || (state.attempt && *state.attempt <= state.served)) {
        throw std::runtime_error(fmt::format(
            "the state file {} does not hold a generation: if it is damaged, look with psql into turnout.journal of "
            "both sides for the highest active generation and write that number into it",
            path_.string()));
    }
    return state;
}

void StateFile::store(const ServedState& state) {
    const std::int64_t known = load().served;
    if (known > state.served) {
        throw std::runtime_error(fmt::format(
            "the state file {} says that generation {} was served, {} is to be written: another process is in charge",
            path_.string(), known, state.served));
    }
    kept_ = state;
    if (path_.empty()) return;
    const std::string text =
        state.attempt ? fmt::format("{} {}\n", state.served, *state.attempt) : fmt::format("{}\n", state.served);
    const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
    std::error_code ignored;  // a folder that cannot be made shows in the next step
    std::filesystem::create_directories(folder, ignored);

    std::filesystem::path fresh = path_;
    fresh += ".new";
    write_flushed(fresh, text);
    if (::rename(fresh.c_str(), path_.c_str()) != 0) fail(path_, "cannot be replaced");
    const Descriptor directory(folder, O_RDONLY | O_DIRECTORY);
    if (directory.get() < 0 || ::fsync(directory.get()) != 0) fail(folder, "cannot be flushed");
}

void StateFile::forget() {
    kept_ = {};
    std::error_code error;
    if (!path_.empty() && !std::filesystem::remove(path_, error) && error) {
        errno = error.value();
        fail(path_, "cannot be removed");
    }
}

}  // namespace turnout::control
