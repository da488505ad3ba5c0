// What headctl top knows: samples of the head, and what became of them in between, as rows to be
// shown. Pure; the screen is top_screen.hpp's, the asking and the terminal are top.cpp's.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace headctl {

// Lower bounds in seconds, and how many took that long: one histogram, or what came to it.
using Buckets = std::map<double, std::uint64_t>;

struct DiscSample {
  std::string name, state, grade, problem, tail, via;
  std::uint64_t requests = 0, bytes = 0, errors = 0, reconnects = 0;
  std::uint64_t in_flight = 0, guests = 0;
  std::map<std::string, std::uint64_t> stalls;  // By cause.
};

// The head at one moment; `at` in seconds of any clock that only goes forward.
struct TopSample {
  double at = 0;
  double uptime_s = 0;
  std::string version;
  std::string problem;  // The first of headd's, or why it cannot be asked.
  std::uint64_t discs_max = 0;
  std::uint64_t entries = 0, overflows = 0, forced_collections = 0;
  std::uint64_t limits[3] = {};
  std::map<std::string, DiscSample> discs;
  std::map<std::string, Buckets> latency;  // Of the discs that were asked for it.
};

// Of the answers of /v1/status and /v1/discs.
TopSample sample_of(const nlohmann::json& status, const nlohmann::json& discs, double at);
// Of an answer of /v1/latency/NAME?histogram=true, all operations together.
Buckets buckets_of(const nlohmann::json& latency);
// "fd00::7" of "nbd://[fd00::7]:10809/name".
std::string tail_of(const std::string& uri);

enum class TopView : std::uint8_t { discs, tails };
enum class TopSort : std::uint8_t { requests, bytes, p99, stalls, cause, state, grade, name };
inline constexpr int top_sorts = 8;

// What the one who looks at it has chosen.
struct TopChoice {
  TopView view = TopView::discs;
  TopSort sort = TopSort::requests;
  bool reverse = false;   // Otherwise the largest are first, and texts from A.
  std::string filter{};   // Part of a name, a state, a grade, a cause or a tail.
  std::size_t first = 0;  // The first row that is shown.
  bool typing = false;    // The filter is being typed.
  bool quit = false;
};

struct TopRow {
  std::string name, state, cause, tail, via, problem;
  std::string grade;  // Of a tail's discs all, each once: "gold,silver".
  double requests_s = 0, bytes_s = 0, errors_s = 0, stalls_s = 0;
  double p50_s = -1, p99_s = -1;  // Below 0: not known.
  std::uint64_t discs = 1, ready = 0, in_flight = 0, guests = 0, reconnects = 0, stalls = 0;
};

// A row for each disc, or each tail, between two samples; those that pass the filter, sorted.
std::vector<TopRow> top_rows(const TopSample& before, const TopSample& now,
                             const TopChoice& choice);

// Whose latency is worth asking for: discs that are shown, and the busiest; at most `most`.
std::vector<std::string> worth_asking(const TopSample& before, const TopSample& now,
                                      const TopChoice& choice, std::size_t shown, std::size_t most);

// What came between two histograms, and the latency that a share of it does not exceed: the middle
// of its bucket; below 0 when nothing came.
Buckets came(const Buckets& before, const Buckets& after);
double quantile(const Buckets& buckets, double share);

// Keys besides characters.
namespace key {
inline constexpr int up = 0x110000, down = up + 1, page_up = up + 2, page_down = up + 3,
                     home = up + 4, end = up + 5, backspace = up + 6, escape = 27, enter = '\n';
}  // namespace key

// What a key does. `page` is how many rows are shown, of `rows` that there are.
void press(TopChoice& choice, int key, std::size_t page, std::size_t rows);

}  // namespace headctl
