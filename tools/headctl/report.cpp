// report: one archive for whoever has to help. Everything is only read; nothing leaves the machine.
#include "tools/headctl/archive.hpp"
#include "tools/headctl/commands.hpp"
#include "tools/headctl/doctor.hpp"
#include "tools/headctl/kernel_neighbours.hpp"
#include "tools/headctl/output.hpp"
#include "tools/headctl/report_members.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>

namespace headctl {

namespace {

using nlohmann::json;

constexpr std::size_t file_bytes_max = 8 << 20;
constexpr std::chrono::seconds answers_within{60};  // All of headd's.
constexpr std::chrono::seconds hangs_after{5};      // The first one.

std::string of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return "there is no " + path + "\n";
  std::string text(file_bytes_max, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

std::string pretty(const json& object) {
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string of_headd(Client& client, const Asked& asked) {
  const std::string name = asked.name;
  if (name == "headd/metrics.txt") return client.text(asked.path);
  const json answer = client.get(asked.path);
  if (name == "headd/head.toml")
    return "# " + answer.at("path").get<std::string>() + "\n" +
           answer.at("text").get<std::string>();
  if (name != "headd/log.txt") return pretty(answer);
  std::string text;
  for (const json& line : answer.at("lines")) text += line.get<std::string>() + "\n";
  return text;
}

// What cannot be had is told of in its place.
template <class Have>
std::string or_why(const Have& have) {
  try {
    return have();
  } catch (const std::exception& failure) {
    return fmt::format("this could not be had: {}\n", failure.what());
  }
}

// "KEY = VALUE" for all there is under a folder of /proc/sys.
std::string settings_under(const std::string& folder) {
  std::string text;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(folder, error);
  for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    if (!at->is_regular_file(error) || text.size() > file_bytes_max) continue;
    if (at->path().filename() == "stable_secret" || at->path().filename() == "flush") continue;
    std::string value;
    if (std::getline(std::ifstream(at->path()), value))
      text += at->path().string().substr(folder.size() + 1) + " = " + value + "\n";
  }
  return text;
}

// A headd that hangs is what some reports are about: whoever asks for one does not wait for each of
// its answers.
Context bounded(Context context) {
  const auto now = [] { return std::chrono::steady_clock::now(); };
  context.until = now() + hangs_after;
  try {
    context.client().get("/v1/status");
  } catch (const Failure& failure) {
    if (failure.status == Exit::unreachable) return context;
  }
  context.until = now() + answers_within;
  return context;
}

std::vector<Member> collected(const Context& whole) {
  const Context context = bounded(whole);
  std::vector<Member> members;
  members.push_back({"doctor.txt", "whether this head can stall, and why", or_why([&] {
                       return doctor_text(examined(context, {}), {.unicode = true});
                     })});
  members.push_back({"doctor.json", "the same for programs",
                     or_why([&] { return pretty(examined(context, {})); })});
  members.push_back({"headctl", "headctl's version", HEAD_VERSION "\n"});
  Client client = context.client();
  for (const Asked& asked : asked_of_headd)
    members.push_back({asked.name, asked.what, or_why([&] { return of_headd(client, asked); })});
  members.push_back({"kernel/neighbours.json", "the kernel's own neighbour table",
                     or_why([] { return pretty(kernel_neighbours(true)); })});
  for (const Asked& asked : asked_of_kernel)
    members.push_back({asked.name, asked.what, of_file(asked.path)});
  members.push_back({"kernel/sysctl-ipv6", "settings", settings_under("/proc/sys/net/ipv6")});
  return members;
}

}  // namespace

Exit report(const Context& context, const ReportOptions& options) {
  if (!options.list && options.file.empty())
    throw Failure(Exit::usage, "a name for the report is needed, report.tar.gz say; or --list");
  // Before anybody waits for it.
  if (!options.list && !options.force && std::filesystem::exists(options.file))
    throw Failure(Exit::invalid,
                  fmt::format("{} is there already; --force writes over it", options.file));
  const std::vector<Member> members = collected(context);
  if (context.json)
    print({{"file", options.file}, {"members", listing_json(members)}});
  else
    print(listing(members));
  if (options.list) return Exit::done;
  write_archive(options.file, members, options.force);
  note(fmt::format("{} is written; look at it before you give it to anybody", options.file));
  return Exit::done;
}

}  // namespace headctl
