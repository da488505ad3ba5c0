#include "tools/headctl/top_model.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace headctl {

namespace {

using nlohmann::json;

DiscSample disc_of(const json& disc) {
  DiscSample sample;
  sample.name = disc.value("name", "");
  sample.state = disc.value("state", "");
  sample.grade = disc.value("grade", "");
  sample.problem = disc.value("problem", "");
  sample.tail = tail_of(disc.value("uri", ""));
  sample.via = disc.value("via", "");
  sample.reconnects = disc.value("reconnects", std::uint64_t{0});
  sample.in_flight = disc.value("in_flight", std::uint64_t{0});
  sample.guests = disc.value("guests", std::uint64_t{0});
  for (const auto& [name, operation] : disc["operations"].items()) {
    sample.requests += operation["requests"].get<std::uint64_t>();
    sample.bytes += operation["bytes"].get<std::uint64_t>();
    sample.errors += operation["errors"].get<std::uint64_t>();
  }
  for (const auto& [cause, count] : disc["stalls"].items()) sample.stalls[cause] = count;
  return sample;
}

// Counters begin anew where a disc was attached again.
double rate(std::uint64_t before, std::uint64_t now, double seconds) {
  return now > before && seconds > 0 ? static_cast<double>(now - before) / seconds : 0;
}

std::uint64_t total(const std::map<std::string, std::uint64_t>& counts) {
  std::uint64_t sum = 0;
  for (const auto& [cause, count] : counts) sum += count;
  return sum;
}

using Counts = std::map<std::string, std::uint64_t>;

Counts newer(const Counts& before, const Counts& now) {
  Counts more;
  for (const auto& [cause, count] : now) {
    const auto was = before.find(cause);
    const std::uint64_t old = was == before.end() ? 0 : was->second;
    if (count > old) more[cause] = count - old;
  }
  return more;
}

// The most frequent cause just now; where nothing stalled, the most frequent ever.
std::string cause_of(const Counts& lately, const Counts& ever) {
  const Counts& counts = total(lately) != 0 ? lately : ever;
  const auto most =
      std::max_element(counts.begin(), counts.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == counts.end() || most->second == 0 ? "" : most->first;
}

// A row that discs are added to: one for a disc's, all that are there for a tail's.
struct Sum {
  TopRow row;
  Counts lately, ever;
  Buckets latency;
  std::set<std::string> grades;

  void add(const TopSample& before, const TopSample& now, const DiscSample& disc) {
    const auto at = before.discs.find(disc.name);
    const DiscSample& was = at != before.discs.end() ? at->second : disc;
    const double seconds = now.at - before.at;
    row.requests_s += rate(was.requests, disc.requests, seconds);
    row.bytes_s += rate(was.bytes, disc.bytes, seconds);
    row.errors_s += rate(was.errors, disc.errors, seconds);
    row.ready += disc.state == "ready" ? 1 : 0;
    row.in_flight += disc.in_flight;
    row.guests += disc.guests;
    if (!disc.grade.empty()) grades.insert(disc.grade);
    row.reconnects += disc.reconnects;
    for (const auto& [cause, count] : newer(was.stalls, disc.stalls)) lately[cause] += count;
    for (const auto& [cause, count] : disc.stalls) ever[cause] += count;
    const auto old = before.latency.find(disc.name);
    const auto young = now.latency.find(disc.name);
    if (old == before.latency.end() || young == now.latency.end()) return;
    for (const auto& [lower, count] : came(old->second, young->second)) latency[lower] += count;
  }

  TopRow finish(double seconds) {
    row.grade = fmt::format("{}", fmt::join(grades, ","));
    row.stalls = total(ever);
    row.stalls_s = rate(0, total(lately), seconds);
    row.cause = cause_of(lately, ever);
    row.p50_s = quantile(latency, 0.5);
    row.p99_s = quantile(latency, 0.99);
    return std::move(row);
  }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool passes(const TopRow& row, const std::string& filter) {
  return filter.empty() || contains(row.name, filter) || contains(row.state, filter) ||
         contains(row.grade, filter) || contains(row.cause, filter) || contains(row.tail, filter);
}

// Which of two rows is first; -1, 0, 1. The largest, or the text nearest to A.
int order(const TopRow& a, const TopRow& b, TopSort by) {
  const auto larger = [](double x, double y) { return x > y ? -1 : x < y ? 1 : 0; };
  const auto text = [](const std::string& x, const std::string& y) {
    return x.empty() != y.empty() ? (x.empty() ? 1 : -1) : x.compare(y);
  };
  switch (by) {
    case TopSort::requests:
      return larger(a.requests_s, b.requests_s);
    case TopSort::bytes:
      return larger(a.bytes_s, b.bytes_s);
    case TopSort::p99:
      return larger(a.p99_s, b.p99_s);
    case TopSort::stalls:
      return a.stalls_s != b.stalls_s
                 ? larger(a.stalls_s, b.stalls_s)
                 : larger(static_cast<double>(a.stalls), static_cast<double>(b.stalls));
    case TopSort::cause:
      return text(a.cause, b.cause);
    case TopSort::state:
      return text(a.state, b.state);
    case TopSort::grade:
      return text(a.grade, b.grade);
    case TopSort::name:
      break;
  }
  return text(a.name, b.name);
}

}  // namespace

std::string tail_of(const std::string& uri) {
  const std::size_t open = uri.find('[');
  const std::size_t close = uri.find(']', open);
  if (open == std::string::npos || close == std::string::npos) return uri;
  return uri.substr(open + 1, close - open - 1);
}

TopSample sample_of(const json& status, const json& discs, double at) {
  TopSample sample;
  sample.at = at;
  sample.uptime_s = status.value("uptime_s", 0.0);
  sample.version = status.value("version", "");
  sample.discs_max = status.value("discs_max", std::uint64_t{0});
  const json& neighbours = status["neighbours"];
  const json& table = neighbours["table"];
  sample.entries = table["entries"];
  sample.overflows = table["overflows"];
  sample.forced_collections = table["forced_collections"];
  sample.limits[0] = table["limits"]["gc_thresh1"];
  sample.limits[1] = table["limits"]["gc_thresh2"];
  sample.limits[2] = table["limits"]["gc_thresh3"];
  for (const json* problems : {&status["problems"], &neighbours["problems"]})
    if (sample.problem.empty() && !problems->empty())
      sample.problem = problems->at(0).get<std::string>();
  for (const json& disc : discs["discs"]) {
    DiscSample one = disc_of(disc);
    sample.discs[one.name] = std::move(one);
  }
  return sample;
}

Buckets buckets_of(const json& latency) {
  Buckets buckets;
  for (const auto& [name, operation] : latency["operations"].items())
    for (const json& bucket : operation["buckets"])
      buckets[bucket.at(0).get<double>()] += bucket.at(1).get<std::uint64_t>();
  return buckets;
}

Buckets came(const Buckets& before, const Buckets& after) {
  Buckets more;
  for (const auto& [lower, count] : after) {
    const auto was = before.find(lower);
    const std::uint64_t old = was == before.end() ? 0 : was->second;
    if (count > old) more[lower] = count - old;
  }
  return more;
}

double quantile(const Buckets& buckets, double share) {
  std::uint64_t all = 0;
  for (const auto& [lower, count] : buckets) all += count;
  if (all == 0) return -1;
  const double wanted = share * static_cast<double>(all);
  std::uint64_t seen = 0;
  for (const auto& [lower, count] : buckets) {
    seen += count;
    if (static_cast<double>(seen) >= wanted) return lower * (1 + 1.0 / 128);
  }
  return buckets.rbegin()->first;
}

std::vector<TopRow> top_rows(const TopSample& before, const TopSample& now,
                             const TopChoice& choice) {
  std::map<std::string, Sum> sums;
  for (const auto& [name, disc] : now.discs) {
    const bool by_disc = choice.view == TopView::discs;
    Sum& sum = sums[by_disc ? name : disc.tail];
    if (sum.row.name.empty()) {
      sum.row.name = by_disc ? name : disc.tail;
      sum.row.discs = 0;
      sum.row.tail = disc.tail;
      sum.row.via = disc.via;
    }
    ++sum.row.discs;
    if (by_disc) sum.row.state = disc.state;
    if (sum.row.problem.empty()) sum.row.problem = disc.problem;
    sum.add(before, now, disc);
  }
  std::vector<TopRow> rows;
  for (auto& [name, sum] : sums) {
    if (choice.view == TopView::tails)
      sum.row.state = sum.row.ready == sum.row.discs ? "ready" : "reconnecting";
    TopRow row = sum.finish(now.at - before.at);
    if (passes(row, choice.filter)) rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const TopRow& a, const TopRow& b) {
    const int which = order(a, b, choice.sort);
    return choice.reverse ? which > 0 : which < 0;
  });
  return rows;
}

std::vector<std::string> worth_asking(const TopSample& before, const TopSample& now,
                                      const TopChoice& choice, std::size_t shown,
                                      std::size_t most) {
  std::vector<std::string> names;
  const auto take = [&](const std::vector<TopRow>& rows, std::size_t from, std::size_t count) {
    for (std::size_t i = from; i < rows.size() && i - from < count && names.size() < most; ++i)
      if (std::find(names.begin(), names.end(), rows[i].name) == names.end())
        names.push_back(rows[i].name);
  };
  if (choice.view == TopView::discs) take(top_rows(before, now, choice), choice.first, shown);
  take(top_rows(before, now, {}), 0, most);
  return names;
}

void press(TopChoice& choice, int key, std::size_t page, std::size_t rows) {
  const std::size_t last = rows > page ? rows - page : 0;
  if (choice.typing) {
    if (key == key::enter || key == key::escape) choice.typing = false;
    if (key == key::escape || (key == key::backspace && choice.filter.empty())) {
      choice.filter.clear();
      choice.typing = false;
    }
    if (key == key::backspace && !choice.filter.empty()) choice.filter.pop_back();
    constexpr std::size_t filter_max = 64;
    if (key >= ' ' && key < 127 && choice.filter.size() < filter_max)
      choice.filter += static_cast<char>(key);
    choice.first = 0;
    return;
  }
  const auto sort_by = [&](int which) {
    choice.sort = static_cast<TopSort>((which + top_sorts) % top_sorts);
    choice.reverse = false;
    choice.first = 0;
  };
  const auto scroll_to = [&](std::size_t row) { choice.first = std::min(row, last); };
  if (key == 'q') choice.quit = true;
  if (key == '/') choice.typing = true;
  if (key == key::escape) choice.filter.clear();
  if (key == 'r') choice.reverse = !choice.reverse;
  if (key == '>' || key == 's') sort_by(static_cast<int>(choice.sort) + 1);
  if (key == '<') sort_by(static_cast<int>(choice.sort) - 1);
  if (key == 't') {
    choice.view = choice.view == TopView::discs ? TopView::tails : TopView::discs;
    choice.first = 0;
  }
  if (key == key::up) scroll_to(choice.first == 0 ? 0 : choice.first - 1);
  if (key == key::down) scroll_to(choice.first + 1);
  if (key == key::page_up) scroll_to(choice.first > page ? choice.first - page : 0);
  if (key == key::page_down) scroll_to(choice.first + page);
  if (key == key::home) scroll_to(0);
  if (key == key::end) scroll_to(last);
}

}  // namespace headctl
