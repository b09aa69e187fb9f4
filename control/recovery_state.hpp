// The state file: the highest generation that this proxy ever served and, while an attempt is under way, the generation
// that may be served next. It protects against a server that was restored from before a switch: the journal there has
// forgotten, the file has not.
//
//   "2\n"    generation 2 is served
//   "2 3\n"  generation 2 is served, an attempt may make it 3
//
// The second number is written before the window, so that no generation is ever served that the file does not name, and
// no fsync stands in the window. Recovery treats it like an intent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace turnout::control {

struct ServedState {
    std::int64_t served = 0;              ///< 0: never served anything
    std::optional<std::int64_t> attempt;  ///< above `served`
    friend bool operator==(const ServedState&, const ServedState&) = default;
};

/// The file. An empty path keeps the state in memory only. Blocking, not thread-safe: one call at a time.
class StateFile {
  public:
    explicit StateFile(std::filesystem::path path) : path_(std::move(path)) {}

    /// What it says; a missing file is ServedState{}. Throws std::runtime_error that names the file and what to do.
    ServedState load();
    /// Replaces it as a whole: written beside it, flushed, renamed, the directory flushed. Throws std::runtime_error,
    /// also if it names a higher generation as served: then another process is in charge, and this one's news are old.
    void store(const ServedState& state);
    /// Removes it: after `abort`, when nothing of turnout's is left on either side. Throws std::runtime_error.
    void forget();

    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
    ServedState kept_;  ///< without a path
};

}  // namespace turnout::control
