#include "head/control/crash_reports.hpp"

#include "head/base/log.hpp"
#include "head/base/post_mortem.hpp"
#include "head/base/symbols.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace head::control {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t raw_max = 4 << 20;
constexpr std::chrono::seconds explained_within{60};
constexpr std::size_t told_lines_max = 24;

std::string read_file(const fs::path& path, std::size_t most) {
  std::ifstream file(path, std::ios::binary);
  std::string text(most, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

// Those whose names end so, the newest first.
std::vector<fs::path> reports(const fs::path& folder, std::string_view extension) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    const std::string name = at->path().filename();
    if (at->path().extension() != extension) continue;
    if (name.rfind("crash-", 0) == 0 || name.rfind("stall-", 0) == 0) found.push_back(at->path());
  }
  const auto time_of = [](const fs::path& path) { return path.filename().string().substr(6); };
  std::sort(found.begin(), found.end(),
            [&](const auto& a, const auto& b) { return time_of(a) > time_of(b); });
  return found;
}

void keep_newest(const fs::path& folder) {
  const auto all = reports(folder, ".txt");
  std::error_code ignored;
  for (std::size_t i = post_mortem::reports_max; i < all.size(); ++i) fs::remove(all[i], ignored);
}

// The first block of lines, and the first thread's.
std::string worth_telling(std::string_view text) {
  std::size_t end = 0;
  for (int blocks = 0; blocks < 2 && end != std::string_view::npos; ++blocks)
    end = text.find("\n\n", end == 0 ? 0 : end + 2);
  std::size_t lines = 0;
  for (std::size_t at = 0; at != std::string_view::npos && at < end; ++lines) {
    if (lines == told_lines_max) return std::string(text.substr(0, at));
    at = text.find('\n', at + 1);
  }
  return std::string(text.substr(0, end));
}

// False when it was ended because of `stop`, or could not be begun.
bool run_explainer(const fs::path& raw, const std::stop_token& stop) {
  std::string self = "/proc/self/exe";
  std::string flag = "--explain-crash";
  std::string file = raw.native();
  char* const arguments[] = {self.data(), flag.data(), file.data(), nullptr};
  pid_t child = 0;
  // Signals that are held in this process are held in none that it starts.
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error = ::posix_spawn(&child, self.c_str(), nullptr, &attributes, arguments, environ);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    log::warning("headd: {} cannot be explained now: {}", raw.string(), std::strerror(error));
    return false;
  }
  const auto until = std::chrono::steady_clock::now() + explained_within;
  for (;;) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) != 0) return true;
    const bool late = std::chrono::steady_clock::now() >= until;
    if (late || stop.stop_requested()) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return late;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

std::vector<CrashReport> crash_reports(const fs::path& folder) {
  std::vector<CrashReport> list;
  for (const char* extension : {".txt", ".raw"})
    for (const fs::path& path : reports(folder, extension))
      list.push_back({path.filename(), read_file(path, crash_text_max)});
  return list;
}

Result<std::string, std::string> explain_crash(const fs::path& raw) {
  const std::string report = read_file(raw, raw_max);
  if (report.empty()) return Failure{fmt::format("{} cannot be read, or is empty", raw.string())};
  auto explained = symbols::explain(report);
  const std::string text =
      explained ? *explained
                : fmt::format("{}\n(no names for the addresses: {})\n", report, explained.error());
  fs::path into = raw;
  into.replace_extension(".txt");
  {
    std::ofstream file(into, std::ios::binary | std::ios::trunc);
    file << text;
    if (!file.flush())
      return Failure{fmt::format("{} cannot be written; is the disk full?", into.string())};
  }
  fs::remove(raw);
  return fmt::format("{}\n{} has all of it\n", worth_telling(text), into.string());
}

CrashExplainer::CrashExplainer(fs::path folder) : folder_(std::move(folder)) {
  look();
}

void CrashExplainer::look() {
  worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

void CrashExplainer::work(const std::stop_token& stop) const {
  post_mortem::guard_thread();
  // Tried once each: what cannot be explained would not be the next time.
  for (const fs::path& raw : reports(folder_, ".raw")) {
    if (!run_explainer(raw, stop)) return;
    std::error_code error;
    if (fs::exists(raw, error)) {
      fs::path into = raw;
      fs::rename(raw, into.replace_extension(".txt"), error);
      log::warning("headd: it ended unexpectedly before, and why is told in {}", into.string());
    }
  }
  keep_newest(folder_);
}

}  // namespace head::control
