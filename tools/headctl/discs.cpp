// attach, detach, discs: one disc at a time, and the list of them.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/output.hpp"
#include "tools/headctl/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <vector>

namespace headctl {

namespace {

using nlohmann::json;

// So often what is waited for is shown again.
constexpr std::chrono::seconds wait_short{2};

std::string waiting(std::chrono::seconds most = wait_short) {
  return fmt::format("?wait={}", most.count());
}

bool is_settled(const std::string& state) {
  return state == "ready" || state == "held" || state == "failing" || state == "failed" ||
         state == "detaching";
}

std::string said(const json& disc) {
  std::string text = fmt::format("{} is {}", disc.value("name", ""), disc.value("state", ""));
  const std::string problem = disc.value("problem", "");
  return problem.empty() ? text : text + ": " + problem;
}

// How far an attachment is, of what it goes through: stored, resolved, connected.
std::size_t steps_done(const std::string& state) {
  if (state == "pending") return 0;
  return state == "resolving" ? 1 : is_settled(state) ? 3 : 2;
}

std::string not_ready_after(const json& disc, std::chrono::seconds limit) {
  const std::string name = disc.value("name", ""), problem = disc.value("problem", "");
  return fmt::format(
      "disc {} is not ready after {} s: it waits for {}{}; it stays attached, and headd goes on "
      "trying: see `headctl discs {}`",
      name, limit.count(), disc.value("waits_for", "its tail"),
      problem.empty() ? "" : fmt::format(" ({})", problem), name);
}

// Asks until there is nothing more to wait for; shows a terminal what it waits for.
json await_disc(Client& client, json disc, std::chrono::seconds limit) {
  const std::string name = disc.value("name", "");
  const auto show_progress = [&](bool last) {
    const std::size_t done = steps_done(disc.value("state", ""));
    progress(progress_bar(done, 3, 12, err_style()) + " " + said(disc), last);
  };
  bool waited = false;
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!is_settled(disc.value("state", ""))) {
    const auto asked = std::chrono::steady_clock::now();
    if (asked >= until) {
      show_progress(true);
      throw Failure(Exit::timed_out, not_ready_after(disc, limit));
    }
    show_progress(false);
    waited = true;
    const auto left = std::chrono::ceil<std::chrono::seconds>(until - asked);
    disc = client.get(disc_path(name) + waiting(std::min(left, wait_short)));
    if (!is_settled(disc.value("state", ""))) pause_if_early(asked);
  }
  if (waited) show_progress(true);
  return disc;
}

// What it waits for, and how long it has.
std::string wait_of(const json& disc) {
  const std::string what = disc.value("waits_for", "");
  return disc.contains("waits_s")
             ? fmt::format("{}, {}", what, human_time(disc["waits_s"].get<double>()))
             : what;
}

std::uint64_t stalls_of(const json& disc) {
  std::uint64_t sum = 0;
  for (const auto& [cause, count] : disc["stalls"].items()) sum += count.get<std::uint64_t>();
  return sum;
}

std::string requests_of(const json& disc, const char* operation) {
  const json& operations = disc["operations"];
  if (!operations.contains(operation)) return "0";
  return operations[operation]["requests"].dump();
}

void print_list(const json& discs) {
  Table table({{"NAME"},
               {"STATE", false, tone_of},
               {"SIZE", true},
               {"TAIL"},
               {"VIA"},
               {"GUESTS", true},
               {"READS", true},
               {"WRITES", true},
               {"STALLS", true},
               {"WAITS FOR"},
               {"PROBLEM"}});
  for (const json& disc : discs) {
    const auto size = disc.value("size", std::uint64_t{0});
    table.add({disc.value("name", ""), disc.value("state", ""), size == 0 ? "" : human_bytes(size),
               disc.value("uri", ""), disc.value("via", ""), disc["guests"].dump(),
               requests_of(disc, "read"), requests_of(disc, "write"),
               std::to_string(stalls_of(disc)), wait_of(disc), disc.value("problem", "")});
  }
  show(table);
}

// The sizes that guests go on using, where these are not all the disc's.
std::string guest_sizes_of(const json& disc) {
  std::map<std::uint64_t, std::size_t> guests;
  for (const json& size : disc.value("guest_sizes", json::array()))
    ++guests[size.get<std::uint64_t>()];
  guests.erase(disc.value("size", std::uint64_t{0}));
  std::string text;
  for (const auto& [size, count] : guests)
    text += fmt::format("{}{} by {} until {} again", text.empty() ? "" : ", ", human_bytes(size),
                        count == 1 ? "one guest" : fmt::format("{} guests", count),
                        count == 1 ? "it connects" : "they connect");
  return text;
}

std::string joined(const json& list) {
  std::string text;
  for (const json& word : list) text += (text.empty() ? "" : " ") + word.get<std::string>();
  return text;
}

void print_one(const json& disc) {
  Sheet sheet;
  for (const char* key : {"name", "state", "problem", "last_problem", "grade", "durability",
                          "identity", "uri", "lladdr", "dev", "via", "socket"})
    sheet.add(key, disc.value(key, ""));
  if (disc.contains("state_s")) sheet.add("state since", human_age(disc["state_s"]));
  sheet.add("waits for", wait_of(disc));
  if (const auto grace = disc.value("grace_s", 0); grace != 0)
    sheet.add("grace", fmt::format("guests wait {} s for the tail, then get EIO", grace));
  sheet.add("size", human_bytes(disc["size"]));
  sheet.add("size in use", guest_sizes_of(disc));
  sheet.add("tail offers", joined(disc["flags"]));
  if (const auto kept = disc.value("unflushed", std::uint64_t{0}); kept != 0)
    sheet.add("not flushed", human_bytes(kept) + " of memory for acknowledged writes");
  sheet.add("read only", disc["read_only"] ? "yes" : "");
  for (const char* key : {"guests", "connected", "in_flight", "reconnects"})
    sheet.add(key, disc[key].dump());
  for (const auto& [operation, counts] : disc["operations"].items())
    sheet.add(operation, fmt::format("{} requests, {}, {} errors", counts["requests"].dump(),
                                     human_bytes(counts["bytes"]), counts["errors"].dump()));
  for (const auto& [cause, count] : disc["stalls"].items())
    sheet.add("stalls, " + cause,
              fmt::format("{}, {} together", count.dump(),
                          human_time(disc["stall_seconds"][cause].get<double>())));
  sheet.add("waits for neighbours", neighbour_stall_text(disc));
  sheet.add("slow opening", by_cause(disc.value("slow_openings", json::object()),
                                     disc.value("slow_opening_seconds", json::object())));
  show(sheet.text());
}

}  // namespace

Exit attach(const Context& context, const AttachOptions& options) {
  json body = {{"name", options.name},
               {"uri", options.uri},
               {"read_only", options.read_only},
               {"connections", options.connections}};
  if (!options.lladdr.empty()) body["lladdr"] = options.lladdr;
  if (options.generation != 0) body["generation"] = options.generation;
  if (!options.dev.empty()) body["dev"] = options.dev;
  if (!options.grade.empty()) body["grade"] = options.grade;
  if (options.grace_s != 0) body["grace_s"] = options.grace_s;
  if (!options.durability.empty()) body["durability"] = options.durability;
  if (!options.identity.empty()) body["identity"] = options.identity;
  Client client = context.client();
  json disc = client.put(disc_path(options.name), body);
  if (options.wait)
    disc = await_disc(client, std::move(disc), std::chrono::seconds(options.timeout_s));
  if (context.json)
    print(disc);
  else
    print(fmt::format("{}; guests connect to {}\n", said(disc), disc.value("socket", "")));
  const std::string state = disc.value("state", "");
  return options.wait && state != "ready" ? Exit::not_ready : Exit::done;
}

namespace {

// Until it is gone; shows a terminal that it waits for it, `line` being how far the whole is.
json detach_and_wait(Client& client, const std::string& name, const std::string& line) {
  auto asked = std::chrono::steady_clock::now();
  json answer = client.remove(disc_path(name) + waiting());
  while (answer.value("state", "") != "gone") {
    progress(line + ", " + name + " still has requests under way", false);
    pause_if_early(asked);
    asked = std::chrono::steady_clock::now();
    try {
      answer = client.remove(disc_path(name) + waiting());
    } catch (const Refused& refused) {
      if (refused.status != Exit::missing) throw;
      answer["state"] = "gone";
    }
  }
  return answer;
}

}  // namespace

Exit detach(const Context& context, const DetachOptions& options) {
  const bool wait = !options.no_wait;
  const std::size_t all = options.names.size();
  Client client = context.client();
  json answers = json::array();
  for (const std::string& name : options.names) {
    const std::string line = progress_bar(answers.size(), all, 40, err_style()) +
                             fmt::format(" {} of {} detached", answers.size(), all);
    if (all > 1) progress(line, false);
    json answer = wait ? detach_and_wait(client, name, line) : client.remove(disc_path(name));
    progress("", false);
    if (!context.json) print(fmt::format("{} is {}\n", name, wait ? "detached" : "being detached"));
    answers.push_back(std::move(answer));
  }
  if (context.json) print(answers);
  return Exit::done;
}

Exit discs(const Context& context, const DiscsOptions& options) {
  const std::string path = options.name.empty() ? "/v1/discs" : disc_path(options.name);
  const json answer = context.client().get(path);
  if (context.json)
    print(answer);
  else if (options.name.empty())
    print_list(answer["discs"]);
  else
    print_one(answer);
  return Exit::done;
}

}  // namespace headctl
