// latency: what guests saw, as a table, or as pictures of how it was spread.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/latency_picture.hpp"
#include "tools/headctl/output.hpp"
#include "tools/headctl/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

namespace headctl {

namespace {

using nlohmann::json;

std::string path_of(const LatencyOptions& options, bool histogram) {
  return (options.name.empty() ? "/v1/latency" : "/v1/latency/" + encoded(options.name)) +
         (histogram ? "?histogram=true" : "");
}

std::string title_of(const LatencyOptions& options, const std::string& what) {
  std::string text = fmt::format("Latency of {}, {}",
                                 options.name.empty() ? "all discs" : "disc " + options.name, what);
  for (const std::string& operation : options.operations) text += ", " + operation;
  return text;
}

void write_picture(const std::string& file, const std::string& picture) {
  std::FILE* const out = std::fopen(file.c_str(), "w");
  const bool written = out != nullptr && std::fputs(picture.c_str(), out) >= 0;
  const int why = errno;
  if ((out != nullptr && std::fclose(out) != 0) || !written)
    throw Failure(Exit::invalid, fmt::format("cannot write {}: {}", file, std::strerror(why)));
}

// Where that time went.
Table parts_of(const json& operations) {
  Table table({{"OPERATION"}, {"WHERE"}, {"MEAN", true}, {"P50", true}, {"P99", true}});
  constexpr std::pair<const char*, const char*> parts[] = {
      {"head", "in the head"}, {"wire", "on the wire"}, {"tail", "at the tail"}};
  for (const auto& [operation, of] : operations.items()) {
    for (const auto& [part, where] : parts) {
      std::vector<std::string> row = {operation, where};
      for (const char* what : {"_mean_s", "_p50_s", "_p99_s"})
        row.push_back(human_time(of[std::string(part) + what]));
      table.add(std::move(row));
    }
  }
  return table;
}

void print_table(const json& answer) {
  Table table({{"OPERATION"},
               {"REQUESTS", true},
               {"BYTES", true},
               {"ERRORS", true},
               {"MEAN", true},
               {"P50", true},
               {"P90", true},
               {"P99", true},
               {"P99.9", true},
               {"LONGEST", true}});
  for (const auto& [operation, of] : answer["operations"].items()) {
    std::vector<std::string> row = {operation, of["requests"].dump(), human_bytes(of["bytes"]),
                                    of["errors"].dump()};
    for (const char* key : {"mean_s", "p50_s", "p90_s", "p99_s", "p999_s", "max_s"})
      row.push_back(human_time(of[key]));
    table.add(std::move(row));
  }
  show(table);
  show(parts_of(answer["operations"]));
  show("stalls: " + by_cause(answer["stalls"], answer["stall_seconds"]) + "\n");
}

Exit histogram(const Context& context, const LatencyOptions& options) {
  const json answer = context.client().get(path_of(options, true));
  const Octaves octaves = octaves_of(answer, options.operations);
  if (!options.svg.empty())
    write_picture(options.svg, svg_histogram(octaves, title_of(options, "since the start")));
  if (context.json)
    print(answer);
  else if (options.histogram)
    print(draw_histogram(octaves, out_style()));
  return Exit::done;
}

std::vector<Octaves> sample(const Context& context, const LatencyOptions& options) {
  Client client = context.client();
  const auto ask = [&] {
    return octaves_of(client.get(path_of(options, true)), options.operations);
  };
  std::vector<Octaves> seconds;
  auto next = std::chrono::steady_clock::now();
  Octaves before = ask();
  while (seconds.size() < options.seconds) {
    progress(progress_bar(seconds.size(), options.seconds, 40, err_style()) +
                 fmt::format(" {} of {} s", seconds.size(), options.seconds),
             false);
    next += std::chrono::seconds(1);
    std::this_thread::sleep_until(next);
    const Octaves now = ask();
    seconds.push_back(between(before, now));
    before = now;
  }
  progress("", false);
  return seconds;
}

json to_json(const std::vector<Octaves>& seconds) {
  json list = json::array();
  for (const Octaves& second : seconds) {
    json buckets = json::array();
    for (std::size_t i = 0; i < second.size(); ++i)
      if (second[i] != 0) buckets.push_back({octave_lower_s(i), second[i]});
    list.push_back(std::move(buckets));
  }
  return {{"seconds", std::move(list)}};
}

Exit heatmap(const Context& context, const LatencyOptions& options) {
  const std::vector<Octaves> seconds = sample(context, options);
  if (!options.svg.empty())
    write_picture(options.svg,
                  svg_heatmap(seconds, title_of(options, fmt::format("{} s", seconds.size()))));
  if (context.json)
    print(to_json(seconds));
  else
    print(draw_heatmap(seconds, out_style()));
  return Exit::done;
}

}  // namespace

Exit latency(const Context& context, const LatencyOptions& options) {
  if (options.heatmap) return heatmap(context, options);
  if (options.histogram || !options.svg.empty()) return histogram(context, options);
  const json answer = context.client().get(path_of(options, false));
  if (context.json)
    print(answer);
  else
    print_table(answer);
  return Exit::done;
}

}  // namespace headctl
